"""Convert the trading rules to the plain numbers that compiled code needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from src.domain.exit_orders import ExitType
from src.domain.ladders import MAX_RUNGS, TakeProfit
from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming, IntrabarPolicy, TradingRules
from src.engines.account import Costs
from src.engines.compiled import compiled
from src.engines.orders import LIMIT_ENTRY, MARKET_ENTRY, STOP_ENTRY, STOP_LIMIT_ENTRY
from src.engines.paths import NEAREST, OPTIMISTIC, PESSIMISTIC

ALLOWED_SIDES: Final = {Direction.LONG: 1, Direction.SHORT: -1, Direction.BOTH: 0}
ENTRY_KINDS: Final = {
    EntryType.MARKET: MARKET_ENTRY,
    EntryType.LIMIT: LIMIT_ENTRY,
    EntryType.STOP: STOP_ENTRY,
    EntryType.STOP_LIMIT: STOP_LIMIT_ENTRY,
}
POLICIES: Final = {
    IntrabarPolicy.PESSIMISTIC: PESSIMISTIC,
    IntrabarPolicy.OPTIMISTIC: OPTIMISTIC,
    IntrabarPolicy.NEAREST: NEAREST,
}

Rung = TypeVar("Rung", bound=tuple[float, ...])

NEVER: Final = 2**62
"""A bar number that no run reaches."""


TargetTable: TypeAlias = tuple[tuple[float, float, float], ...]
"""[16, 3]: rate, portion (inf for all remaining units) and age of each target; unused rows are NaN."""
AdditionTable: TypeAlias = tuple[tuple[float, float], ...]
"""[16, 2]: move and size of each addition; unused rows are NaN."""


class Plan(NamedTuple):
    """`TradingRules` as plain numbers; NaN and `NEVER` mean that a rule is not given.

    Compiled code reads them from a record with these names (`PLAN_DTYPE`).
    """

    fee_rate: float
    maker_fee_rate: float
    slippage_rate: float
    impact: float
    volume_limit: float
    """The share of the volume above which the price moves no further."""
    cuts_to_volume: bool
    """Whether `volume_limit` limits what an entry buys."""
    fixed_units: float
    equity_fraction: float
    quote_amount: float
    risk_fraction: float
    volatility_target: float
    first_stop_rate: float
    first_stop_atr: float
    """The distance of the nearest stop of a new position: a fraction of its price, or in ATR."""
    margin_rate: float
    """The part of a position's value that it pays: 1 ÷ leverage."""
    maintenance_rate: float
    is_isolated: bool
    """Whether a position can lose its margin and its fee only; otherwise all cash is the margin of a short."""
    funding_rate: float
    """The rate by which a bar's funding marks (`funding_marks`) are multiplied: 0 without funding."""
    allowed_side: int
    """+1 longs only, −1 shorts only, 0 both."""
    is_filled_at_close: bool
    """Whether market orders fill at the signal's own close; at the next open otherwise."""
    entry_kind: int
    entry_offset_rate: float
    entry_life_bars: int
    limit_offset_rate: float
    reprices_entry: bool
    stop_loss_rate: float
    take_profit_rate: float
    trailing_stop_rate: float
    uses_measures: bool
    """Whether the book notes a figure of each bar (`measures`): at least one of the next three flags is set."""
    uses_atr: bool
    uses_volatility: bool
    uses_volume: bool
    stop_loss_atr: float
    take_profit_atr: float
    trailing_stop_atr: float
    trailing_start_rate: float
    break_even_rate: float
    moves_stops: bool
    """Whether a stop follows the price; a flag, because testing the levels at each bar takes a quarter longer."""
    watches_margin: bool
    """Whether the distance of prices from the liquidation level is noted."""
    follows_bars: bool
    """Whether a bar without an order changes a book with a position: `moves_stops` or `watches_margin`."""
    max_bars: int
    cooldown_bars: int
    exits_on_signal: bool
    exits_by_limit: bool
    exit_offset_rate: float
    closes_at_end: bool
    has_rungs: bool
    """Whether there are targets or additions beside `take_profit_rate`."""
    target_count: int
    targets: TargetTable
    addition_count: int
    additions: AdditionTable
    most_fills: int
    """The most fills of one position: its entry, its last exit, and each rung once."""
    intrabar: int
    """How an uncertain bar is decided; see `paths`."""
    tick_numerator: float
    tick_denominator: float
    """The step of prices as a ratio of the two; see `filters`."""
    step_numerator: float
    step_denominator: float
    min_notional: float


_COLUMNS: Final[dict[Any, np.dtype[Any]]] = {
    float: np.dtype(np.float64),
    int: np.dtype(np.int64),
    bool: np.dtype(np.bool_),
    TargetTable: np.dtype((np.float64, (MAX_RUNGS, 3))),
    AdditionTable: np.dtype((np.float64, (MAX_RUNGS, 2))),
}


def columns_of(layout: type) -> list[tuple[str, np.dtype[Any]]]:
    """Return the columns of a record array from the fields that a class of plain numbers declares."""
    return [(name, _COLUMNS[kind]) for name, kind in get_type_hints(layout).items()]


PLAN_DTYPE: Final = np.dtype(columns_of(Plan), align=True)
_COLUMNS[Plan] = PLAN_DTYPE


def plan_record(plan: Plan) -> NDArray[np.void]:
    """Return an array [1] with the plan for compiled code."""
    return np.array([tuple(plan)], dtype=PLAN_DTYPE)


@compiled
def costs_of(plan: Plan) -> Costs:
    """Return the terms of orders that are filled at once, or at any price."""
    return Costs(plan.fee_rate, plan.maker_fee_rate, plan.slippage_rate, plan.impact, plan.volume_limit)


def build_plan(rules: TradingRules) -> Plan:
    """Convert the rules to plain numbers for compiled code."""
    exits, sizing, entry, exchange = rules.exits, rules.sizing, rules.entry, rules.exchange
    tick, step = to_ratio(exchange.tick_size), to_ratio(exchange.step_size)
    targets = exits.take_profits
    if entry.additions and exits.take_profit_rate is not None:
        targets = (TakeProfit(rate=exits.take_profit_rate),)  # as a rung, it follows the mean entry price
    return Plan(
        fee_rate=float(rules.taker_rate),
        maker_fee_rate=float(rules.maker_rate),
        slippage_rate=float(rules.slippage_rate),
        impact=float(rules.volume.impact),
        volume_limit=float(rules.volume.limit),
        cuts_to_volume=rules.volume.max_share is not None,
        fixed_units=_or_nan(sizing.fixed_units),
        equity_fraction=1.0 if sizing.equity_fraction is None else float(sizing.equity_fraction),
        quote_amount=_or_nan(sizing.quote_amount),
        risk_fraction=_or_nan(sizing.risk_fraction),
        volatility_target=_or_nan(sizing.volatility_target),
        first_stop_rate=_or_nan(exits.first_stop_rate),
        first_stop_atr=_or_nan(exits.first_stop_atr),
        margin_rate=1.0 / float(rules.margin.leverage),
        maintenance_rate=float(rules.margin.maintenance_rate),
        is_isolated=rules.margin.leverage != 1,
        funding_rate=float(rules.funding.rate_of_marks),
        allowed_side=ALLOWED_SIDES[rules.direction],
        is_filled_at_close=rules.fill is FillTiming.SAME_CLOSE,
        entry_kind=ENTRY_KINDS[entry.type],
        entry_offset_rate=float(entry.offset_rate),
        entry_life_bars=min(int(entry.life_bars), NEVER),
        limit_offset_rate=float(entry.limit_offset_rate),
        reprices_entry=bool(entry.is_repriced),
        stop_loss_rate=_or_nan(exits.stop_loss_rate),
        take_profit_rate=math.nan if targets else _or_nan(exits.take_profit_rate),
        trailing_stop_rate=_or_nan(exits.trailing_stop_rate),
        uses_measures=exits.atr.is_used or sizing.volatility_target is not None or rules.volume.is_used,
        uses_atr=exits.atr.is_used,
        uses_volatility=sizing.volatility_target is not None,
        uses_volume=rules.volume.is_used,
        stop_loss_atr=_or_nan(exits.atr.stop_loss),
        take_profit_atr=_or_nan(exits.atr.take_profit),
        trailing_stop_atr=_or_nan(exits.atr.trailing_stop),
        trailing_start_rate=_or_nan(exits.trailing_start_rate),
        break_even_rate=_or_nan(exits.break_even_rate),
        moves_stops=exits.trails or exits.break_even_rate is not None,
        watches_margin=rules.margin.leverage > 1,
        follows_bars=exits.trails or exits.break_even_rate is not None or rules.margin.leverage > 1,
        max_bars=NEVER if exits.max_bars is None else min(int(exits.max_bars), NEVER),
        cooldown_bars=int(exits.cooldown_bars),
        exits_on_signal=bool(exits.on_signal),
        exits_by_limit=exits.order.type is ExitType.LIMIT,
        exit_offset_rate=float(exits.order.offset_rate),
        closes_at_end=bool(exits.at_end),
        has_rungs=bool(targets or entry.additions),
        target_count=len(targets),
        targets=_padded(
            [
                (float(target.rate), math.inf if target.portion is None else float(target.portion), target.after_bars)
                for target in targets
            ],
            (math.nan,) * 3,
        ),
        addition_count=len(entry.additions),
        additions=_padded([(float(rung.move), float(rung.size)) for rung in entry.additions], (math.nan,) * 2),
        most_fills=2 + len(targets) + len(entry.additions),
        intrabar=POLICIES[rules.intrabar],
        tick_numerator=tick[0],
        tick_denominator=tick[1],
        step_numerator=step[0],
        step_denominator=step[1],
        min_notional=_or_nan(exchange.min_notional),
    )


def to_ratio(step: float | None) -> tuple[float, float]:
    """Return numerator and denominator of the decimal number that the float64 is written as; NaN for None."""
    if step is None:
        return math.nan, math.nan
    numerator, denominator = Decimal(repr(float(step))).as_integer_ratio()
    return float(numerator), float(denominator)


def _padded(rungs: Sequence[Rung], none: Rung) -> tuple[Rung, ...]:
    return (*rungs, *[none] * (MAX_RUNGS - len(rungs)))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
