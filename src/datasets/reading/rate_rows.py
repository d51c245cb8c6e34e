"""Check the rows of an uploaded file of funding rates."""

from __future__ import annotations

from typing import Final

import numpy as np

from src.bars.quality import find_gaps
from src.datasets.reading.checking import describe_reading
from src.datasets.reading.reader import BarFileRows
from src.datasets.reading.table import RATE
from src.domain.bar_quality import DataQuality, RejectedRow
from src.domain.bars import bar_spacing_ms
from src.domain.datasets import BarFileDeclaration
from src.domain.errors import InvalidInput
from src.domain.funding import MAX_FUNDING_RATE
from src.domain.funding_rates import MINUTE_MS, FundingRates, build_rates
from src.domain.instants import iso_time
from src.domain.intervals import INTERVALS, Interval

_USUAL: Final = INTERVALS["8h"]


def check_rates(
    rows: BarFileRows, declared: BarFileDeclaration
) -> tuple[FundingRates, Interval, DataQuality, tuple[str, ...]]:
    """Return the rates, oldest first, their interval, the report on all rows, and warnings.

    Times are rounded to the minute: the exchange writes some a few milliseconds late, and a mark at the open of a bar
    must not lie inside it. Rows without a number are left out.

    Raises InvalidInput if no rate is left, a rate is larger than on any exchange, or one time has two rates.
    """
    times = (rows.columns["time"] + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
    rates = rows.columns[RATE]
    is_known = np.isfinite(rates)
    if not is_known.any():
        raise InvalidInput("No row of the file has a rate of funding.", field="file")
    rejected = tuple(
        RejectedRow(open_time_ms=time_ms, reason="its rate is not a number") for time_ms in times[~is_known].tolist()
    )
    times, rates = times[is_known], rates[is_known]
    largest = int(np.argmax(np.abs(rates)))
    if abs(rates[largest]) > MAX_FUNDING_RATE:
        raise InvalidInput(
            "The rate at {time} is {got:g}. Allowed: fractions from {least:g} to {most:g}, 0.0001 for 0.01 %.",
            field="file", time=iso_time(int(times[largest])), got=float(rates[largest]), least=-MAX_FUNDING_RATE,
            most=MAX_FUNDING_RATE,
        )  # fmt: skip
    disordered = int(np.count_nonzero(np.diff(times) < 0))
    order = np.argsort(times, kind="stable")
    times, rates = times[order], rates[order]
    is_repeated = np.concatenate(([False], np.diff(times) == 0))
    twice = np.flatnonzero(is_repeated & (rates != np.roll(rates, 1)))
    if twice.size:
        raise InvalidInput(
            "The file has two rates at {time}: {one:g} and {other:g}.",
            field="file", time=iso_time(int(times[twice[0]])), one=float(rates[twice[0] - 1]),
            other=float(rates[twice[0]]),
        )  # fmt: skip
    times, rates = times[~is_repeated], rates[~is_repeated]
    spacing = bar_spacing_ms(times)
    interval = declared.interval or next((one for one in INTERVALS.values() if one.milliseconds == spacing), _USUAL)
    quality = DataQuality(
        expected_bars=interval.count_slots(int(times[0]), int(times[-1])),
        present_bars=len(times),
        gaps=find_gaps(times, interval),
        duplicate_rows=int(np.count_nonzero(is_repeated)),
        disordered_rows=disordered,
        rejected_rows=rejected,
        first_open_ms=int(times[0]),
        last_close_ms=interval.next_open_ms(int(times[-1])) - 1,
    )
    return build_rates(times, rates), interval, quality, tuple(describe_reading(rows, declared.symbol))
