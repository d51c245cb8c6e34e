"""Fetch only those finer bars that a run needs inside its bars."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars, join
from src.domain.errors import InvalidInput
from src.domain.intervals import DAY_MS, Interval
from src.domain.market import LimitOrigin, MarketRequest, MarketSeries
from src.domain.runs import BacktestRequest
from src.domain.signals import Predictions, Signals
from src.domain.trading import TradingRules
from src.ports.computing import Engine
from src.ports.market import BarSource
from src.service.computing import ComputeQueue
from src.service.judging import runs_of
from src.service.pipeline import decide

MAX_DETAIL_BARS: Final = 3_000_000
"""Finer bars of one run: nearly six years of minutes, and 150 MB."""


class DetailingEngine(Engine, Protocol):
    """An engine that can trade by finer bars, and says in which bars it lacks them."""

    def find_detail(self, bars: Bars, signals: Signals, rules: TradingRules) -> NDArray[np.intp]: ...


Days = set[int]
"""Days of UTC, counted from 1970."""


async def fetch_with_detail(
    source: BarSource,
    request: BacktestRequest,
    series: MarketSeries,
    predictions: Predictions | None,
    engine: DetailingEngine,
    computing: ComputeQueue,
) -> MarketSeries:
    """Return the bars, with finer bars inside those in which the run's orders or positions may act.

    The run is repeated until it asks for no further day, because the outcome inside a bar changes later positions. Days
    are fetched whole, so that runs of nearby settings share them. Days that the source lacks have no finer bars.

    Raises InvalidInput if that would be more than `MAX_DETAIL_BARS`, or the source has no bars of that length; and what
    `source.fetch` raises.
    """
    finer = request.rules.detail
    if finer is None:
        return series
    runs = [
        (run.bars, await computing.run(decide, request, run.bars, run.predictions, run.history))
        for run in runs_of(request, series, predictions)
    ]
    parts: list[Bars] = []
    inside: Bars | None = None
    known: Days = set()
    while True:
        days: Days = set()
        for bars, signals in runs:
            detailed = replace(bars, inside=inside)
            days |= _days_of(bars, await computing.run(engine.find_detail, detailed, signals, request.rules))
        days -= known
        if not days:
            return replace(series, bars=replace(series.bars, inside=inside))
        known |= days
        if len(known) * DAY_MS > MAX_DETAIL_BARS * finer.milliseconds:
            raise InvalidInput(
                "{field} is {got}, and the run needs bars of that length on {days:,} days or more. Allowed: up to "
                "{most:,} bars in all. Ask for a coarser detail or fewer bars.",
                field="detailInterval", got=finer.name, days=len(known), most=MAX_DETAIL_BARS,
            )  # fmt: skip
        fetched = [await _fetch_days(source, request.market, finer, span) for span in _spans(days)]
        # A later round may ask for days between those of an earlier one: the parts stay apart until they are joined.
        parts += [part for part in fetched if part is not None]
        if parts:
            inside = await computing.run(join, parts)


def _days_of(bars: Bars, numbers: NDArray[np.intp]) -> Days:
    """Return the days that contain these bars."""
    opens = bars.open_time_ms[numbers]
    closes = bars.interval.next_opens_ms(opens) - 1
    days: Days = set()
    for first, last in zip((opens // DAY_MS).tolist(), (closes // DAY_MS).tolist(), strict=True):
        days.update(range(first, last + 1))
    return days


def _spans(days: Days) -> list[tuple[int, int]]:
    """Return the first and the last of consecutive days, in order."""
    numbers = np.array(sorted(days))
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 2) > 1)
    ends = np.append(starts[1:], len(numbers)) - 1
    return list(zip(numbers[starts].tolist(), numbers[ends].tolist(), strict=True))


async def _fetch_days(source: BarSource, market: MarketRequest, finer: Interval, span: tuple[int, int]) -> Bars | None:
    """Return the finer bars of some days; None if the source has none there."""
    start_ms, end_ms = span[0] * DAY_MS, (span[1] + 1) * DAY_MS - 1
    inside = replace(
        market, interval=finer, start_ms=start_ms, end_ms=end_ms, limit=finer.most_bars(start_ms, end_ms),
        limit_origin=LimitOrigin.RANGE,
    )  # fmt: skip
    try:
        return (await source.fetch(inside)).bars
    except InvalidInput as error:
        if error.field == "interval":
            raise InvalidInput("{field}: {why}", field="detailInterval", why=error.text) from error
        # Only the times differ from the run's own request, so only the bars can be missing.
        return None
