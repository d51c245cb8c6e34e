"""Run the same rule on other markets: a rule that works on one market only may fit its past by accident."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from src.domain.bars import Bars
from src.domain.later_checks import OtherMarket, OtherMarkets, SkippedMarket
from src.domain.market import CachedMarket
from src.domain.performance import Metrics
from src.judgement.evidence import count_noun
from src.judgement.jumps import find_jump_rows, join_closes

MAX_MARKETS: Final = 3
MAX_SKIPPED: Final = 3
"""Give up after this many failed markets: an error on three of them is hardly caused by the market."""
MIN_SHARE: Final = 0.5
"""Part of the result's bars that a market must have."""


def rank_markets(stored: Iterable[CachedMarket], own_symbol: str, own_bars: int) -> list[CachedMarket]:
    """Return the markets that may be run, best first: most bars, then by symbol."""
    fit = (one for one in stored if one.symbol != own_symbol and has_enough(one.bars, own_bars))
    return sorted(fit, key=lambda one: (-one.bars, one.symbol))


def has_enough(bars: int, own_bars: int) -> bool:
    """Return whether this many bars are enough compared with those of the result."""
    return bars >= MIN_SHARE * own_bars


def describe_market(bars: Bars, metrics: Metrics) -> OtherMarket:
    """Return the figures of a run on the bars of another market."""
    closes = join_closes(bars, find_jump_rows(bars))
    held = (float(closes[-1] / closes[0]) - 1) * 100
    return OtherMarket(
        symbol=bars.symbol,
        bars=metrics.bars,
        start_ms=metrics.start,
        end_ms=metrics.end,
        total_return=metrics.total_return,
        sharpe_ratio=metrics.sharpe_ratio,
        buy_and_hold_return=held if math.isfinite(held) else None,
        total_trades=metrics.total_trades,
        max_drawdown=metrics.max_drawdown,
    )


def summarize_markets(markets: Sequence[OtherMarket], skipped: Sequence[SkippedMarket]) -> OtherMarkets:
    """Count the markets on which the rule works."""
    positive = sum(one.sharpe_ratio is not None and one.sharpe_ratio > 0 for one in markets)
    better = sum(one.buy_and_hold_return is not None and one.total_return > one.buy_and_hold_return for one in markets)
    return OtherMarkets(
        markets=tuple(markets),
        positive_sharpe=positive,
        beats_buy_and_hold=better,
        summary=f"Of {count_noun(len(markets), 'other market')}, the Sharpe ratio is over 0 on {positive}, and the "
        f"return is over that of buying and holding on {better}.",
        skipped=tuple(skipped),
    )
