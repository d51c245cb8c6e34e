"""Run a long backtest as a job."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import ClassVar

from src.domain.jobs import JobKind, JobOutcome
from src.domain.runs import BacktestRequest
from src.ports.jobs import JobHandle
from src.service.backtests import BacktestService
from src.service.job_attempts import run_once


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestTask:
    """The `JobTask` of backtests; `backtests` sets the time limit of a run."""

    kind: ClassVar = JobKind.BACKTEST

    backtests: BacktestService

    async def run(self, handle: JobHandle) -> JobOutcome:
        """Run it and store its result; a second attempt finds the stored result. Raises any ServiceError."""
        request = handle.request
        if not isinstance(request, BacktestRequest):
            raise TypeError(f"{type(request).__name__} is not a backtest")
        result_id = str(uuid.uuid5(uuid.UUID(handle.job.id), "result"))
        await run_once(self.backtests, request, result_id)
        return JobOutcome(result_id=result_id)
