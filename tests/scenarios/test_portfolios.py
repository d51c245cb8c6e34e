"""Several symbols with one cash: who is filled when places or cash are short, and what a fraction is a fraction of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from src.domain.order_rules import EntryType
from src.domain.portfolio import PortfolioSimulation, Rank
from src.domain.trading import Direction, FillTiming, TradingRules
from src.engines.portfolio import run_portfolio
from tests.scenarios.drawing import fills_of, read, rounded, rules


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioScenario:
    """One case: a table for each symbol, in the order of the list, and the equity at each time."""

    name: str
    tables: tuple[str, ...]
    equity: Sequence[float]
    rules: TradingRules = field(default_factory=rules)
    most_open: int = 2
    rank: Rank = Rank.LISTED
    rank_bars: int = 1
    refused: tuple[int, ...] = ()
    slots: tuple[tuple[int, ...] | None, ...] = ()
    volumes: tuple[float, ...] = ()

    def play(self) -> PortfolioSimulation:
        count = len(self.tables)
        pictures = [
            read(table, volume, slots=slots)
            for table, slots, volume in zip(
                self.tables, self.slots or (None,) * count, self.volumes or (1.0,) * count, strict=True
            )
        ]
        found = run_portfolio(
            [replace(picture.bars, symbol=f"DRAWN{number}") for number, picture in enumerate(pictures)],
            [picture.signals for picture in pictures],
            [self.rules] * count,
            most_open=self.most_open,
            rank=self.rank,
            rank_bars=self.rank_bars,
        )
        for run, picture in zip(found.runs, pictures, strict=True):
            assert fills_of(run) == [rounded(fill) for fill in picture.fills], run.symbol
        assert found.equity.tolist() == pytest.approx(self.equity, rel=1e-12)
        assert tuple(run.refused_entries for run in found.runs) == (self.refused or (0,) * count)
        return found


FLAT = """
    open high low close | signal | fills
    50   50   50  50    |        |
    50   50   50  50    |        |
    50   50   50  50    |        |
"""

SCENARIOS = [
    PortfolioScenario(
        name="without a size an entry takes the equity at the open divided by the places",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  100  80  80    |        | buy 5 @ 100 signal
            70   90   70  90    |        |
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   50  50    | buy    |
            50   60   50  60    |        | buy 8.5 @ 50 signal
            """,
        ),
        # The equity at the third open is 500 + 5 × 70 = 850.
        equity=[1000, 500 + 5 * 80, 500 - 425 + 5 * 90 + 8.5 * 60],
    ),
    PortfolioScenario(
        name="a share that is more than the cash takes the cash",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  140  100 140   |        | buy 5 @ 100 signal
            140  140  140 140   |        |
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   50  50    | buy    |
            50   60   50  60    |        | buy 10 @ 50 signal
            """,
        ),
        equity=[1000, 500 + 5 * 140, 5 * 140 + 10 * 60],
    ),
    PortfolioScenario(
        name="of three entries for two places the last one listed is refused",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  100  100 100   |        | buy 5 @ 100 signal
            """,
            """
            open high low close | signal | fills
            50   50   50  50    | buy    |
            50   50   50  50    |        | buy 10 @ 50 signal
            """,
            """
            open high low close | signal | fills
            10   10   10  10    | buy    |
            10   10   10  10    |        |
            """,
        ),
        equity=[1000, 1000],
        refused=(0, 0, 1),
    ),
    PortfolioScenario(
        name="of three entries for two places that of the least momentum is refused",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   |        |
            100  102  100 102   | buy    |
            102  102  102 102   |        | buy 4 @ 102 signal
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   40  40    | buy    |
            40   40   40  40    |        |
            """,
            """
            open high low close | signal | fills
            10   10   10  10    |        |
            10   11   10  11    | buy    |
            11   11   11  11    |        | buy 4 @ 11 signal
            """,
        ),
        rules=rules(units=4),
        rank=Rank.MOMENTUM,
        refused=(0, 1, 0),
        equity=[1000, 1000, 1000],
    ),
    PortfolioScenario(
        name="the entry with the largest traded value goes first, one without enough bars last",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  100  100 100   |        |
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   50  50    | buy    |
            50   50   50  50    |        |
            """,
            """
            open high low close | signal | fills
            10   10   10  10    |        |
            10   10   10  10    | buy    |
            10   10   10  10    |        | buy 4 @ 10 signal
            """,
        ),
        slots=((1, 2), None, None),
        volumes=(1e9, 3.0, 20.0),
        rules=rules(units=4),
        most_open=1,
        rank=Rank.VOLUME,
        rank_bars=2,
        refused=(1, 1, 0),
        equity=[1000, 1000, 1000],
    ),
    PortfolioScenario(
        name="of entries of equal rank the first one listed goes first",
        tables=(
            """
            open high low close | signal | fills
            10   10   10  10    | buy    |
            10   10   10  10    |        | buy 4 @ 10 signal
            """,
            """
            open high low close | signal | fills
            10   10   10  10    | buy    |
            10   10   10  10    |        |
            """,
        ),
        rules=rules(units=4),
        most_open=1,
        rank=Rank.VOLUME,
        refused=(0, 1),
        equity=[1000, 1000],
    ),
    PortfolioScenario(
        name="what is sold at an open pays for what enters at that open, whatever the order of the list",
        tables=(
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   50  50    | buy    |
            50   50   50  50    |        | buy 24 @ 50 signal
            """,
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  100  100 100   | sell   | buy 10 @ 100 signal
            120  120  120 120   |        | sell 10 @ 120 signal
            """,
        ),
        most_open=1,
        equity=[1000, 1000, 1200],
    ),
    PortfolioScenario(
        name="an entry inside a bar does not get the place of a position that its stop closes in that bar",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  100  100 100   |        | buy 4 @ 100 limit
            100  100  80  90    |        | sell 4 @ 90 stop_loss
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   50  50    | buy    |
            50   50   48  50    |        |
            """,
        ),
        rules=rules(units=4, entry=EntryType.LIMIT, life=1, offset=0.0, stop=0.1),
        most_open=1,
        refused=(0, 1),
        equity=[1000, 1000, 960],
    ),
    PortfolioScenario(
        name="an entry inside a bar does not get the cash of a position that its stop closes in that bar",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  100  100 100   |        | buy 10 @ 100 limit
            100  100  80  90    |        | sell 10 @ 90 stop_loss
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   50  50    | buy    |
            50   50   48  50    |        |
            """,
        ),
        rules=rules(percent=1.0, entry=EntryType.LIMIT, life=1, offset=0.0, stop=0.1),
        refused=(0, 1),
        equity=[1000, 1000, 900],
    ),
    PortfolioScenario(
        name="an entry inside a bar does not get the place of one that was entered and stopped in that bar",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            105  105  80  85    |        | buy 4 @ 100 limit; sell 4 @ 90 stop_loss
            """,
            """
            open high low close | signal | fills
            50   50   50  50    | buy    |
            52   52   48  52    |        |
            """,
        ),
        rules=rules(units=4, entry=EntryType.LIMIT, life=1, offset=0.0, stop=0.1),
        most_open=1,
        refused=(0, 1),
        equity=[1000, 960],
    ),
    PortfolioScenario(
        name="an entry inside a bar does not get the cash of one that was entered and stopped in that bar",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            105  105  80  85    |        | buy 10 @ 100 limit; sell 10 @ 90 stop_loss
            """,
            """
            open high low close | signal | fills
            50   50   50  50    | buy    |
            52   52   48  52    | buy    |
            52   52   51  52    |        | buy 17.307692308 @ 52 limit
            """,
        ),
        rules=rules(percent=1.0, entry=EntryType.LIMIT, life=1, offset=0.0, stop=0.1),
        refused=(0, 1),
        equity=[1000, 900, 900],
    ),
    PortfolioScenario(
        name="an entry whose level the open has passed goes before one that is reached inside the bar",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            105  105  95  105   |        |
            """,
            """
            open high low close | signal | fills
            50   50   50  50    | buy    |
            48   50   48  50    |        | buy 4 @ 48 limit
            """,
        ),
        rules=rules(units=4, entry=EntryType.LIMIT, life=1, offset=0.0),
        most_open=1,
        refused=(1, 0),
        equity=[1000, 1008],
    ),
    PortfolioScenario(
        name="an addition does not get the cash of a position that its stop closes in that bar",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  100  100 100   |        | buy 5 @ 100 signal
            100  100  80  80    |        | sell 5 @ 80 stop_loss
            80   80   80  80    |        |
            """,
            """
            open high low close | signal | fills
            50   50   50  50    | buy    |
            50   50   50  50    |        | buy 10 @ 50 signal
            50   50   45  46    |        |
            46   46   46  46    |        |
            """,
        ),
        rules=rules(percent=0.5, stop=0.2, adds=[(-0.1, 1.0)]),
        equity=[1000, 1000, 400 + 460, 400 + 460],
    ),
    PortfolioScenario(
        name="an entry that waits and is not reached keeps waiting while there is no place",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  100  100 100   | sell   | buy 10 @ 100 limit
            110  110  110 110   |        | sell 10 @ 110 signal
            110  110  110 110   |        |
            """,
            """
            open high low close | signal | fills
            50   50   50  50    | buy    |
            60   60   60  60    |        |
            60   60   60  60    |        |
            60   60   50  60    |        | buy 22 @ 50 limit
            """,
        ),
        rules=rules(percent=1.0, entry=EntryType.LIMIT, life=5, offset=0.0),
        most_open=1,
        equity=[1000, 1000, 1100, 1100 + 22 * 10],
    ),
    PortfolioScenario(
        name="what a stop frees inside a bar pays for an entry at its close",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    | buy 10 @ 100 signal
            100  100  80  90    |        | sell 10 @ 90 stop_loss
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   45  45    | buy    | buy 20 @ 45 signal
            """,
        ),
        rules=rules(fill=FillTiming.SAME_CLOSE, stop=0.1),
        most_open=1,
        equity=[1000, 900],
    ),
    PortfolioScenario(
        name="a position counts at its last close while its symbol has no bar",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  120  100 120   |        | buy 4 @ 100 signal
            150  150  150 150   |        |
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   50  50    | buy    |
            50   50   50  50    |        | buy 8.64 @ 50 signal
            """,
        ),
        slots=((0, 1, 4), (1, 2, 3)),
        rules=rules(percent=0.4),
        equity=[1000, 1080, 1080, 1080, 600 - 432 + 4 * 150 + 432],
    ),
    PortfolioScenario(
        name="a short loses its own margin only",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | sell   |
            100  100  100 100   |        | sell 5 @ 100 signal
            150  260  150 260   |        | buy 5 @ 200 liquidation
            """,
            FLAT,
        ),
        rules=rules(direction=Direction.SHORT),
        equity=[1000, 1000, 500],
    ),
    PortfolioScenario(
        name="a position whose open is past its bankruptcy counts as nothing in the equity of an entry",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | sell   |
            100  100  100 100   |        | sell 5 @ 100 signal
            250  250  250 250   |        | buy 5 @ 200 liquidation
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   50  50    | sell   |
            50   50   50  50    |        | sell 5 @ 50 signal
            """,
        ),
        rules=rules(direction=Direction.SHORT),
        equity=[1000, 1000, 500],
    ),
    PortfolioScenario(
        name="positions are closed at the last close of their own symbol",
        tables=(
            """
            open high low close | signal | fills
            100  100  100 100   | buy    |
            100  130  100 130   |        | buy 5 @ 100 signal; sell 5 @ 130 end
            """,
            """
            open high low close | signal | fills
            50   50   50  50    |        |
            50   50   50  50    | buy    |
            50   60   50  60    |        | buy 11.5 @ 50 signal; sell 11.5 @ 60 end
            """,
        ),
        rules=rules(at_end=True),
        equity=[1000, 1150, 1150 + 115],
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_portfolio_scenario(scenario: PortfolioScenario) -> None:
    scenario.play()
