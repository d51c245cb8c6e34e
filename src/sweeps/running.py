"""Run many rows through compiled code: trade, measure, and compute what the ledger and the overfitting take of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain import signals as actions_of_signals
from src.domain import trading as trading_rules
from src.domain.trading import FILL_DTYPE
from src.engines import account, book, event_driven, orders, plan
from src.engines.book import create_book
from src.engines.compiled import compiled, fingerprint
from src.judgement import trial_directions
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.judgement.trial_directions import measure_direction
from src.metrics import returns as return_metrics
from src.sweeps import market_arrays, path_sums, row_plans, row_returns, trading
from src.sweeps.crossings import Events
from src.sweeps.market_arrays import MarketArrays
from src.sweeps.path_sums import PATH_SUMS_DTYPE, measure_path, measure_returns
from src.sweeps.row_returns import (
    average_exposure,
    write_blocks,
    write_plain_blocks,
    write_returns,
    write_slot_returns,
)
from src.sweeps.trading import BALANCE_DTYPE, TRADE_SUMS_DTYPE, clear_trades, trade_at_market, trade_by_orders

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

NO_RETURNS: Final = np.empty((0, 0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowResults:
    """What compiled code writes about rows [k], over d slots of trials and S blocks of bars.

    `path` and `trades` are records (`PATH_SUMS_DTYPE`, `TRADE_SUMS_DTYPE`); `directions` [2, k, d], `t` and `moves`
    [2, k] are of total and of active returns; `block_sums` and `block_squares` [k, S] are 0 unless they are wanted.
    """

    path: NDArray[np.void]
    trades: NDArray[np.void]
    directions: Whole
    t: Whole
    moves: NDArray[np.bool_]
    block_sums: Floats
    block_squares: Floats


def run_rows(
    market: MarketArrays,
    events: Events,
    actions: NDArray[np.int8],
    groups: Whole,
    plans: NDArray[np.void],
    wants_blocks: NDArray[np.bool_],
    *,
    has_trials: bool = True,
) -> RowResults:
    """Run each row: the events of its group `groups` [k] under its rules `plans` [k] (`ROW_PLAN_DTYPE`).

    `actions` [g, n] are those of the groups, bar by bar; a row that needs no orders does not read it, and it may have
    no rows then. Without `has_trials` neither trials nor blocks are computed.
    """
    rows, slots = len(plans), market.firsts.size - 1 if has_trials else 0
    found = RowResults(
        path=np.zeros(rows, PATH_SUMS_DTYPE),
        trades=np.zeros(rows, TRADE_SUMS_DTYPE),
        directions=np.zeros((2, rows, slots), np.int64),
        t=np.zeros((2, rows), np.int64),
        moves=np.zeros((2, rows), np.bool_),
        block_sums=np.zeros((rows, DEFAULT_BLOCKS)),
        block_squares=np.zeros((rows, DEFAULT_BLOCKS)),
    )
    given = (market, events, actions, groups, plans, wants_blocks, has_trials, create_book(1.0))
    written = (found.path, found.trades, found.directions, found.t, found.moves, found.block_sums)
    _run(*given, *written, found.block_squares, NO_RETURNS)
    return found


def compute_returns(
    market: MarketArrays, events: Events, actions: NDArray[np.int8], groups: Whole, plans: NDArray[np.void]
) -> Floats:
    """Return the returns of each row bar by bar [k, n]; see `run_rows`."""
    rows = len(plans)
    returns = np.zeros((rows, market.close.size))
    trials = (np.zeros((2, rows, 0), np.int64), np.zeros((2, rows), np.int64), np.zeros((2, rows), np.bool_))
    blocks = (np.zeros((rows, 0)), np.zeros((rows, 0)))
    given = (market, events, actions, groups, plans, np.zeros(rows, np.bool_), False, create_book(1.0))
    _run(*given, np.zeros(rows, PATH_SUMS_DTYPE), np.zeros(rows, TRADE_SUMS_DTYPE), *trials, *blocks, returns)
    return returns


@compiled
def _run_all(
    market: MarketArrays,
    events: Events,
    actions: NDArray[np.int8],
    groups: Whole,
    plans: NDArray[np.void],
    wants_blocks: NDArray[np.bool_],
    has_trials: bool,
    books: NDArray[np.void],
    paths: NDArray[np.void],
    trades: NDArray[np.void],
    directions: Whole,
    t: Whole,
    moves: NDArray[np.bool_],
    block_sums: Floats,
    block_squares: Floats,
    all_returns: Floats,
) -> None:
    n, slots = market.close.size, directions.shape[2]
    most = 0
    for group in range(events.offsets.size - 1):
        most = max(most, events.offsets[group + 1] - events.offsets[group])
    balances, fills = np.empty(2 * most, BALANCE_DTYPE), np.empty(2 * most, FILL_DTYPE)
    curves = np.empty((3, n if actions.size else 0))
    returns, held = np.empty(n), np.empty(n)
    values = np.empty((2, slots))
    for row in range(plans.size):
        rules, group, path = plans[row], groups[row], paths[row]
        first, stop = events.offsets[group], events.offsets[group + 1]
        clear_trades(trades[row])
        if rules.by_orders != 0:
            count = trade_by_orders(
                market, events.bars[first:stop], actions[group], rules, books, fills, curves, balances, trades[row]
            )
        else:
            count = trade_at_market(
                market, events.bars[first:stop], events.actions[first:stop], rules, balances, trades[row]
            )
        measure_path(market, rules.initial_cash, balances, count, path)
        if path.is_bounded == 0:
            continue
        if all_returns.size:
            write_returns(market.close, rules.initial_cash, balances, count, all_returns[row])
        if path.is_exact != 0 and not has_trials:
            continue
        is_plain = write_returns(market.close, rules.initial_cash, balances, count, returns)
        if path.is_exact == 0:
            measure_returns(returns, market.risk_free, path)
        if not has_trials:
            continue
        exposure = average_exposure(
            market.close, balances, count, rules.is_filled_at_close != 0, is_plain, path.exposed_bars, held
        )
        write_slot_returns(market, returns, exposure, values[0], values[1])
        for kind in range(2):
            moves[kind, row], t[kind, row] = measure_direction(values[kind], directions[kind, row])
        if not wants_blocks[row] or market.block_bars == 0:
            continue
        if is_plain and path.is_exact != 0:
            write_plain_blocks(market, rules.initial_cash, balances, count, block_sums[row], block_squares[row])
        else:
            write_blocks(returns, market.block_bars, block_sums[row], block_squares[row])


def _cached_on_disk(rules_fingerprint: str) -> Callable[..., None]:
    """Return `_run_all` compiled once per machine, and again when a rule changes; see `engines.event_driven`."""

    @njit(cache=True, nogil=True)
    def cached_run(*arguments: Any) -> None:
        _ = rules_fingerprint
        _run_all(*arguments)

    return cached_run  # type: ignore[no-any-return]


_run: Final = _cached_on_disk(
    fingerprint(
        account, orders, book, plan, event_driven, trading_rules, actions_of_signals, return_metrics,
        trial_directions, market_arrays, row_plans, trading, path_sums, row_returns,
    )
)  # fmt: skip
