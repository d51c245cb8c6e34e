"""Submit portfolio backtests, and read what they found; the work itself is a job's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import Conflict, InvalidInput, UnreadableResult, bad_value, job_not_found
from src.domain.jobs import Job, JobKind
from src.domain.portfolio import MAX_SYMBOL_BARS, PortfolioConclusion, PortfolioRequest
from src.service.backtests import BacktestService
from src.service.computing import ComputeQueue
from src.service.jobs import JobService
from src.service.portfolio_runs import PortfolioTables, from_bytes
from src.tearsheet.drawdowns import drawdown_curve
from src.tearsheet.reduction import count_bars_per_point, reduce_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """A portfolio backtest: its job, its request, and its conclusion, None until it has succeeded."""

    job: Job
    request: PortfolioRequest
    conclusion: PortfolioConclusion | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PortfolioRows:
    """The rows of a portfolio that has succeeded; `symbols` are those that its fills and trades number."""

    symbols: tuple[str, ...]
    initial_cash: float
    tables: PortfolioTables


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BalanceRows:
    """Balances of a portfolio: columns [k] by name, the number of times in all, and the number in each row."""

    columns: dict[str, NDArray[Any]]
    total: int
    times_per_point: int

    def __len__(self) -> int:
        return len(self.columns["date"])


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioService:
    """The use cases of portfolio backtests; the id of their job is their id.

    Rows are read in a slot of the queue that backtests use, so that few tables are in memory at the same time.
    """

    jobs: JobService
    backtests: BacktestService
    computing: ComputeQueue

    async def start(self, request: PortfolioRequest, idempotency_key: str | None = None) -> Job:
        """Queue a portfolio backtest.

        Raises InvalidInput if its symbols may have too many bars together, or its source is a dataset of another
        symbol; ModelNotFound or SourceNotFound if what it names is not stored; Conflict (an idempotency key of another
        request); Busy.
        """
        check_size(request)
        await self.backtests.check_known(request.backtest)
        await self._check_dataset(request)
        return await self.jobs.submit(request, idempotency_key=idempotency_key)

    async def _check_dataset(self, request: PortfolioRequest) -> None:
        """Raise InvalidInput if the source is a dataset, and one of the symbols is not the dataset's."""
        sources, market = self.backtests.sources, request.backtest.market
        dataset = await sources.find_dataset(market.source, user_id=request.user_id)
        if dataset is None:
            return
        for place, symbol in enumerate(request.symbols):
            if symbol != dataset.symbol:
                raise InvalidInput(
                    "{field} is {got!r}. A portfolio takes the bars of all symbols from one source, and the dataset "
                    "{name!r} has {has} only. Allowed: this one symbol, or another {@source} ({known}).",
                    field=f"symbols.{place}", got=symbol, name=dataset.name, has=dataset.symbol, known=sources.names,
                )  # fmt: skip

    async def get(self, portfolio_id: str) -> Portfolio:
        """Return a portfolio; raises JobNotFound if there is none of that id."""
        job = await self.jobs.get(portfolio_id)
        if job.kind is not JobKind.PORTFOLIO:
            raise job_not_found(portfolio_id)
        request = await self.jobs.read_request(portfolio_id)
        conclusion = await self.jobs.read_conclusion(portfolio_id)
        if not isinstance(request, PortfolioRequest) or not isinstance(conclusion, PortfolioConclusion | None):
            raise UnreadableResult("Job {id!r} cannot be read: it is not what it says it is.", id=portfolio_id)
        return Portfolio(job=job, request=request, conclusion=conclusion)

    async def rows(self, portfolio_id: str) -> PortfolioRows:
        """Return the rows of a portfolio; raises JobNotFound, and Conflict if it has not succeeded."""
        portfolio = await self.get(portfolio_id)
        request = portfolio.request
        if portfolio.conclusion is None:
            raise Conflict(
                "Portfolio {id!r} is {state} and has no rows. It has them once it has succeeded.",
                id=portfolio_id,
                state=portfolio.job.state.value,
            )
        async with self.computing.slot(portfolio.job.user_id, is_reading=True):
            content = b"".join([chunk async for chunk in self.jobs.chunks(portfolio_id)])
            tables = await self.computing.run(from_bytes, content)
        return PortfolioRows(
            symbols=request.symbols, initial_cash=request.backtest.rules.initial_cash, tables=tables
        )  # fmt: skip


def check_size(request: PortfolioRequest) -> None:
    """Raise InvalidInput if the symbols may have more than `MAX_SYMBOL_BARS` bars together."""
    count, limit = len(request.symbols), request.backtest.market.limit
    if count * limit > MAX_SYMBOL_BARS:
        raise InvalidInput(
            "{field} ({count}) × {@limit} ({limit:,}) are {bars:,} bars. Maximum: {most:,}.",
            field="symbols", count=count, limit=limit, bars=count * limit, most=MAX_SYMBOL_BARS,
        )  # fmt: skip


def list_balances(
    rows: PortfolioRows, *, first: int | None, offset: int, points: int | None, max_rows: int
) -> BalanceRows:
    """Return balances at the closes of times, oldest first.

    Without `points`, return `first` of them (None: all) from the time number `offset` on; with it, all times, the same
    number in each row. Raises InvalidInput on `points` if it is out of bounds or comes with a page.
    """
    if points is not None and (first is not None or offset):
        raise InvalidInput(
            "{field} and {other} are both given. Allowed: one of them.",
            field="points", other="first" if first is not None else "offset",
        )  # fmt: skip
    if points is not None and not 1 <= points <= max_rows:
        raise bad_value("points", got=points, allowed=f"a whole number from 1 to {max_rows} (MAX_ROWS_PER_ANSWER)")
    tables = rows.tables
    columns: dict[str, NDArray[Any]] = {
        "date": tables.time_ms,
        "equity": tables.equity,
        "cash": tables.cash,
        "open_positions": tables.open_positions,
        "drawdown": drawdown_curve(np.ascontiguousarray(tables.equity), rows.initial_cash),
        "buy_and_hold": tables.market * rows.initial_cash,
    }
    total, each = len(tables.time_ms), count_bars_per_point(len(tables.time_ms), points)
    if points is None:
        chosen = slice(offset, None if first is None else offset + first)
        shown = {name: values[chosen] for name, values in columns.items()}
    else:
        reduced = reduce_columns(columns, each)
        shown = {name: found for name in columns if (found := reduced[name]) is not None}
    return BalanceRows(columns=shown, total=total, times_per_point=each)
