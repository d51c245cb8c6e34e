"""Which bars before a range are its history, from sources with few bars, no bars and invalid rows before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.bars.quality import assess
from src.domain.bar_quality import RejectedRow
from src.domain.bars import Bars
from src.domain.errors import ExchangeUnavailable, InvalidInput
from src.domain.market import LimitOrigin, Listing, MarketRequest, MarketSeries
from src.service.history import fetch_with_history
from tests.market import bars_of_closes, random_bars

BARS = random_bars(60, seed=2)
DAY_MS = BARS.interval.milliseconds


class RowSource:
    """A source of rows, some of which are invalid; a limit counts rows."""

    def __init__(self, bars: Bars, invalid: Sequence[int] = (), failure: Exception | None = None) -> None:
        self.bars, self.invalid, self.failure = bars, set(invalid), failure
        self.asked: list[MarketRequest] = []

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        self.asked.append(market)
        if self.failure is not None and len(self.asked) > 1:
            raise self.failure
        times = self.bars.open_time_ms
        rows = np.flatnonzero((times >= (market.start_ms or 0)) & (times <= (market.end_ms or times[-1])))
        rows = rows[-market.limit :] if market.start_ms is None else rows[: market.limit]
        if not len(rows):
            raise InvalidInput("There are no bars in this range.", field="endDate")
        valid = [row for row in rows if row not in self.invalid]
        names = ("open_time_ms", "open", "high", "low", "close", "volume")
        bars = replace(self.bars, **{name: getattr(self.bars, name)[valid] for name in names})
        rejected = tuple(
            RejectedRow(open_time_ms=int(times[row]), reason="made so") for row in rows if row in self.invalid
        )
        return MarketSeries(
            bars=bars, quality=assess(bars, rejected_rows=rejected), origin="rows", warnings=(f"{len(rows)} rows",)
        )

    async def listings(self) -> Sequence[Listing]:
        return ()

    async def close(self) -> None: ...


def ask(start: int | None, **others: Any) -> MarketRequest:
    start_ms = None if start is None else int(BARS.open_time_ms[start])
    return MarketRequest(symbol="TESTUSDT", interval=BARS.interval, start_ms=start_ms, **{"limit": 10} | others)


async def test_history_is_bars_before_and_changes_nothing_else() -> None:
    source = RowSource(BARS)
    market = ask(30, end_ms=int(BARS.open_time_ms[39]), limit_origin=LimitOrigin.RANGE)
    alone, series = await source.fetch(market), await fetch_with_history(source, market, 7)
    assert series.history == BARS.slice(23, 30)
    assert replace(series, history=None) == alone
    assert series.fingerprint() == BARS.slice(23, 40).fingerprint()
    assert alone.fingerprint() == BARS.slice(30, 40).fingerprint()


async def test_history_of_the_newest_bars_is_before_them() -> None:
    series = await fetch_with_history(RowSource(BARS), ask(None), 5)
    assert (series.bars, series.history) == (BARS.slice(50, 60), BARS.slice(45, 50))


async def test_strategy_without_warm_up_asks_once() -> None:
    source = RowSource(BARS)
    assert (await fetch_with_history(source, ask(30), 0)).history is None
    assert source.asked == [ask(30)]


@pytest.mark.parametrize(("start", "expected"), [(0, 0), (1, 1), (6, 6), (8, 8), (9, 8)])
async def test_source_with_few_earlier_bars_gives_fewer(start: int, expected: int) -> None:
    series = await fetch_with_history(RowSource(BARS), ask(start), 8)
    assert series.history_bars == expected
    assert (series.history is None) is (expected == 0)


@pytest.mark.parametrize(
    "invalid", [[29], [22, 25, 29], list(range(16, 30)), list(range(1, 30)), list(range(0, 30, 2))]
)
async def test_invalid_rows_do_not_count_in_the_history(invalid: list[int]) -> None:
    """So a rerun that asks for as many bars as there were gets the same."""
    source = RowSource(BARS, invalid)
    valid = [row for row in range(30) if row not in invalid]
    series = await fetch_with_history(source, ask(30), 8)
    assert series.history is not None
    assert series.history.open_time_ms.tolist() == BARS.open_time_ms[valid[-8:]].tolist()
    again = await fetch_with_history(source, ask(30), series.history_bars)
    assert again.history == series.history


async def test_failure_of_the_source_is_raised() -> None:
    with pytest.raises(ExchangeUnavailable):
        await fetch_with_history(RowSource(BARS, failure=ExchangeUnavailable("It is down.")), ask(30), 8)


@pytest.mark.parametrize(
    ("start", "most", "expected"),
    [(0, 0, None), (0, 3, (17, 20)), (0, 99, (0, 20)), (4, 3, (21, 24)), (4, 4, (20, 24)), (4, 9, (15, 24))],
)
def test_part_of_a_series_has_the_bars_before_it(start: int, most: int, expected: tuple[int, int] | None) -> None:
    bars, quality = BARS.slice(20, 60), assess(BARS)
    series = MarketSeries(bars=bars, quality=quality, origin="", history=BARS.slice(0, 20))
    assert series.history_before(start, most) == (None if expected is None else BARS.slice(*expected))
    without = MarketSeries(bars=BARS, quality=quality, origin="")
    assert without.history_before(start, most) == (BARS.slice(max(0, start - most), start) if start and most else None)


def test_bars_continue_the_same_symbol_and_interval_only() -> None:
    assert BARS.slice(20, 60).after(BARS.slice(0, 20)) == BARS
    later = replace(BARS, open_time_ms=BARS.open_time_ms + 60 * DAY_MS)
    with pytest.raises(ValueError, match="does not continue"):
        replace(later, symbol="OTHER").after(BARS)
    with pytest.raises(ValueError, match="does not continue"):
        bars_of_closes([1.0], interval="1h").after(BARS)
    with pytest.raises(ValueError, match="ascending"):
        BARS.after(BARS)
