"""Compute what a tear sheet shows of a stored result: its rows, months, drawdowns, returns and costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from src.concurrency.single_flight import SingleFlight
from src.domain.bars import Bars
from src.domain.errors import Busy, InvalidInput, ServiceError, TimedOut, bad_value
from src.domain.runs import BacktestResult
from src.domain.tearsheet import (
    MAX_DRAWDOWNS,
    SERIES_COLUMNS,
    CostBreakdown,
    DrawdownPeriod,
    MonthlyReturns,
    ResultSeries,
    ReturnDistribution,
    SeriesRequest,
    TradeOrder,
)
from src.domain.trading import EngineName
from src.judgement.benchmarks import HOLD_OPENING_BARS, extend_hold
from src.ports.computing import Engine
from src.service.computing import ComputeQueue
from src.service.deadlines import deadline_after, until
from src.service.pinned_bars import fetch_pinned_bars, fetch_pinned_rows
from src.service.sources import SourceCatalog
from src.tearsheet.costs import break_down_costs
from src.tearsheet.distribution import describe_returns
from src.tearsheet.drawdowns import drawdown_curve, find_drawdowns
from src.tearsheet.months import monthly_returns
from src.tearsheet.reduction import count_bars_per_point, reduce_columns

Column = NDArray[Any]
Found = TypeVar("Found")

_NEEDS_BARS: Final = frozenset(name for name, column in SERIES_COLUMNS.items() if column.needs_bars)
_HOLD: Final = "buy_and_hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class TearSheets:
    """Computes tear sheets of stored results, on compute threads.

    Each method raises TimedOut after `timeout_s`.
    """

    sources: SourceCatalog
    engines: Mapping[EngineName, Engine]
    computing: ComputeQueue
    timeout_s: float
    _runs: SingleFlight[tuple[str, str], Any] = field(default_factory=SingleFlight, init=False)

    async def months(self, result: BacktestResult) -> MonthlyReturns:
        """Return the returns by calendar month."""
        equity, cash = result.simulation.equity, result.request.rules.initial_cash
        return await self._share(("months", result.id), lambda: monthly_returns(result.time_ms, equity, cash))

    async def drawdowns(self, result: BacktestResult, *, first: int) -> tuple[DrawdownPeriod, ...]:
        """Return the deepest drawdowns, at most `first`, the deepest first; raises InvalidInput on `first`."""
        if not 1 <= first <= MAX_DRAWDOWNS:
            raise bad_value("first", got=first, allowed=f"a whole number from 1 to {MAX_DRAWDOWNS}")
        time_ms, equity, cash = result.time_ms, result.simulation.equity, result.request.rules.initial_cash
        found = await self._share(
            ("drawdowns", result.id), lambda: find_drawdowns(time_ms, equity, cash, first=MAX_DRAWDOWNS)
        )
        return found[:first]

    async def distribution(self, result: BacktestResult) -> ReturnDistribution:
        """Return the distribution of the returns per bar."""
        equity, cash = result.simulation.equity, result.request.rules.initial_cash
        return await self._share(("distribution", result.id), lambda: describe_returns(equity, cash))

    async def costs(self, result: BacktestResult) -> CostBreakdown:
        """Return the profit before and after costs."""
        return await self._share(
            ("costs", result.id), lambda: break_down_costs(result.simulation, result.request.rules)
        )

    async def series(self, result: BacktestResult, request: SeriesRequest) -> ResultSeries:
        """Return rows of a result, reduced to points if asked.

        The bars of the rows are fetched again if a column needs them. If they are not available, such a column is None
        and a warning says why, unless all columns but `date` need them or the request allows no nulls.

        Raises InvalidInput for a range with more rows than allowed; Conflict if the bars have changed since the run,
        and any ServiceError of their source.
        """
        rows = _rows_between(result.time_ms, request.start_ms, request.end_ms)
        bars_per_point = _bars_per_point(rows.stop - rows.start, request)
        async with self._in_time():
            market, warnings = await self._market(result, request, rows)
            return await self.computing.run(
                lambda: _build_series(
                    _columns_of(result, request.names, rows, market), rows, bars_per_point, warnings, request
                )
            )

    async def _share(self, key: tuple[str, str], compute: Callable[[], Found]) -> Found:
        """Compute on a thread, once for all simultaneous callers, such as the aliases of a document."""
        async with self._in_time():
            found: Found = await self._runs.run(key, lambda: self.computing.run(compute))
            return found

    async def _market(
        self, result: BacktestResult, request: SeriesRequest, rows: slice
    ) -> tuple[Mapping[str, Column | None], tuple[str, ...]]:
        """Return the columns that need the bars, and warnings about those that are missing."""
        wanted = [name for name in request.names if name in _NEEDS_BARS]
        found: dict[str, Column | None] = dict.fromkeys(wanted)
        prices = [name for name in wanted if name != _HOLD]
        try:
            if prices and rows.stop > rows.start:
                bars = await self._fetch(result, rows)
                found |= {name: getattr(bars, name) for name in prices}
            elif prices:
                found |= {name: np.empty(0) for name in prices}
            if _HOLD in wanted:
                curve = await self._hold(result)
                found[_HOLD] = None if curve is None else curve[rows]
        except (Busy, TimedOut):
            raise
        except ServiceError as error:
            if not request.allows_nulls or set(wanted).issuperset(set(request.names) - {"date"}):
                raise
            why = f"The bars of this backtest cannot be read again, so {', '.join(wanted)} are null. {error.message}"
            return dict.fromkeys(wanted), (why,)
        return found, ()

    async def _hold(self, result: BacktestResult) -> Column | None:
        """Return the equity [n] of buying and holding, with the run's own closes; None if nothing could be bought."""
        rules, simulate = result.request.rules, self.engines[result.request.engine].run
        opening = await self._fetch(result, slice(0, min(HOLD_OPENING_BARS, len(result.time_ms))))
        return await self._share(("hold", result.id), lambda: extend_hold(opening, result.close, rules, simulate))

    async def _fetch(self, result: BacktestResult, rows: slice) -> Bars:
        """Return the bars of rows; if these are all rows, every number is compared with the run's bars."""

        async def fetch() -> Bars:
            async with self.computing.slot(result.request.user_id, is_reading=True):
                if rows.stop - rows.start == len(result.time_ms):
                    return (await fetch_pinned_bars(self.sources, self.computing, result)).bars
                return await fetch_pinned_rows(self.sources, result, rows)

        bars: Bars = await self._runs.run((f"bars {rows.start} {rows.stop}", result.id), fetch)
        return bars

    def _in_time(self) -> AbstractAsyncContextManager[None]:
        too_late = TimedOut("The rows took longer than the limit of {most:g} s.", most=self.timeout_s)
        return until(deadline_after(self.timeout_s), too_late)


def fills_between(result: BacktestResult, start_ms: int | None, end_ms: int | None) -> NDArray[np.void]:
    """Return the fills (`FILL_DTYPE`) of bars that open from the first time to the second, both included."""
    fills = result.simulation.fills
    return fills[_rows_between(fills["time_ms"], start_ms, end_ms)]


def order_trades(result: BacktestResult, order: TradeOrder) -> NDArray[np.void]:
    """Return the trades (`TRADE_DTYPE`) in an order."""
    trades = result.simulation.trades
    if order is TradeOrder.ENTRY:
        return trades
    profit = trades["profit"]
    return trades[np.argsort(profit if order is TradeOrder.WORST else -profit, kind="stable")]


def _rows_between(time_ms: NDArray[np.int64], start_ms: int | None, end_ms: int | None) -> slice:
    """Return the rows of the bars that open from the first time to the second, both included."""
    start = 0 if start_ms is None else int(np.searchsorted(time_ms, start_ms, side="left"))
    stop = len(time_ms) if end_ms is None else int(np.searchsorted(time_ms, end_ms, side="right"))
    return slice(start, max(start, stop))


def _bars_per_point(total: int, request: SeriesRequest) -> int:
    most = request.max_rows
    if request.points is not None and not 1 <= request.points <= most:
        raise bad_value("points", got=request.points, allowed=f"a whole number from 1 to {most} (MAX_ROWS_PER_ANSWER)")
    if request.points is None and total > most:
        raise InvalidInput(
            "{field} is required for {total} bars: one response holds {most} rows at most (MAX_ROWS_PER_ANSWER). Give "
            "points, or a shorter range with start and end.",
            field="points",
            total=total,
            most=most,
        )
    return count_bars_per_point(total, request.points)


def _columns_of(
    result: BacktestResult, names: tuple[str, ...], rows: slice, market: Mapping[str, Column | None]
) -> dict[str, Column | None]:
    """Return the columns of the rows by name, those of the `market` among them; None if one has no values."""
    simulation, found = result.simulation, dict[str, Column | None]()
    for name in names:
        match name:
            case "date":
                found[name] = result.time_ms[rows]
            case "close":
                found[name] = result.close[rows]
            case "equity" | "cash" | "position":
                found[name] = getattr(simulation, name)[rows]
            case "drawdown":
                # The peak may be before the rows.
                before = simulation.equity[: rows.stop]
                found[name] = drawdown_curve(before, result.request.rules.initial_cash)[rows.start :]
            case "rebased":
                found[name] = simulation.equity[rows] / result.request.rules.initial_cash * 100
            case "signal":
                found[name] = result.signals.action[rows]
            case "probability":
                probability = result.signals.probability
                found[name] = None if probability is None else probability[rows]
            case _:
                found[name] = market[name]
    return found


def _build_series(
    columns: dict[str, Column | None],
    rows: slice,
    bars_per_point: int,
    warnings: tuple[str, ...],
    request: SeriesRequest,
) -> ResultSeries:
    total = rows.stop - rows.start
    if request.points is not None and total:
        columns = reduce_columns(columns, bars_per_point)
    return ResultSeries(
        columns=columns,
        length=-(-total // bars_per_point),
        total=total,
        bars_per_point=bars_per_point,
        warnings=warnings,
    )
