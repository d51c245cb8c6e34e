"""Test rows of a sweep in a thread: against buying and holding, and their timing against luck."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from src.domain.jobs import JobStage, StageName
from src.domain.sweep_outcomes import SweepSuperiority, TimedRows
from src.domain.sweep_rows import SweepInputs
from src.metrics.returns import simple_returns
from src.ports.jobs import JobHandle
from src.sweeps.evaluation import Evaluator
from src.sweeps.overfitting import superiority_of
from src.sweeps.timing import timing_of

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Found = TypeVar("Found")

SHOW_S: Final = 1.0
"""Pause between two progress reports of a test."""


class Stopped(Exception):
    """The job was cancelled, so nothing waits for the rest."""


class RowsTest(ABC, Generic[Found]):
    """A test of rows with some values [k, p], which runs each of them twice; it knows its progress, and can be stopped.

    It reads the rows by their places among the values.
    """

    STAGE: ClassVar[StageName]

    def __init__(self, inputs: SweepInputs, values: Floats) -> None:
        self._inputs = inputs
        self._values = values
        self._stopped = threading.Event()
        self.done = 0

    @property
    def stage(self) -> JobStage:
        """The progress of the test."""
        total = 2 * len(self._values)
        return JobStage(name=self.STAGE, done=min(self.done, total), total=total)

    def stop(self) -> None:
        """Stop before the next rows."""
        self._stopped.set()

    def run(self) -> Found | None:
        """Return what the test finds; raises Stopped."""
        found = self._find(Evaluator(self._inputs))
        # A row that cannot be tested is not run again.
        self.done = 2 * len(self._values)
        return found

    @abstractmethod
    def _find(self, evaluator: Evaluator) -> Found | None:
        """Return what the test finds; it computes rows by `_watch` only."""

    def _watch(self, compute: Callable[[Floats], Floats]) -> Callable[[Numbers], Floats]:
        """Return what computes rows by their places, counts them, and raises Stopped."""

        def compute_watched(places: Numbers) -> Floats:
            if self._stopped.is_set():
                raise Stopped
            found = compute(self._values[places])
            self.done += len(places)
            return found

        return compute_watched


class MarketTest(RowsTest[SweepSuperiority]):
    """The test of rows against buying and holding."""

    STAGE = StageName.SUPERIORITY

    def _find(self, evaluator: Evaluator) -> SweepSuperiority | None:
        close, places = self._inputs.bars.close, np.arange(len(self._values))
        return superiority_of(self._watch(evaluator.returns), places, simple_returns(close, float(close[0])))


class RowTimingTest(RowsTest[TimedRows]):
    """The test of the rows' timing; `numbers` [k] are those of the rows in the sweep, `best` that of the best one."""

    STAGE = StageName.TIMING

    def __init__(self, inputs: SweepInputs, values: Floats, numbers: Numbers, best: int | None) -> None:
        super().__init__(inputs, values)
        self._numbers = numbers
        self._best = best

    def _find(self, evaluator: Evaluator) -> TimedRows | None:
        return timing_of(self._watch(evaluator.exposures), self._numbers, evaluator.market_returns, self._best)


async def run_test(handle: JobHandle, test: RowsTest[Found]) -> Found | None:
    """Run a test in a thread, show its progress, and return what it finds; the thread stops soon after a cancellation.

    The caller stores what was found.
    """
    await handle.note(test.stage)
    testing = asyncio.ensure_future(handle.compute(test.run))
    try:
        shown = test.done
        while not testing.done():
            await asyncio.wait([testing], timeout=SHOW_S)
            if test.done > shown and not testing.done():
                shown = test.done
                await handle.note(test.stage)
        return testing.result()
    finally:
        test.stop()
        testing.cancel()
