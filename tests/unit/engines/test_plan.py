"""Trading rules as plain numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from src.domain.atr_exits import AtrDistances
from src.domain.exchange_rules import ExchangeRules
from src.domain.exit_orders import ExitOrder, ExitType
from src.domain.funding import Funding, FundingKind
from src.domain.ladders import AddEntry, TakeProfit
from src.domain.order_rules import EntryOrder, EntryType, Exits, Margin, Sizing
from src.domain.trading import Direction, FillTiming, IntrabarPolicy, TradingRules
from src.domain.volume_rules import VolumeRules
from src.engines.orders import LIMIT_ENTRY, MARKET_ENTRY, STOP_ENTRY, STOP_LIMIT_ENTRY
from src.engines.paths import NEAREST, OPTIMISTIC, PESSIMISTIC
from src.engines.plan import NEVER, Plan, build_plan


def test_every_rule_is_in_the_plan() -> None:
    rules = TradingRules(
        fill=FillTiming.SAME_CLOSE,
        fee_rate=0.5,
        maker_fee_rate=-0.005,
        taker_fee_rate=0.01,
        slippage_rate=0.02,
        sizing=Sizing(fixed_units=3.0),
        direction=Direction.SHORT,
        entry=EntryOrder(
            type=EntryType.STOP_LIMIT,
            offset_rate=0.03,
            life_bars=4,
            limit_offset_rate=0.12,
            is_repriced=True,
            additions=(AddEntry(move=-0.25, size=2.0),),
        ),
        exits=Exits(
            stop_loss_rate=0.05,
            take_profits=(TakeProfit(rate=0.01, portion=0.5), TakeProfit(rate=0.02, after_bars=7)),
            trailing_stop_rate=0.07,
            atr=AtrDistances(bars=3),
            trailing_start_rate=0.09,
            break_even_rate=0.1,
            max_bars=8,
            on_signal=False,
            at_end=True,
            cooldown_bars=11,
        ),
        margin=Margin(leverage=4.0, maintenance_rate=0.1),
        volume=VolumeRules(impact=0.3, max_share=0.2),
        exchange=ExchangeRules(tick_size=0.05, step_size=2.5, min_notional=7.0),
        funding=Funding(kind=FundingKind.CONSTANT, rate=-0.0003),
        intrabar=IntrabarPolicy.OPTIMISTIC,
    )
    plan = build_plan(rules)
    unused = (
        "quote_amount",
        "risk_fraction",
        "volatility_target",
        "first_stop_atr",
        "stop_loss_atr",
        "take_profit_atr",
        "trailing_stop_atr",
        "take_profit_rate",
    )
    assert all(math.isnan(getattr(plan, name)) for name in unused)
    assert plan._replace(**dict.fromkeys(unused, 0.0)) == Plan(
        fee_rate=0.01,
        maker_fee_rate=-0.005,
        slippage_rate=0.02,
        impact=0.3,
        volume_limit=0.2,
        cuts_to_volume=True,
        fixed_units=3.0,
        equity_fraction=1.0,
        quote_amount=0.0,
        risk_fraction=0.0,
        volatility_target=0.0,
        first_stop_rate=0.05,
        first_stop_atr=0.0,
        margin_rate=0.25,
        maintenance_rate=0.1,
        is_isolated=True,
        funding_rate=-0.0003,
        allowed_side=-1,
        is_filled_at_close=True,
        entry_kind=STOP_LIMIT_ENTRY,
        entry_offset_rate=0.03,
        entry_life_bars=4,
        limit_offset_rate=0.12,
        reprices_entry=True,
        stop_loss_rate=0.05,
        take_profit_rate=0.0,
        trailing_stop_rate=0.07,
        uses_measures=True,
        uses_atr=False,
        uses_volatility=False,
        uses_volume=True,
        stop_loss_atr=0.0,
        take_profit_atr=0.0,
        trailing_stop_atr=0.0,
        trailing_start_rate=0.09,
        break_even_rate=0.1,
        moves_stops=True,
        watches_margin=True,
        follows_bars=True,
        max_bars=8,
        cooldown_bars=11,
        exits_on_signal=False,
        exits_by_limit=False,
        exit_offset_rate=0.0,
        closes_at_end=True,
        has_rungs=True,
        target_count=2,
        targets=((0.01, 0.5, 0), (0.02, math.inf, 7), *[(math.nan,) * 3] * 14),
        addition_count=1,
        additions=((-0.25, 2.0), *[(math.nan,) * 2] * 15),
        most_fills=5,
        intrabar=OPTIMISTIC,
        tick_numerator=1.0,
        tick_denominator=20.0,
        step_numerator=5.0,
        step_denominator=2.0,
        min_notional=7.0,
    )


def test_single_target_moves_with_additions() -> None:
    entry, exits = EntryOrder(additions=(AddEntry(move=0.1),)), Exits(take_profit_rate=0.06)
    plan = build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, entry=entry, exits=exits))
    assert math.isnan(plan.take_profit_rate)
    assert (plan.target_count, plan.targets[0]) == (1, (0.06, math.inf, 0))


def test_rules_not_given_are_nan_or_never() -> None:
    plan = build_plan(TradingRules(fill=FillTiming.NEXT_OPEN))
    rates = (plan.fixed_units, plan.stop_loss_rate, plan.take_profit_rate, plan.trailing_stop_rate)
    assert all(map(math.isnan, rates))
    assert (plan.max_bars, plan.equity_fraction, plan.entry_life_bars) == (NEVER, 1.0, 1)
    assert all(map(math.isnan, (plan.first_stop_rate, plan.trailing_start_rate, plan.break_even_rate)))
    assert plan.moves_stops is False
    assert all(map(math.isnan, (plan.tick_numerator, plan.step_numerator, plan.min_notional)))
    assert (plan.margin_rate, plan.maintenance_rate, plan.funding_rate) == (1.0, 0.004, 0.0)
    assert (plan.exits_on_signal, plan.closes_at_end, plan.cooldown_bars) == (True, False, 0)
    assert (plan.has_rungs, plan.most_fills) == (False, 2)
    assert (plan.is_filled_at_close, plan.intrabar, plan.entry_kind) == (False, PESSIMISTIC, MARKET_ENTRY)


def test_distances_in_ranges_are_in_the_plan() -> None:
    exits = Exits(atr=AtrDistances(stop_loss=3.0, take_profit=4.0, trailing_stop=2.5, bars=7))
    plan = build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, exits=exits))
    assert (plan.uses_atr, plan.stop_loss_atr, plan.take_profit_atr, plan.trailing_stop_atr) == (True, 3.0, 4.0, 2.5)
    assert (plan.first_stop_atr, plan.moves_stops) == (2.5, True)
    late = build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, exits=replace(exits, trailing_start_rate=0.1)))
    assert late.first_stop_atr == 3.0


def test_limit_exit_is_in_the_plan() -> None:
    exits = Exits(order=ExitOrder(type=ExitType.LIMIT, offset_rate=0.02))
    plan = build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, exits=exits))
    assert (plan.exits_by_limit, plan.exit_offset_rate) == (True, 0.02)


def test_nearest_policy_is_in_the_plan() -> None:
    assert build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, intrabar=IntrabarPolicy.NEAREST)).intrabar == NEAREST


def test_fraction_of_equity_is_in_the_plan() -> None:
    assert (
        build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, sizing=Sizing(equity_fraction=0.25))).equity_fraction == 0.25
    )


@pytest.mark.parametrize(
    ("sizing", "exits", "expected"),
    [
        (Sizing(quote_amount=250.0), Exits(), (250.0, None, None)),
        (Sizing(risk_fraction=0.01), Exits(stop_loss_rate=0.05), (None, 0.01, 0.05)),
        (Sizing(risk_fraction=0.01), Exits(stop_loss_rate=0.05, trailing_stop_rate=0.02), (None, 0.01, 0.02)),
        (
            Sizing(risk_fraction=0.01),
            Exits(stop_loss_rate=0.05, trailing_stop_rate=0.02, trailing_start_rate=0.1),
            (None, 0.01, 0.05),
        ),
    ],
)
def test_sizes_and_first_stop_are_in_plan(
    sizing: Sizing, exits: Exits, expected: tuple[float | None, float | None, float | None]
) -> None:
    plan = build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, sizing=sizing, exits=exits))
    found = (plan.quote_amount, plan.risk_fraction, plan.first_stop_rate)
    assert [None if math.isnan(value) else value for value in found] == list(expected)


@pytest.mark.parametrize(("direction", "side"), [(Direction.LONG, 1), (Direction.SHORT, -1), (Direction.BOTH, 0)])
def test_direction_allows_its_side(direction: Direction, side: int) -> None:
    assert build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, direction=direction)).allowed_side == side


def test_kinds_of_entry_have_distinct_codes() -> None:
    kinds = [
        build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, entry=EntryOrder(type=kind))).entry_kind
        for kind in EntryType
    ]
    assert kinds == [MARKET_ENTRY, LIMIT_ENTRY, STOP_ENTRY, STOP_LIMIT_ENTRY]
    assert len(set(kinds)) == 4
