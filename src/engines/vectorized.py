"""The vectorized engine: vectorbt's array-level simulation, on the bars with an order.

vectorbt's documented path (`Portfolio.from_signals`) spends nearly all of its time on Python objects; its `dispatch`
layer does the same arithmetic on plain arrays. Without stops, a bar without a signal changes nothing. So only bars with
a signal are simulated, and the balances are carried forward in between.

The dispatch layer checks and converts about forty arguments at every call, so the compiled function below it
(`vectorbt_rust`) is called directly, with the same arguments. It needs only vectorbt's types.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.order_rules import Sizing
from src.domain.signals import Action, Signals
from src.domain.simulation import FILL_DTYPE, FillReason, Side, Simulation
from src.domain.trading import FillTiming, TradingRules
from src.engines.ledger import carry_forward, cash_after_fills, check_growth, pair_trades, unbounded_growth
from src.engines.vectorbt_types import load_record_types

_SMALLEST_ORDER = 3e-12
"""Units. vectorbt treats less than 1e-12 as no position: it would buy such amounts and could not sell them. Combined
with its tolerance of 1e-12, this limit rejects entries below 2e-12, as the event-driven engine does."""

# vectorbt's codes (vectorbt.portfolio.enums).
_BUY: Final = 0
_AMOUNT: Final = 0
_PERCENT: Final = 2
_LONG_ONLY: Final = 0

_ORDERS_ONLY: Final[Mapping[str, Any]] = {
    name: np.asarray(value)
    for name, value in {
        "long_entries": False, "long_exits": False, "short_entries": False, "short_exits": False,
        "fixed_fees": 0.0, "max_size": np.inf, "size_granularity": np.nan, "reject_prob": 0.0,
        "lock_cash": False, "allow_partial": True, "raise_reject": False, "log": False, "accumulate": 0,
        "upon_long_conflict": 0, "upon_short_conflict": 0, "upon_dir_conflict": 0, "upon_opposite_entry": 4,
        "val_price": np.inf, "open": np.nan, "high": np.nan, "low": np.nan, "sl_stop": np.nan, "sl_trail": False,
        "tp_stop": np.nan, "stop_entry_price": 3, "stop_exit_price": 0, "upon_stop_exit": 0, "upon_stop_update": 1,
    }.items()
}  # fmt: skip
"""The defaults that vectorbt's dispatch passes to the compiled simulation."""


_OVERFLOWS: Final = ("cash ", "position must be finite", "debt must be finite", "free_cash ")


class _Simulate(Protocol):
    def __call__(
        self,
        target_shape: tuple[int, ...],
        group_lens: NDArray[np.int64],
        init_cash: NDArray[np.float64],
        call_seq: NDArray[np.int64],
        **arrays: Any,
    ) -> tuple[NDArray[np.void], Any]: ...


def _load_vectorbt() -> tuple[_Simulate, Mapping[str, Any]]:
    """Return vectorbt's simulation and the arguments that it needs in addition to ours."""
    try:
        import vectorbt_rust  # noqa: PLC0415
        from vectorbt_rust.portfolio import simulate_from_signals_rs  # noqa: PLC0415

        if vectorbt_rust.__version__.split(".")[:2] == metadata.version("vectorbt").split(".")[:2]:
            load_record_types()
            return simulate_from_signals_rs, _ORDERS_ONLY
    except ImportError:
        pass
    from vectorbt.portfolio.dispatch import simulate_from_signals  # noqa: PLC0415

    # "auto" would silently choose by the arrays' dtypes.
    return simulate_from_signals, {"engine": "numba"}


_VECTORBT: Final = _load_vectorbt()
"""Loaded with this module, because concurrent first calls would race, and `functools.cache` would let each of them run
the function."""


class VectorizedEngine:
    """Long-only market orders at the signal's close or the next open, simulated by vectorbt."""

    def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        """Simulate; see `ports.Engine`.

        Raises ValueError if `rules` has a setting that only the event-driven engine supports, or lengths differ;
        InvalidInput if the equity grows beyond `MAX_EQUITY`.
        """
        if unknown := rules.event_driven_settings():
            raise ValueError(f"the vectorized engine does not know {', '.join(unknown)}")
        if len(signals) != len(bars):
            raise ValueError(f"{len(signals)} signals for {len(bars)} bars")
        order_bars, actions, prices = _orders(bars, signals, rules.fill)
        records = _simulate(actions, prices, rules)
        fills = _fills(records, order_bars, bars.open_time_ms)
        # Copies, because a column view of one row or none is contiguous, a type that numba would compile for again.
        columns = (fills[name].copy() for name in ("side", "quantity", "price", "fee"))
        cash_left = cash_after_fills(rules.initial_cash, *columns)
        check_growth(cash_left)
        position_left = np.where(fills["side"] == Side.BUY, fills["quantity"], 0.0)
        cash = carry_forward(cash_left, fills["bar"], rules.initial_cash, len(bars))
        position = carry_forward(position_left, fills["bar"], 0.0, len(bars))
        equity = cash + position * bars.close
        check_growth(equity)
        return Simulation(
            equity=equity,
            cash=cash,
            position=position,
            fills=fills,
            trades=pair_trades(fills, bars.open_time_ms, float(bars.close[-1])),
            reduced_entries=_reduced_entries(fills, rules.sizing),
        )


def _orders(
    bars: Bars, signals: Signals, timing: FillTiming
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.float64]]:
    """Return the bars [m] at which orders are executed, their actions [m] and prices [m] before slippage."""
    # There is never a short to close.
    signal_bars = np.flatnonzero((signals.action != Action.HOLD) & (signals.action != Action.CLOSE_SHORT))
    if timing is FillTiming.SAME_CLOSE:
        return signal_bars, signals.action[signal_bars], bars.close[signal_bars]
    # A signal at the last bar has no next open.
    signal_bars = signal_bars[signal_bars < len(bars) - 1]
    return signal_bars + 1, signals.action[signal_bars], bars.open[signal_bars + 1]


def _simulate(actions: NDArray[np.int8], prices: NDArray[np.float64], rules: TradingRules) -> NDArray[np.void]:
    """Return vectorbt's order records for m orders, each a row of its own."""
    if not len(actions):
        return np.empty(0, dtype=[("idx", "i8"), ("size", "f8"), ("price", "f8"), ("fees", "f8"), ("side", "i8")])
    size, size_type = _vectorbt_size(rules.sizing)
    column = np.ascontiguousarray(prices[:, np.newaxis])
    simulate, arguments = _VECTORBT
    try:
        records, _ = simulate(
            column.shape,
            np.array([1], dtype=np.int64),
            np.array([rules.initial_cash], dtype=np.float64),
            np.zeros(column.shape, dtype=np.int64),
            entries=np.ascontiguousarray((actions == Action.BUY)[:, np.newaxis]),
            exits=np.ascontiguousarray((actions < Action.HOLD)[:, np.newaxis]),
            direction=np.asarray(_LONG_ONLY),
            size=np.asarray(size, dtype=np.float64),
            size_type=np.asarray(size_type),
            price=column,
            close=column,
            fees=np.asarray(rules.fee_rate, dtype=np.float64),
            slippage=np.asarray(rules.slippage_rate, dtype=np.float64),
            min_size=np.asarray(_SMALLEST_ORDER),
            use_stops=False,
            **arguments,
        )
    except ValueError as error:
        # Given bounded prices and cash, vectorbt's own check of its cash and position fails only if they overflow.
        if str(error).startswith(_OVERFLOWS):
            raise unbounded_growth() from error
        raise
    except BaseException as error:
        # A panic of vectorbt's Rust code is not an Exception, and would end the worker.
        if type(error).__name__ == "PanicException":
            raise RuntimeError("vectorbt's simulation failed") from error
        raise
    result: NDArray[np.void] = records
    return result


def _vectorbt_size(sizing: Sizing) -> tuple[float, int]:
    if sizing.fixed_units is not None:
        return sizing.fixed_units, _AMOUNT
    if sizing.equity_fraction is not None:
        # Entries start from a flat book, where equity is cash, so vectorbt's percentage of cash applies.
        return sizing.equity_fraction, _PERCENT
    return float("inf"), _AMOUNT


def _fills(records: Any, order_bars: NDArray[np.int64], time_ms: NDArray[np.int64]) -> NDArray[np.void]:
    fills = np.empty(len(records), dtype=FILL_DTYPE)
    fills["bar"] = order_bars[records["idx"]]
    fills["time_ms"] = time_ms[fills["bar"]]
    fills["side"] = np.where(records["side"] == _BUY, Side.BUY, Side.SELL)
    fills["quantity"] = records["size"]
    fills["price"] = records["price"]
    fills["fee"] = records["fees"]
    fills["reason"] = FillReason.SIGNAL
    fills["trade"] = np.arange(len(fills)) // 2  # each exit closes the whole position
    fills["funding"] = 0.0
    fills["impact"] = 0.0
    return fills


def _reduced_entries(fills: NDArray[np.void], sizing: Sizing) -> int:
    if sizing.fixed_units is None:
        return 0
    entries = fills["quantity"][fills["side"] == Side.BUY]
    return int(np.count_nonzero(entries < sizing.fixed_units * (1 - 1e-9)))
