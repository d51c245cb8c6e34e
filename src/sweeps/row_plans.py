"""Write the trading rules of rows as numbers, one record a row, for compiled code."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.exchange_rules import ExchangeRules
from src.domain.order_rules import EntryType, Exits
from src.domain.trading import Direction, EngineName, TradingRules
from src.engines.plan import Plan, build_plan, columns_of, plan_record


class RowPlan:
    """A `Plan` and the other numbers that a row needs; the layout of `ROW_PLAN_DTYPE`."""

    plan: Plan
    initial_cash: float
    by_orders: bool
    """Whether the rules need more than long positions by market orders."""
    spends_budgets: bool
    """Whether an entry reduces the cash for sizes by its budget, as in vectorbt, and not by its cost."""


ROW_PLAN_DTYPE: Final = np.dtype(columns_of(RowPlan), align=True)


_NO_EXITS: Final = Exits()
_NO_RULES_OF_EXCHANGE: Final = ExchangeRules()


def trades_at_market(rules: TradingRules) -> bool:
    """Return whether all positions are long, and opened and closed by market orders that signals give."""
    return (
        rules.direction is Direction.LONG
        and rules.entry.type is EntryType.MARKET
        and not rules.entry.additions
        and rules.exits == _NO_EXITS
        and rules.sizing.quote_amount is rules.sizing.risk_fraction is rules.sizing.volatility_target is None
        and rules.margin.leverage == 1
        and rules.exchange == _NO_RULES_OF_EXCHANGE
        and not rules.volume.is_used
        and not rules.funding.is_paid
    )


def write_plan(record: NDArray[np.void], rules: TradingRules, engine: EngineName) -> None:
    """Write the rules of a row into its record, an array [1] or a view of one."""
    record["plan"] = plan_record(build_plan(rules))
    record["initial_cash"] = rules.initial_cash
    record["by_orders"] = not trades_at_market(rules)
    record["spends_budgets"] = engine is EngineName.VECTORIZED
