"""Serve the bars of one dataset: `DatasetSource`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.bars.quality import assess
from src.bars.quality_warnings import describe_quality
from src.bars.ranges import WholeRange, check_whole_range, describe_range
from src.bars.resampling import finer_intervals, resample
from src.datasets.files import DamagedDataset, OtherKind, read_bars, read_head
from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.datasets import Dataset
from src.domain.errors import InvalidInput, SourceNotFound, StoreUnavailable, SymbolNotFound
from src.domain.instants import iso_time
from src.domain.intervals import INTERVALS
from src.domain.market import Listing, MarketRequest, MarketSeries
from src.domain.symbols import normalize_symbol


class DatasetSource:
    """The `BarSource` of one file of `datasets.files`: one symbol, at its own interval or a coarser one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        """Return the requested bars, oldest first; at least one.

        Repeated and disordered rows are counted for the whole uploaded file.

        Raises SymbolNotFound, InvalidInput, SourceNotFound, StoreUnavailable.
        """
        return await asyncio.to_thread(self._fetch, market)

    async def listings(self) -> Sequence[Listing]:
        """Return the one symbol of the dataset; its assets, and whether it trades, are unknown."""
        dataset = await asyncio.to_thread(self._head)
        return (Listing(symbol=dataset.symbol, base="", quote="", is_trading=False),)

    async def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def _fetch(self, market: MarketRequest) -> MarketSeries:
        dataset, every = self._read()
        if normalize_symbol(market.symbol) != dataset.symbol:
            raise SymbolNotFound(
                "{@symbol} is {got!r}. The dataset {name!r} has {has} only.",
                got=market.symbol, name=dataset.name, has=dataset.symbol,
            )  # fmt: skip
        bars = _at_interval(every, market, dataset)
        in_range = _in_range(bars, market)
        if not len(in_range):
            raise _nothing_there(bars, market, dataset)
        check_whole_range(market, len(in_range))
        chosen = (
            in_range.slice(max(0, len(in_range) - market.limit), len(in_range))
            if market.start_ms is None
            else in_range.slice(0, market.limit)
        )
        is_native = market.interval == dataset.interval
        # Coarser bars have no rows of their own: faults of the file's rows are reported for its own interval below.
        quality = _quality(chosen, dataset) if is_native else assess(chosen)
        warnings = describe_quality(quality, chosen)
        warnings += describe_range(market, chosen, dataset.uploaded_ms, goes_on=False, whole=_whole(in_range))
        if not is_native:
            finer = _between(every, int(chosen.open_time_ms[0]), quality.last_close_ms or 0)
            warnings = describe_quality(_quality(finer, dataset), finer) + warnings
        return MarketSeries(
            bars=chosen,
            quality=quality,
            origin=f"dataset {dataset.name!r}",
            warnings=tuple(dict.fromkeys(warnings)),
        )

    def _read(self) -> tuple[Dataset, Bars]:
        try:
            return read_bars(self._path)
        except FileNotFoundError as error:
            raise SourceNotFound("Source {name!r} does not exist any more.", name=self._path.stem) from error
        except OtherKind as other:
            raise InvalidInput(
                "{field} is {got!r}, a dataset of funding rates. Allowed: one of bars.",
                field="source", got=self._path.stem,
            ) from other  # fmt: skip
        except (DamagedDataset, OSError) as error:
            raise self._unreadable() from error

    def _head(self) -> Dataset:
        try:
            return read_head(self._path)
        except (DamagedDataset, OSError) as error:
            raise self._unreadable() from error

    def _unreadable(self) -> StoreUnavailable:
        return StoreUnavailable(
            "The dataset {name!r} cannot be read from the disk. Upload it again.", name=self._path.stem
        )


def _at_interval(bars: Bars, market: MarketRequest, dataset: Dataset) -> Bars:
    if market.interval == dataset.interval:
        return bars
    if dataset.interval in finer_intervals(market.interval):
        return resample(bars, market.interval)
    allowed = [
        name for name, one in INTERVALS.items() if one == dataset.interval or dataset.interval in finer_intervals(one)
    ]
    raise InvalidInput(
        "{field} is {got!r}, and {name!r} has {has} bars. Allowed: {allowed}.",
        field="interval",
        got=market.interval.name,
        name=dataset.name,
        has=dataset.interval.name,
        allowed=allowed,
    )


def _in_range(bars: Bars, market: MarketRequest) -> Bars:
    """Return the bars between the request's dates, without regard to its limit."""
    stop_ms = int(np.iinfo(np.int64).max) if market.end_ms is None else market.end_ms + 1
    return _between(bars, market.start_ms or 0, stop_ms)


def _whole(bars: Bars) -> WholeRange:
    first, last = (int(time) for time in bars.open_time_ms[[0, -1]])
    return WholeRange(bars=len(bars), first_open_ms=first, last_open_ms=last)


def _between(bars: Bars, start_ms: int, stop_ms: int) -> Bars:
    """Return the bars that open at `start_ms` or later and before `stop_ms`."""
    start, stop = (int(row) for row in np.searchsorted(bars.open_time_ms, [start_ms, stop_ms]))
    return bars.slice(start, max(start, stop))


def _quality(bars: Bars, dataset: Dataset) -> DataQuality:
    if not len(bars):
        return assess(bars)
    whole, first, last = dataset.quality, int(bars.open_time_ms[0]), int(bars.open_time_ms[-1])
    return assess(
        bars,
        duplicate_rows=whole.duplicate_rows,
        disordered_rows=whole.disordered_rows,
        rejected_rows=tuple(row for row in whole.rejected_rows if first <= row.open_time_ms <= last),
        irregular_close_times=whole.irregular_close_times,
    )


def _nothing_there(bars: Bars, market: MarketRequest, dataset: Dataset) -> InvalidInput:
    field = "endDate" if market.start_ms is None else "startDate"
    if not len(bars):
        return InvalidInput(
            "The dataset {name!r} has too few {has} bars for one of {wanted}.",
            field="interval",
            name=dataset.name,
            has=dataset.interval.name,
            wanted=market.interval.name,
        )
    first, last = (iso_time(int(time)) for time in bars.open_time_ms[[0, -1]])
    return InvalidInput(
        "There are no {interval} bars in this range. The dataset {name!r} has them from {first} to {last}.",
        field=field,
        interval=market.interval.name,
        name=dataset.name,
        first=first,
        last=last,
    )
