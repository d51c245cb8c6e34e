"""Compute rows of sweeps in the job threads of this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.ports.jobs import JobHandle, OpenSweep
from src.sweeps.evaluation import Evaluator


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSweep:
    """One sweep in threads, which share what does not depend on the row."""

    handle: JobHandle
    evaluator: Evaluator

    @property
    def width(self) -> int:
        return self.handle.threads

    async def evaluate(self, values: NDArray[np.float64], *, first: int, total: int) -> EvaluatedRows:
        return await self.handle.compute(partial(self.evaluator.evaluate, values, first=first, total=total))


class ThreadExecutor:
    """The `RowExecutor` of one process."""

    @asynccontextmanager
    async def open(self, inputs: SweepInputs, handle: JobHandle) -> AsyncIterator[OpenSweep]:
        yield ThreadSweep(handle=handle, evaluator=await handle.compute(Evaluator, inputs))
