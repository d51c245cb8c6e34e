"""Write warnings about bars that a request's range or limit leaves out, and reject ranges that are too long.

Warnings: 1. the bars begin later or end earlier than requested; 2. there are fewer bars than a limit without a start
allows, unless it is the service's maximum; 3. the limit cut the range. A request with a limit and without dates has no
range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from src.bars.grid import bar_number, open_time_ms
from src.domain.bars import Bars
from src.domain.errors import InvalidInput
from src.domain.instants import iso_time
from src.domain.market import LimitOrigin, MarketRequest, SymbolWarning

_LATE_BARS: Final = 1
_ADVICE: Final = "Ask for a larger limit, or give both dates and no limit."


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRange:
    """All bars that a request's dates allow, before its limit cuts them: their number, and the first and last open.

    `is_exact` is False if `bars` is counted on the interval's grid, where some may be missing.
    """

    bars: int
    first_open_ms: int
    last_open_ms: int
    is_exact: bool = True


def check_whole_range(market: MarketRequest, bars: int, *, is_exact: bool = True) -> None:
    """Raise InvalidInput if a request for all bars between two dates has more bars than are allowed."""
    if market.is_whole_range and bars > market.limit:
        raise InvalidInput(
            "The range from {field} to {@endDate} has {count} {interval} bars. Maximum: {most:,} (MAX_BARS). Ask for a "
            "shorter range or a coarser {@interval}, or give {@limit}.",
            field="startDate",
            count=_count(bars, is_exact),
            interval=market.interval.name,
            most=market.limit,
        )


def describe_range(
    market: MarketRequest,
    bars: Bars,
    now_ms: int,
    *,
    left_out: int = 0,
    goes_on: bool = True,
    whole: WholeRange | None = None,
    first_open_ms: int | None = None,
) -> tuple[str, ...]:
    """Return warnings if `bars` begin late, end early or are too few, or if the limit cut the range.

    Parameters
    ----------
    left_out
        The number of invalid bars of the range that are not in `bars`.
    goes_on
        Whether the series should continue until now; if not, an early end gives a warning only if an end was requested.
    whole
        The range before the limit, if the source knows it; None: it is counted on the grid.
    first_open_ms
        When the very first bar of the series opens; None: not known. Used if `whole` is None.
    """
    if len(bars) == 0:
        return ()
    early_end = _early_end(market, bars, now_ms) if goes_on or market.end_ms is not None else ()
    is_full = len(bars) + left_out >= market.limit
    if market.start_ms is None:
        if not is_full:
            few = () if market.limit_origin is LimitOrigin.MAXIMUM else (_too_few(market, bars),)
            return (*few, *early_end)
        is_range = market.end_ms is not None or market.limit_origin is LimitOrigin.DEFAULT
        return (*(_cut_before(market, bars, whole, first_open_ms) if is_range else ()), *early_end)
    late_start = _late_start(market.start_ms, bars)
    if not is_full:
        return (*late_start, *early_end)
    return (*late_start, *_cut_after(market, bars, whole or _range_after(market, bars, now_ms, left_out)))


def _count(bars: int, is_exact: bool) -> str:
    return f"{bars:,}" if is_exact else f"about {bars:,}"


def _cut(market: MarketRequest, bars: Bars, rest: str) -> str:
    first, last = (iso_time(int(time)) for time in bars.open_time_ms[[0, -1]])
    text = f"limit {market.limit:,} cut the range: {len(bars):,} bars from {first} to {last}{rest}. {_ADVICE}"
    return SymbolWarning(text, "cut range")


def _cut_after(market: MarketRequest, bars: Bars, whole: WholeRange) -> Iterator[str]:
    """Yield a warning if bars after the last one were left out."""
    if whole.last_open_ms > bars.open_time_ms[-1]:
        yield _cut(market, bars, f" of {_count(whole.bars, whole.is_exact)} up to {iso_time(whole.last_open_ms)}")


def _cut_before(
    market: MarketRequest, bars: Bars, whole: WholeRange | None, first_open_ms: int | None
) -> Iterator[str]:
    """Yield a warning if bars before the first one were left out, or may have been."""
    if whole is None and first_open_ms is not None:
        last_open_ms = int(bars.open_time_ms[-1])
        most = bars.interval.most_bars(first_open_ms, last_open_ms)
        whole = WholeRange(bars=most, first_open_ms=first_open_ms, last_open_ms=last_open_ms, is_exact=False)
    if whole is None:
        yield _cut(market, bars, "; earlier bars, if there are any, were left out")
    elif whole.first_open_ms < bars.open_time_ms[0]:
        yield _cut(market, bars, f" of {_count(whole.bars, whole.is_exact)} from {iso_time(whole.first_open_ms)} on")


def _range_after(market: MarketRequest, bars: Bars, now_ms: int, left_out: int) -> WholeRange:
    """Return the range from the first bar to its end or the newest closed bar, counted on the grid."""
    number, final, _, offset_ms = _ends(market, bars, now_ms)
    return WholeRange(
        bars=len(bars) + left_out + max(0, final - number),
        first_open_ms=int(bars.open_time_ms[0]),
        last_open_ms=open_time_ms(final, bars.interval) + offset_ms,
        is_exact=False,
    )


def _ends(market: MarketRequest, bars: Bars, now_ms: int) -> tuple[int, int, int, int]:
    """Return the numbers of the last bar, of the range's last bar and of the newest closed one; and their offset."""
    interval, last = bars.interval, int(bars.open_time_ms[-1])
    number = bar_number(last, interval)
    offset_ms = last - open_time_ms(number, interval)
    final = newest = bar_number(now_ms + 1 - offset_ms, interval) - 1
    if market.end_ms is not None:
        final = min(newest, bar_number(market.end_ms - offset_ms, interval))
    return number, final, newest, offset_ms


def _too_few(market: MarketRequest, bars: Bars) -> str:
    return SymbolWarning(
        f"{market.limit:,} {bars.interval.name} bars of {bars.symbol} were asked for; {len(bars):,} were found, "
        f"the first at {iso_time(int(bars.open_time_ms[0]))}.",
        "too few bars",
    )


def _late_start(start_ms: int, bars: Bars) -> tuple[str, ...]:
    """Warn if there are no bars at the requested start: the symbol was listed later, or trading was halted."""
    first = int(bars.open_time_ms[0])
    number = bar_number(first, bars.interval)
    offset_ms = first - open_time_ms(number, bars.interval)
    missing = number - bar_number(start_ms - 1 - offset_ms, bars.interval) - 1
    if missing <= 0:
        return ()
    text = (
        f"{bars.symbol} has no {bars.interval.name} bars from {iso_time(start_ms)} until {iso_time(first)}: about "
        f"{missing:,} of those asked for do not exist."
    )
    return (SymbolWarning(text, "late start"),)


def _early_end(market: MarketRequest, bars: Bars, now_ms: int) -> tuple[str, ...]:
    """Warn if there are no bars at the requested end or recently: trading has ended, or is halted."""
    interval, last = bars.interval, int(bars.open_time_ms[-1])
    number, final, newest, _ = _ends(market, bars, now_ms)
    missing = final - number
    # The newest bar may be a little late.
    if missing <= (_LATE_BARS if final == newest else 0):
        return ()
    until = "now" if market.end_ms is None or market.end_ms > now_ms else iso_time(market.end_ms)
    text = (
        f"{bars.symbol} has no {interval.name} bars after that of {iso_time(last)} until {until}: trading has "
        f"ended, or stood still for about {missing:,} bars."
    )
    return (SymbolWarning(text, "early end"),)
