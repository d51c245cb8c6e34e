"""The vectorised engine: vectorbt's array-level simulation, on the bars that carry an order.

vectorbt's documented path (`Portfolio.from_signals`) spends nearly all of its time on Python objects around the
simulation; its `dispatch` layer is the same arithmetic on plain arrays. A bar without a signal changes nothing in it
when there are no stops, so only the bars with one are handed over, and the book is carried forward in between.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vectorbt._engine import is_rust_available
from vectorbt.portfolio.dispatch import simulate_from_signals
from vectorbt.portfolio.enums import Direction as VbtDirection
from vectorbt.portfolio.enums import OrderSide, SizeType

from src.domain.market import Bars
from src.domain.signals import Action, Signals
from src.domain.trading import FILL_DTYPE, FillReason, FillTiming, Side, Simulation, Sizing, TradingRules
from src.engines.ledger import carry_forward, cash_after_fills, pair_trades

# "auto" would fall back to another implementation without a word when a dtype does not fit.
_IMPLEMENTATION = "rust" if is_rust_available() else "numba"

_SMALLEST_ORDER = 3e-12
"""Units. vectorbt takes less than 1e-12 for no position: it would buy such dust and could not sell it. With its
tolerance of 1e-12 this refuses entries below 2e-12, as the event-driven engine does."""


class VectorizedEngine:
    """Long-only market orders at the signal's close or the next open, simulated by vectorbt."""

    def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        """Simulate; see `ports.Engine`.

        Raises
        ------
        ValueError
            Where `rules` holds a setting that only the event-driven engine knows, or lengths differ.
        """
        if unknown := rules.event_driven_settings():
            raise ValueError(f"the vectorised engine does not know {', '.join(unknown)}")
        if len(signals) != len(bars):
            raise ValueError(f"{len(signals)} signals for {len(bars)} bars")
        order_bars, actions, prices = _orders(bars, signals, rules.fill)
        records = _simulate(actions, prices, rules)
        fills = _fills(records, order_bars, bars.open_time_ms)
        cash_left = cash_after_fills(rules.initial_cash, fills["side"], fills["quantity"], fills["price"], fills["fee"])
        position_left = np.where(fills["side"] == Side.BUY, fills["quantity"], 0.0)
        cash = carry_forward(cash_left, fills["bar"], rules.initial_cash, len(bars))
        position = carry_forward(position_left, fills["bar"], 0.0, len(bars))
        return Simulation(
            equity=cash + position * bars.close,
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
    signal_bars = np.flatnonzero(signals.action)
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
    try:
        records, _ = simulate_from_signals(
            column.shape,
            np.array([1], dtype=np.int64),
            np.array([rules.initial_cash]),
            np.zeros(column.shape, dtype=np.int64),
            entries=np.ascontiguousarray((actions == Action.BUY)[:, np.newaxis]),
            exits=np.ascontiguousarray((actions == Action.SELL)[:, np.newaxis]),
            direction=np.asarray(VbtDirection.LongOnly),
            size=np.asarray(size),
            size_type=np.asarray(size_type),
            price=column,
            close=column,
            fees=np.asarray(rules.fee_rate),
            slippage=np.asarray(rules.slippage_rate),
            min_size=np.asarray(_SMALLEST_ORDER),
            use_stops=False,
            engine=_IMPLEMENTATION,
        )
    except BaseException as error:
        # A panic of vectorbt's Rust code is no Exception and would end the worker.
        if type(error).__name__ == "PanicException":
            raise RuntimeError("vectorbt's simulation failed") from error
        raise
    result: NDArray[np.void] = records
    return result


def _vectorbt_size(sizing: Sizing) -> tuple[float, int]:
    if sizing.fixed_units is not None:
        return sizing.fixed_units, int(SizeType.Amount)
    if sizing.equity_fraction is not None:
        # An entry is made from a flat book, where equity is cash: vectorbt's percentage of cash.
        return sizing.equity_fraction, int(SizeType.Percent)
    return float("inf"), int(SizeType.Amount)


def _fills(records: Any, order_bars: NDArray[np.int64], time_ms: NDArray[np.int64]) -> NDArray[np.void]:
    fills = np.empty(len(records), dtype=FILL_DTYPE)
    fills["bar"] = order_bars[records["idx"]]
    fills["time_ms"] = time_ms[fills["bar"]]
    fills["side"] = np.where(records["side"] == OrderSide.Buy, Side.BUY, Side.SELL)
    fills["quantity"] = records["size"]
    fills["price"] = records["price"]
    fills["fee"] = records["fees"]
    fills["reason"] = FillReason.SIGNAL
    return fills


def _reduced_entries(fills: NDArray[np.void], sizing: Sizing) -> int:
    if sizing.fixed_units is None:
        return 0
    entries = fills["quantity"][fills["side"] == Side.BUY]
    return int(np.count_nonzero(entries < sizing.fixed_units * (1 - 1e-9)))
