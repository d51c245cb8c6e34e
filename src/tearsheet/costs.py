"""Break the profit of a run down into gross profit, slippage, fees and funding."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.exit_orders import ExitType
from src.domain.simulation import FillReason, Simulation
from src.domain.tearsheet import CostBreakdown
from src.domain.trading import TradingRules

SLIPPED: Final = (
    FillReason.SIGNAL,
    FillReason.STOP_LOSS,
    FillReason.TRAILING_STOP,
    FillReason.BREAK_EVEN,
    FillReason.TIME,
    FillReason.STOP,
    FillReason.ADD_STOP,
    FillReason.END,
)
"""The fills that pay slippage: market orders and stops. Targets and limits, including limit exits of signals, fill at
their level, and a liquidation at the bankruptcy price."""


def break_down_costs(simulation: Simulation, rules: TradingRules) -> CostBreakdown:
    """Return what a run gained before and after its costs, in the quote currency."""
    fees = float(simulation.fills["fee"].sum())
    slippage = slippage_paid(simulation.fills, rules)
    funding = float(simulation.trades["funding"].sum())
    net_profit = float(simulation.equity[-1]) - rules.initial_cash
    return CostBreakdown(
        gross_profit=net_profit + fees + slippage + funding,
        slippage=slippage,
        fees=fees,
        funding=funding,
        net_profit=net_profit,
    )


def slippage_paid(fills: NDArray[np.void], rules: TradingRules) -> float:
    """Return what the fills (`FILL_DTYPE`) paid beyond their price before slippage.

    A price after slippage is p × (1 + side × s), so the difference is that price × s ÷ (1 + side × s); s is the
    slippage and the impact of the fill.
    """
    is_slipped = np.isin(fills["reason"], SLIPPED)
    if rules.exits.order.type is ExitType.LIMIT:
        is_entry = np.diff(fills["trade"], prepend=-1) != 0
        is_slipped &= is_entry | (fills["reason"] != FillReason.SIGNAL)
    slipped = fills[is_slipped]
    value = slipped["quantity"] * slipped["price"]
    slippage_rate = rules.slippage_rate + slipped["impact"]
    return float((value * slippage_rate / (1 + slipped["side"] * slippage_rate)).sum())
