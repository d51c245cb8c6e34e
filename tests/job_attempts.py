"""Attempts of a job in memory that end at a chosen write, and a source whose bars grow between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.errors import Conflict, InvalidInput
from src.domain.jobs import KIND_OF, ChunkSpan, Job, JobPart, JobProgress, JobRequest, JobStage
from src.domain.market import MarketRequest, MarketSeries
from src.domain.runs import BacktestResult
from src.ports.jobs import JobHandle
from tests.jobs import make_job
from tests.unit.service.known_bars import KnownBars, MemoryStore


class Killed(Exception):
    """The process of an attempt died."""


@dataclass(kw_only=True)
class StoredJob:
    """What the store has of a job, and how the attempts write to it.

    `writes` counts the writes of all attempts. `kill` is asked with that number, before and after each write, and ends
    the attempt if it returns True.
    """

    job: Job
    request: JobRequest
    chunks: dict[int, tuple[ChunkSpan, bytes]] = field(default_factory=dict)
    parts: dict[str, bytes] = field(default_factory=dict)
    stages: list[JobStage] = field(default_factory=list)
    progress: list[JobProgress] = field(default_factory=list)
    """That of the notes."""
    writes: int = 0
    kill: Callable[[int, bool], bool] = lambda number, is_written: False

    @classmethod
    def of(cls, request: JobRequest) -> StoredJob:
        job = make_job(id="3b0f1c52-64a6-4d49-b6f0-6e8a4b1f7a10", kind=KIND_OF[type(request)], user_id=request.user_id)
        return cls(job=job, request=request)

    def begin(self) -> JobHandle:
        """Return the handle of an attempt."""
        return _Attempt(self)

    def write(self, change: Callable[[], object]) -> None:
        self.writes += 1
        if self.kill(self.writes, False):
            raise Killed
        change()
        if self.kill(self.writes, True):
            raise Killed


class _Attempt:
    """A `JobHandle` of one thread."""

    threads = 1

    def __init__(self, stored: StoredJob) -> None:
        self._stored = stored
        self.job, self.request = stored.job, stored.request

    async def compute(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.to_thread(function, *arguments)

    async def spans(self) -> Sequence[ChunkSpan]:
        return [span for _, (span, _) in sorted(self._stored.chunks.items())]

    async def chunks(self) -> AsyncIterator[bytes]:
        for _, (_, content) in sorted(self._stored.chunks.items()):
            yield content

    async def commit(self, span: ChunkSpan, content: bytes, progress: JobProgress) -> None:
        self._stored.write(lambda: self._stored.chunks.setdefault(span.first, (span, content)))

    async def note(
        self, stage: JobStage | None, part: JobPart | None = None, progress: JobProgress | None = None
    ) -> None:
        def change() -> None:
            if stage is not None:
                self._stored.stages.append(stage)
            if progress is not None:
                self._stored.progress.append(progress)
            if part is not None:
                self._stored.parts.setdefault(part.name, part.content)

        self._stored.write(change)

    async def parts(self) -> dict[str, bytes]:
        return dict(self._stored.parts)


class GrowingBars(KnownBars):
    """A source that has the first `known` of its bars, and serves the ranges and limits that are asked for."""

    def __init__(self, bars: Bars, *, known: int) -> None:
        super().__init__(bars, warnings=("a hole",))
        self.known = known

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        times = self.bars.open_time_ms[: self.known]
        start = 0 if market.start_ms is None else int(np.searchsorted(times, market.start_ms))
        stop = len(times) if market.end_ms is None else int(np.searchsorted(times, market.end_ms, side="right"))
        if stop <= start:
            raise InvalidInput("No bars.", field="endDate")
        if market.start_ms is None:
            start = max(start, stop - market.limit)
        bars = self.bars.slice(start, min(stop, start + market.limit))
        quality = DataQuality(expected_bars=len(bars), present_bars=len(bars))
        return MarketSeries(bars=bars, quality=quality, origin="made by hand", warnings=self.warnings)

    def change_close(self, number: int) -> None:
        """Correct a bar, as an exchange does."""
        close = self.bars.close.copy()
        close[number] = (self.bars.low[number] + self.bars.high[number]) / 2
        self.bars = replace(self.bars, close=close)


class CountingStore(MemoryStore):
    """A store that refuses a second result of an id, and counts what was run for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = 0

    async def save(self, result: BacktestResult) -> None:
        if result.id in self.results:
            self.refused += 1
            raise Conflict("It is stored.")
        await super().save(result)
