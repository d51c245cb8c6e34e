"""Other markets are chosen by the bars that they have, and counted."""

from __future__ import annotations

from src.domain.intervals import INTERVALS
from src.domain.later_checks import OtherMarket, SkippedMarket
from src.domain.market import CachedMarket
from src.judgement.other_markets import rank_markets, summarize_markets


def stored(symbol: str, bars: int) -> CachedMarket:
    return CachedMarket(symbol=symbol, interval=INTERVALS["1d"], start=0, stop=bars, bars=bars)


def test_most_bars_come_first_then_name() -> None:
    found = rank_markets(
        [stored("D", 80), stored("C", 100), stored("B", 49), stored("A", 50), stored("OWN", 100), stored("B2", 100)],
        "OWN",
        100,
    )
    assert [one.symbol for one in found] == ["B2", "C", "D", "A"]


def figures(total_return: float, sharpe: float | None, held: float | None) -> OtherMarket:
    return OtherMarket(
        symbol="A",
        bars=9,
        start_ms=0,
        end_ms=1,
        total_return=total_return,
        sharpe_ratio=sharpe,
        buy_and_hold_return=held,
        total_trades=1,
        max_drawdown=1.0,
    )


def test_counts_are_over_zero_and_over_holding() -> None:
    failed = SkippedMarket(symbol="B", why="It failed.")
    found = summarize_markets([figures(1.0, 0.0, 1.0), figures(2.0, 0.1, 1.0), figures(3.0, None, None)], [failed])
    assert found.skipped == (failed,)
    assert (found.positive_sharpe, found.beats_buy_and_hold) == (1, 1)
    assert found.summary.startswith("Of 3 other markets, the Sharpe ratio is over 0 on 1, ")
    assert summarize_markets([figures(1.0, 0.0, 1.0)], []).summary.startswith("Of 1 other market, the Sharpe ratio")
