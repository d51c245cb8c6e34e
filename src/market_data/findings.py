"""What is wrong with candles, and with the range asked for, in sentences for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from src.domain.market import Bars, DataQuality, Gap, MarketRequest
from src.market_data.grid import bar_number, iso_time, open_time_ms
from src.market_data.quality import find_jumps

_NAMED: Final = 3
"""So many gaps or rows are named one by one; beyond that the count must do."""
_LATE_CANDLES: Final = 1
_SILENT_SHARE: Final = 0.05
"""Where this share of candles has no trade, many fills of a backtest are with nobody."""


def describe_quality(quality: DataQuality, bars: Bars) -> tuple[str, ...]:
    """Return one sentence for each kind of fault in `bars`; none where they are complete."""
    name = f"{bars.symbol} {bars.interval.name}"
    return tuple(
        sentence
        for sentence in (
            _gaps(quality, name),
            *_jumps(quality, bars),
            _rejected(quality, name),
            _duplicates(quality, name),
            _disorder(quality, name),
            _irregular_closes(quality, name),
            _silence(quality, name),
        )
        if sentence
    )


def describe_range(
    market: MarketRequest, bars: Bars, now_ms: int, *, left_out: int = 0, goes_on: bool = True
) -> tuple[str, ...]:
    """Return a sentence where `bars` begin late, end early, are too few, or where `limit` cut the range short.

    Parameters
    ----------
    left_out
        Candles of the range that are not in `bars`, as they could not be believed.
    goes_on
        Whether the series should go on until now; the end of one that does not is told where an end was asked for.
    """
    if len(bars) == 0:
        return ()
    early_end = _early_end(market, bars, now_ms) if goes_on or market.end_ms is not None else ()
    is_full = len(bars) + left_out >= market.limit
    if market.start_ms is None:
        return early_end if is_full else (_too_few(market, bars), *early_end)
    late_start = _late_start(market.start_ms, bars)
    return (*late_start, *(_cut_short(market, bars, now_ms) if is_full else early_end))


def _too_few(market: MarketRequest, bars: Bars) -> str:
    return (
        f"{market.limit:,} {bars.interval.name} candles of {bars.symbol} were asked for; {len(bars):,} were found, "
        f"the first at {iso_time(int(bars.open_time_ms[0]))}."
    )


def _late_start(start_ms: int, bars: Bars) -> tuple[str, ...]:
    """Say that there are no candles at the start asked for: the symbol was listed later, or trading stood still."""
    first = int(bars.open_time_ms[0])
    number = bar_number(first, bars.interval)
    offset_ms = first - open_time_ms(number, bars.interval)
    missing = number - bar_number(start_ms - 1 - offset_ms, bars.interval) - 1
    if missing <= 0:
        return ()
    return (
        f"{bars.symbol} has no {bars.interval.name} candles from {iso_time(start_ms)} until {iso_time(first)}: about "
        f"{missing:,} of those asked for do not exist.",
    )


def _early_end(market: MarketRequest, bars: Bars, now_ms: int) -> tuple[str, ...]:
    """Say that there are no candles at the end asked for, or of late: trading has ended, or stands still."""
    interval, last = bars.interval, int(bars.open_time_ms[-1])
    number = bar_number(last, interval)
    offset_ms = last - open_time_ms(number, interval)
    final = newest = bar_number(now_ms + 1 - offset_ms, interval) - 1
    if market.end_ms is not None:
        final = min(newest, bar_number(market.end_ms - offset_ms, interval))
    missing = final - number
    # The newest candle may be a little late.
    if missing <= (_LATE_CANDLES if final == newest else 0):
        return ()
    until = "now" if market.end_ms is None or market.end_ms > now_ms else iso_time(market.end_ms)
    return (
        f"{bars.symbol} has no {interval.name} candles after that of {iso_time(last)} until {until}: trading has "
        f"ended, or stood still for about {missing:,} candles.",
    )


def _cut_short(market: MarketRequest, bars: Bars, now_ms: int) -> tuple[str, ...]:
    if market.end_ms is None:
        return ()
    interval = market.interval
    last = int(bars.open_time_ms[-1])
    final = min(market.end_ms, open_time_ms(bar_number(now_ms, interval) - 1, interval))
    left_out = bar_number(final, interval) - bar_number(last, interval)
    if left_out <= 0:
        return ()
    return (
        f"The range asked for goes on to {iso_time(market.end_ms)}, but limit is {market.limit:,}: the candles end at "
        f"{iso_time(last)}, about {left_out:,} before that. Raise limit to have them all.",
    )


def _gaps(quality: DataQuality, name: str) -> str:
    if not quality.gaps:
        return ""
    missing = sum(gap.missing_bars for gap in quality.gaps)
    longest = sorted(quality.gaps, key=lambda gap: -gap.missing_bars)[:_NAMED]
    named = "; ".join(_gap(gap) for gap in sorted(longest, key=lambda gap: gap.after_ms))
    count = len(quality.gaps)
    head = f"{name} has {count:,} gap{'s' if count > 1 else ''}: {missing:,} of {quality.expected_bars:,} candles"
    return f"{head} are missing and were not filled. {'The longest' if count > _NAMED else 'They are'}: {named}."


def _gap(gap: Gap) -> str:
    return f"{gap.missing_bars:,} between {iso_time(gap.after_ms)} and {iso_time(gap.next_ms)}"


def _jumps(quality: DataQuality, bars: Bars) -> Iterator[str]:
    """Yield a sentence for each gap across which the price jumps, the largest few first."""
    for jump in sorted(find_jumps(bars, quality.gaps), key=lambda jump: -max(jump.ratio, 1 / jump.ratio))[:_NAMED]:
        gap = next(gap for gap in quality.gaps if gap.after_ms == jump.after_ms)
        row = np.searchsorted(bars.open_time_ms, jump.after_ms)
        move = f"{_price(bars.close[row])} to {_price(bars.open[row + 1])} ({_times(jump.ratio)})"
        where = f"{gap.missing_bars:,} {bars.interval.name} candles between {iso_time(gap.after_ms)} and "
        where += iso_time(gap.next_ms)
        yield (
            f"{bars.symbol} goes from {move} across the gap of {where}: a trade held through it makes a profit or loss "
            "that nobody could have had; this may be another coin under the same name."
        )


def _price(value: np.float64) -> str:
    return np.format_float_positional(value, trim="-")


def _times(ratio: float) -> str:
    return f"{ratio:,.1f}×" if ratio >= 1 else f"1/{1 / ratio:,.1f}"


def _rejected(quality: DataQuality, name: str) -> str:
    rows = quality.rejected_rows
    if not rows:
        return ""
    if len(rows) <= _NAMED:
        named = "; ".join(f"{iso_time(row.open_time_ms)}, {row.reason}" for row in rows)
    else:
        reasons = Counter(row.reason for row in rows).most_common()
        named = f"{'; '.join(f'{count:,} because {reason}' for reason, count in reasons)}; the first at "
        named += iso_time(rows[0].open_time_ms)
    return f"{len(rows):,} {name} candle{'s' if len(rows) > 1 else ''} left out as impossible: {named}."


def _duplicates(quality: DataQuality, name: str) -> str:
    count = quality.duplicate_rows
    return f"{count:,} {name} row{'s' if count > 1 else ''} came more than once and counted once." if count else ""


def _disorder(quality: DataQuality, name: str) -> str:
    count = quality.disordered_rows
    return (
        f"{name} rows came out of order in {count:,} place{'s' if count > 1 else ''} and were sorted." if count else ""
    )


def _irregular_closes(quality: DataQuality, name: str) -> str:
    count = quality.irregular_close_times
    if not count:
        return ""
    return (
        f"{count:,} {name} candle{'s' if count > 1 else ''} closed at another time than the interval says, as the "
        "exchange does where trading stops or starts again."
    )


def _silence(quality: DataQuality, name: str) -> str:
    count = quality.zero_volume_bars
    if not count or count < _SILENT_SHARE * quality.present_bars:
        return ""
    return (
        f"{count:,} of {quality.present_bars:,} {name} candles have no trade at all, up to "
        f"{quality.longest_zero_volume_run:,} in a row: fills there would have found nobody to trade with."
    )
