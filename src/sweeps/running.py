"""Run many rows through compiled code: trade, measure, and compute the inputs of the ledger and of overfitting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.simulation import FILL_DTYPE
from src.engines import event_driven
from src.engines.book import create_book
from src.engines.compiled import compiled, compiled_with_memory, fingerprint
from src.engines.measures import NO_MEASURES, BarMeasures
from src.judgement import trial_directions
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.judgement.trial_directions import measure_direction
from src.metrics import returns as return_metrics
from src.sweeps import market_arrays, path_sums, row_plans, row_returns, trading
from src.sweeps.crossings import Events
from src.sweeps.market_arrays import MarketArrays
from src.sweeps.path_sums import PATH_SUMS_DTYPE, measure_path, measure_returns
from src.sweeps.row_plans import RowPlan
from src.sweeps.row_returns import (
    average_exposure,
    write_blocks,
    write_exposure,
    write_plain_blocks,
    write_returns,
    write_slot_returns,
)
from src.sweeps.trading import (
    BALANCE_DTYPE,
    TRADE_SUMS_DTYPE,
    TradeSums,
    clear_trades,
    count_payments,
    trade_at_market,
    trade_by_orders,
)

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


class RowInputs(NamedTuple):
    """Rows [k] to run: row i trades the events of group `groups[i]` under the rules `plans[i]` (`ROW_PLAN_DTYPE`).

    `actions` [g, n] are the groups' actions bar by bar; rows that need no orders do not read it, and it may be empty.
    `measures` are the figures that at least one of these rows uses.
    """

    events: Events
    actions: NDArray[np.int8]
    groups: Whole
    plans: NDArray[np.void]
    measures: BarMeasures = NO_MEASURES


class RowResults(NamedTuple):
    """The results of rows [k], over d slots of trials and S blocks of bars.

    `paths` and `trades` are records (`PATH_SUMS_DTYPE`, `TRADE_SUMS_DTYPE`); `directions` [2, k, d], `t` and `moves`
    [2, k] are of total and of active returns; `block_sums` and `block_squares` [k, S] are 0 unless requested. `returns`
    and `exposures` [k, n] are per bar. An array without elements is not computed.
    """

    paths: NDArray[np.void]
    trades: NDArray[np.void]
    directions: Whole
    t: Whole
    moves: NDArray[np.bool_]
    block_sums: Floats
    block_squares: Floats
    returns: Floats
    exposures: Floats


class _Scratch(NamedTuple):
    """Arrays that each row overwrites: the book, its fills and balances, and its returns per bar and per slot."""

    books: NDArray[np.void]
    fills: NDArray[np.void]
    balances: NDArray[np.void]
    returns: Floats
    held: Floats
    slots: Floats


def run_rows(market: MarketArrays, given: RowInputs, wants_blocks: NDArray[np.bool_]) -> RowResults:
    """Run each row, with its trials, and with the blocks of the rows in `wants_blocks` [k]."""
    found = _allocate(len(given.plans), slots=market.firsts.size - 1)
    _run(market, given, wants_blocks, create_book(1.0), found)
    return found


def measure_rows(market: MarketArrays, given: RowInputs) -> RowResults:
    """Run each row, and compute its figures only."""
    found = _allocate(len(given.plans))
    _run(market, given, np.zeros(len(given.plans), np.bool_), create_book(1.0), found)
    return found


def compute_returns(market: MarketArrays, given: RowInputs) -> Floats:
    """Return the returns of each row bar by bar [k, n]; 0 for one whose equity grows without bound."""
    found = _allocate(len(given.plans), bars=market.close.size)
    _run(market, given, np.zeros(len(given.plans), np.bool_), create_book(1.0), found)
    return found.returns


def compute_exposures(market: MarketArrays, given: RowInputs) -> Floats:
    """Return the fraction of equity that each row holds over each bar [k, n]; 0 for one that grows without bound."""
    found = _allocate(len(given.plans), exposed_bars=market.close.size)
    _run(market, given, np.zeros(len(given.plans), np.bool_), create_book(1.0), found)
    return found.exposures


def _allocate(rows: int, *, slots: int = 0, bars: int = 0, exposed_bars: int = 0) -> RowResults:
    return RowResults(
        paths=np.zeros(rows, PATH_SUMS_DTYPE),
        trades=np.zeros(rows, TRADE_SUMS_DTYPE),
        directions=np.zeros((2, rows, slots), np.int64),
        t=np.zeros((2, rows), np.int64),
        moves=np.zeros((2, rows), np.bool_),
        block_sums=np.zeros((rows, DEFAULT_BLOCKS)),
        block_squares=np.zeros((rows, DEFAULT_BLOCKS)),
        returns=np.zeros((rows, bars)),
        exposures=np.zeros((rows, exposed_bars)),
    )


@compiled
def _trade(market: MarketArrays, given: RowInputs, row: int, scratch: _Scratch, sums: TradeSums) -> int:
    """Trade a row; write its balances and return how many."""
    rules, group, events = given.plans[row], given.groups[row], given.events
    first, stop = events.offsets[group], events.offsets[group + 1]
    bars, actions = events.bars[first:stop], events.actions[first:stop]
    clear_trades(sums)
    if not rules.by_orders:
        return trade_at_market(market, bars, actions, rules, scratch.balances, sums)
    return trade_by_orders(
        market, bars, given.actions[group], given.measures, rules, scratch.books, scratch.fills, scratch.balances, sums
    )


@compiled_with_memory  # `measure_direction` creates an array, and is compiled as its caller is
def _count_trials(
    market: MarketArrays, rules: RowPlan, count: int, is_plain: bool, row: int, scratch: _Scratch, found: RowResults
) -> None:
    """Write the trials of a row's total and active returns."""
    at_close, exposed = rules.plan.is_filled_at_close, found.paths[row].exposed_bars
    exposure = average_exposure(market.close, scratch.balances, count, at_close, is_plain, exposed, scratch.held)
    write_slot_returns(market, scratch.returns, exposure, scratch.slots[0], scratch.slots[1])
    for kind in range(2):
        moves, t = measure_direction(scratch.slots[kind], found.directions[kind, row])
        found.moves[kind, row], found.t[kind, row] = moves, t


@compiled
def _cut_blocks(
    market: MarketArrays, rules: RowPlan, count: int, is_plain: bool, row: int, scratch: _Scratch, found: RowResults
) -> None:
    """Write the block sums of a row."""
    sums, squares = found.block_sums[row], found.block_squares[row]
    if is_plain and found.paths[row].is_exact != 0:
        write_plain_blocks(market, rules.initial_cash, scratch.balances, count, sums, squares)
    else:
        write_blocks(scratch.returns, market.block_bars, sums, squares)


@compiled_with_memory
def _run_all(
    market: MarketArrays,
    given: RowInputs,
    wants_blocks: NDArray[np.bool_],
    books: NDArray[np.void],
    found: RowResults,
) -> None:
    n, slots, most, most_fills = market.close.size, found.directions.shape[2], 0, 0
    offsets = given.events.offsets
    for group in range(offsets.size - 1):
        most = max(most, offsets[group + 1] - offsets[group])
    for row in range(given.plans.size):
        most_fills = max(most_fills, most * given.plans[row].plan.most_fills)
    scratch = _Scratch(
        books,
        np.empty(most_fills, FILL_DTYPE),
        np.empty(most_fills + count_payments(market.marks), BALANCE_DTYPE),
        np.empty(n),
        np.empty(n),
        np.empty((2, slots)),
    )
    for row in range(given.plans.size):
        rules, path = given.plans[row], found.paths[row]
        count = _trade(market, given, row, scratch, found.trades[row])
        measure_path(market, rules.initial_cash, scratch.balances, count, path)
        if path.is_bounded == 0:
            continue
        if found.returns.size:
            write_returns(market.close, rules.initial_cash, scratch.balances, count, found.returns[row])
        if found.exposures.size:
            at_close = rules.plan.is_filled_at_close
            write_exposure(market.close, scratch.balances, count, at_close, found.exposures[row])
        if slots or path.is_exact == 0:
            is_plain = write_returns(market.close, rules.initial_cash, scratch.balances, count, scratch.returns)
            if slots:
                _count_trials(market, rules, count, is_plain, row, scratch, found)
            if wants_blocks[row] and market.block_bars:
                _cut_blocks(market, rules, count, is_plain, row, scratch, found)
            if path.is_exact == 0:
                measure_returns(scratch.returns, market.risk_free, path)


def _cached_on_disk(rules_fingerprint: str) -> Callable[..., None]:
    """Return `_run_all` compiled once per machine, and again when a rule changes; see `engines.event_driven`."""

    @njit(cache=True, nogil=True)
    def cached_run(*arguments: Any) -> None:
        _ = rules_fingerprint
        _run_all(*arguments)

    return cached_run  # type: ignore[no-any-return]


_run: Final = _cached_on_disk(
    fingerprint(
        *event_driven.RULES, event_driven, return_metrics, trial_directions, market_arrays, row_plans, trading,
        path_sums, row_returns,
    )
)  # fmt: skip
