"""Lay the trading rules of rows out as numbers, one record a row, for compiled code."""

from __future__ import annotations

from typing import Final, get_type_hints

import numpy as np
from numpy.typing import NDArray

from src.domain.trading import Direction, EngineName, EntryType, Exits, TradingRules
from src.engines.account import Costs
from src.engines.compiled import compiled
from src.engines.plan import Plan, build_plan


class RowPlan:
    """A `Plan` and the initial cash; the layout of `ROW_PLAN_DTYPE`."""

    initial_cash: float
    fee_rate: float
    maker_fee_rate: float
    slippage_rate: float
    fixed_units: float
    equity_fraction: float
    quote_amount: float
    risk_fraction: float
    first_stop_rate: float
    margin_rate: float
    maintenance_rate: float
    entry_offset_rate: float
    limit_offset_rate: float
    stop_loss_rate: float
    take_profit_rate: float
    trailing_stop_rate: float
    trailing_start_rate: float
    break_even_rate: float
    allowed_side: int
    is_filled_at_close: int
    entry_kind: int
    entry_life_bars: int
    reprices_entry: int
    max_bars: int
    moves_stops: int
    cooldown_bars: int
    exits_on_signal: int
    closes_at_end: int
    is_optimistic: int
    by_orders: int
    """0 if the rules are those of long positions by market orders alone."""
    spends_budgets: int
    """1 if the cash that sizes are taken from loses the budget of an entry, as in vectorbt, and not what it cost."""


ROW_PLAN_DTYPE: Final = np.dtype(
    [(name, np.float64 if kind is float else np.int64) for name, kind in get_type_hints(RowPlan).items()]
)


def trades_at_market(rules: TradingRules) -> bool:
    """Return whether all positions are long, and opened and closed by market orders that signals give."""
    return (
        rules.direction is Direction.LONG
        and rules.entry.type is EntryType.MARKET
        and rules.exits == Exits()
        and rules.sizing.quote_amount is rules.sizing.risk_fraction is None
        and rules.margin.leverage == 1
    )


def write_plan(record: NDArray[np.void], rules: TradingRules, engine: EngineName) -> None:
    """Write the rules of a row into its record, an array [1] or a view of one."""
    plan = build_plan(rules)
    record["initial_cash"] = rules.initial_cash
    record["by_orders"] = not trades_at_market(rules)
    record["spends_budgets"] = engine is EngineName.VECTORIZED
    for name in Costs._fields:
        record[name] = getattr(plan.costs, name)
    for name in Plan._fields:
        if name != "costs":
            record[name] = getattr(plan, name)


@compiled
def read_plan(row: RowPlan) -> Plan:
    """Return the plan of a record."""
    return Plan(
        Costs(row.fee_rate, row.maker_fee_rate, row.slippage_rate),
        row.fixed_units,
        row.equity_fraction,
        row.quote_amount,
        row.risk_fraction,
        row.first_stop_rate,
        row.margin_rate,
        row.maintenance_rate,
        row.allowed_side,
        row.is_filled_at_close != 0,
        row.entry_kind,
        row.entry_offset_rate,
        row.entry_life_bars,
        row.limit_offset_rate,
        row.reprices_entry != 0,
        row.stop_loss_rate,
        row.take_profit_rate,
        row.trailing_stop_rate,
        row.trailing_start_rate,
        row.break_even_rate,
        row.moves_stops != 0,
        row.max_bars,
        row.cooldown_bars,
        row.exits_on_signal != 0,
        row.closes_at_end != 0,
        row.is_optimistic != 0,
    )
