"""Describe the subjects of jobs, read from their requests: these never change, so the stores need no column for it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from src.domain.errors import JobNotFound, UnreadableResult
from src.domain.jobs import JobRequest, JobSubject
from src.domain.parameters import parameters_of
from src.domain.portfolio import PortfolioRequest
from src.domain.runs import BacktestRequest
from src.domain.strategy import ModelChoice
from src.domain.sweeps import SweepRequest
from src.domain.walk_forward import WalkForwardRequest
from src.ports.jobs import JobStore
from src.strategies.registry import PARAMS

MAX_KEPT: Final = 10_000
"""Subjects in memory: some hundred bytes each, while a request of a sweep may have 80,000 values."""

MAX_SHOWN_SYMBOLS: Final = 3

_NAMES: Final = {params: name for name, params in PARAMS.items()}
_MODEL_PATH: Final = next(item for item in parameters_of(ModelChoice) if item.parameter.name == "model_path")


def subject_of(request: JobRequest) -> JobSubject:
    """Return what a job with this request is about."""
    sweep = request.sweep if isinstance(request, WalkForwardRequest) else request
    backtest = sweep if isinstance(sweep, BacktestRequest) else sweep.backtest
    model = backtest.strategy.model
    return JobSubject(
        symbol=_shorten(request.symbols) if isinstance(request, PortfolioRequest) else backtest.market.symbol,
        interval=backtest.market.interval.name,
        source=backtest.market.source,
        strategy=_NAMES[type(backtest.strategy)],
        model=None if model is None else str(_MODEL_PATH.write(model.reference)),
        swept=tuple(item.name for item in sweep.parameters) if isinstance(sweep, SweepRequest) else (),
    )


def _shorten(symbols: tuple[str, ...]) -> str:
    """Return the first symbols, and how many more there are."""
    shown = ", ".join(symbols[:MAX_SHOWN_SYMBOLS])
    return shown if len(symbols) <= MAX_SHOWN_SYMBOLS else f"{shown} and {len(symbols) - MAX_SHOWN_SYMBOLS} more"


@dataclass(slots=True, eq=False)
class JobSubjects:
    """The subjects of jobs by their ids; the most recently read ones stay in memory."""

    store: JobStore
    max_kept: int = MAX_KEPT
    _kept: OrderedDict[str, JobSubject] = field(default_factory=OrderedDict)

    async def read(self, job_id: str) -> JobSubject | None:
        """Return what a job is about; None if it is gone, or its request cannot be read. Raises StoreUnavailable."""
        if job_id not in self._kept:
            try:
                found = subject_of(await self.store.read_request(job_id))
            except (JobNotFound, UnreadableResult):
                return None
            self._kept[job_id] = found
            while len(self._kept) > self.max_kept:
                self._kept.popitem(last=False)
        self._kept.move_to_end(job_id)
        return self._kept[job_id]
