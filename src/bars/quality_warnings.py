"""Write warnings for clients about the quality of bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from src.bars.quality import find_jumps
from src.domain.bar_quality import DataQuality, Gap
from src.domain.bars import Bars
from src.domain.instants import iso_time
from src.domain.market import SymbolWarning

_MAX_NAMED: Final = 3
"""Most gaps or rows that a warning names one by one."""
_SILENT_SHARE: Final = 0.05
"""Minimum share of bars without a trade for a warning: many fills would then have no counterparty."""


def describe_quality(quality: DataQuality, bars: Bars) -> tuple[str, ...]:
    """Return a `SymbolWarning` for each kind of fault in `bars`."""
    name = f"{bars.symbol} {bars.interval.name}"
    return tuple(
        SymbolWarning(sentence, kind)
        for kind, sentence in (
            ("gaps", _gaps(quality, name)),
            *(("jumps", sentence) for sentence in _jumps(quality, bars)),
            ("rejected rows", _rejected(quality, name)),
            ("duplicate rows", _duplicates(quality, name)),
            ("disordered rows", _disorder(quality, name)),
            ("irregular closes", _irregular_closes(quality, name)),
            ("no trades", _silence(quality, name)),
        )
        if sentence
    )


def _gaps(quality: DataQuality, name: str) -> str:
    if not quality.gaps:
        return ""
    missing = sum(gap.missing_bars for gap in quality.gaps)
    longest = sorted(quality.gaps, key=lambda gap: -gap.missing_bars)[:_MAX_NAMED]
    named = "; ".join(_gap(gap) for gap in sorted(longest, key=lambda gap: gap.after_ms))
    count = len(quality.gaps)
    head = f"{name} has {count:,} gap{'s' if count > 1 else ''}: {missing:,} of {quality.expected_bars:,} bars"
    return f"{head} are missing and were not filled. {'The longest' if count > _MAX_NAMED else 'They are'}: {named}."


def _gap(gap: Gap) -> str:
    return f"{gap.missing_bars:,} between {iso_time(gap.after_ms)} and {iso_time(gap.next_ms)}"


def _jumps(quality: DataQuality, bars: Bars) -> Iterator[str]:
    """Yield a warning for each of the largest price jumps across gaps, and one that counts the others."""
    jumps = sorted(find_jumps(bars, quality.gaps), key=lambda jump: -max(jump.ratio, 1 / jump.ratio))
    for jump in jumps[:_MAX_NAMED]:
        gap = next(gap for gap in quality.gaps if gap.after_ms == jump.after_ms)
        row = np.searchsorted(bars.open_time_ms, jump.after_ms)
        move = f"{_price(bars.close[row])} to {_price(bars.open[row + 1])} ({_times(jump.ratio)})"
        where = f"{gap.missing_bars:,} {bars.interval.name} bars between {iso_time(gap.after_ms)} and "
        where += iso_time(gap.next_ms)
        yield (
            f"{bars.symbol} goes from {move} across the gap of {where}: a trade held through it has a profit or loss "
            "that was not possible; this may be another coin under the same name."
        )
    more = len(jumps) - _MAX_NAMED
    if more > 0:
        plural = "s" if more > 1 else ""
        yield f"{bars.symbol} has {more:,} more such price jump{plural} across gaps, none of them larger."


def _price(value: np.float64) -> str:
    return np.format_float_positional(value, trim="-")


def _times(ratio: float) -> str:
    return f"{ratio:,.1f}×" if ratio >= 1 else f"1/{1 / ratio:,.1f}"


def _rejected(quality: DataQuality, name: str) -> str:
    rows = quality.rejected_rows
    if not rows:
        return ""
    if len(rows) <= _MAX_NAMED:
        named = "; ".join(f"{iso_time(row.open_time_ms)}, {row.reason}" for row in rows)
    else:
        reasons = Counter(row.reason for row in rows).most_common()
        named = f"{'; '.join(f'{count:,} because {reason}' for reason, count in reasons)}; the first at "
        named += iso_time(rows[0].open_time_ms)
    return f"{len(rows):,} {name} bar{'s' if len(rows) > 1 else ''} left out as impossible: {named}."


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
        f"{count:,} {name} bar{'s' if count > 1 else ''} closed at another time than the interval says, as the "
        "exchange does where trading stops or starts again."
    )


def _silence(quality: DataQuality, name: str) -> str:
    count = quality.zero_volume_bars
    if not count or count < _SILENT_SHARE * quality.present_bars:
        return ""
    return (
        f"{count:,} of {quality.present_bars:,} {name} bars have no trade at all, up to "
        f"{quality.longest_zero_volume_run:,} in a row. Orders there could not have been filled."
    )
