"""Run a portfolio backtest as a job: read each symbol's bars, then trade them all with one cash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from src.domain.errors import InvalidInput
from src.domain.jobs import ChunkSpan, JobKind, JobOutcome, JobProgress, JobStage, StageName
from src.domain.portfolio import MAX_SYMBOL_BARS, PortfolioRequest
from src.metrics.portfolio import INDEX
from src.ports.jobs import JobHandle
from src.ports.stores import TrialLedger
from src.service.backtests import BacktestService
from src.service.job_attempts import prepare_pinned
from src.service.judging import ledger_market, take_snapshot
from src.service.portfolio_runs import (
    SymbolInputs,
    build_entry,
    build_tables,
    conclude,
    for_symbol,
    measure_dearer,
    measure_fill_band,
    read_inputs,
    to_bytes,
    trade,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioTask:
    """The `JobTask` of portfolios; its one chunk holds the tables of `portfolio_runs.PortfolioTables`."""

    kind: ClassVar = JobKind.PORTFOLIO

    backtests: BacktestService
    ledger: TrialLedger

    async def run(self, handle: JobHandle) -> JobOutcome:
        """Read the symbols, trade them, count the trial, and conclude; raises any ServiceError."""
        request = handle.request
        if not isinstance(request, PortfolioRequest):
            raise TypeError(f"{type(request).__name__} is not a portfolio")
        inputs = await self._read(request, handle)
        await handle.note(_traded(0))
        run = await handle.compute(trade, request, inputs)
        await handle.note(_traded(1))
        entry = await handle.compute(build_entry, request, inputs, run)
        market = ledger_market(INDEX, inputs[0].series.origin)
        # A second attempt is not counted again, because the key is the same.
        update = await self.ledger.record(entry, user_id=request.user_id, symbol=market)
        snapshot = await handle.compute(take_snapshot, update)
        dearer = await handle.compute(measure_dearer, request, inputs)
        band = await handle.compute(measure_fill_band, request, inputs, run)
        await handle.note(_traded(2))
        conclusion = await handle.compute(conclude, request, inputs, run, snapshot, dearer, band)
        content = await handle.compute(lambda: to_bytes(build_tables(run)))
        count = len(inputs)
        if not await handle.spans():
            progress = JobProgress(total=count, rate=None, best_so_far=None)
            await handle.commit(ChunkSpan(first=0, count=count), content, progress)
        return JobOutcome(result_id=handle.job.id, conclusion=conclusion, warnings=conclusion.warnings)

    async def _read(self, request: PortfolioRequest, handle: JobHandle) -> list[SymbolInputs]:
        """Read the bars of each symbol, and decide its signals."""
        inputs: list[SymbolInputs] = []
        bars, count = 0, len(request.symbols)
        for number, symbol in enumerate(request.symbols):
            progress = JobProgress(total=count, rate=None, best_so_far=None)
            await handle.note(JobStage(name=StageName.BARS, done=number, total=count), progress=progress)
            own = for_symbol(request, symbol)
            backtest, series, predictions = await prepare_pinned(
                self.backtests, handle, own, warm_up_bars=own.warm_up_bars, part=f"bars-{number}"
            )
            bars += len(series.bars)
            if bars > MAX_SYMBOL_BARS:
                raise InvalidInput(
                    "The symbols have more than {most:,} bars together. Ask for fewer symbols ({field}) or bars "
                    "({@limit}).",
                    field="symbols",
                    most=MAX_SYMBOL_BARS,
                )
            inputs.append(await handle.compute(read_inputs, backtest, series, predictions))
        return inputs


def _traded(done: int) -> JobStage:
    return JobStage(name=StageName.TRADE, done=done, total=3)
