"""Check the bar of a resting entry against every path that the price may have taken through it.

A bar is four numbers, and many paths make the same four. A path is walked here tick by tick, with orders that fill when
it crosses their level. What all paths agree on is certain, and the engine must agree. If they differ, `PESSIMISTIC` is
the worst of them, `OPTIMISTIC` the best, and the bar is counted.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.bars import Bars
from src.domain.intervals import DAY_MS, INTERVALS
from src.domain.order_rules import EntryOrder, EntryType, Exits, Sizing
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import FillReason, Simulation
from src.domain.trading import Direction, FillTiming, IntrabarPolicy, TradingRules
from src.engines.event_driven import EventDrivenEngine
from tests.thoroughness import examples

EXAMPLES = settings(max_examples=examples(400), deadline=None)
TOUCH = 1e-12
CLOSE = 100.0
"""The signal's close."""

Outcome = tuple[str, float]
"""Why the position was left inside the bar and what was paid or got for it; "open" and the close if it was not."""
NO_ENTRY: Outcome = ("no entry", 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walker:
    """One resting entry of one unit, with its exits, that meets prices one after the other."""

    rules: TradingRules

    @property
    def side(self) -> int:
        return 1 if self.rules.direction is Direction.LONG else -1

    @property
    def level(self) -> float:
        away = -1 if self.rules.entry.type is EntryType.LIMIT else 1
        return CLOSE + self.side * away * self.rules.entry.offset_rate * CLOSE

    def walk(self, path: list[float]) -> Outcome:
        """Return the outcome of the entry on this path; all prices lie between two of its prices."""
        below = (self.rules.entry.type is EntryType.LIMIT) == (self.side > 0)
        for index, price in enumerate(path):
            if price <= self.level * (1 + TOUCH) if below else price >= self.level * (1 - TOUCH):
                start = price if index == 0 else self.level
                return self.hold(start, [*path[index:]])
        return NO_ENTRY

    def hold(self, start: float, path: list[float]) -> Outcome:
        """Return the outcome of a position that is entered at the market price `start` and then meets `path`."""
        slips = self.rules.entry.type is EntryType.STOP
        paid = start * (1 + self.side * self.rules.slippage_rate * slips)
        stop, reason = self.stop_of(paid)
        exits = self.rules.exits
        target = None if exits.take_profit_rate is None else paid * (1 + self.side * exits.take_profit_rate)
        for index, price in enumerate([start, *path]):
            if stop is not None and self.side * (price - stop) <= TOUCH * stop:
                return self.stopped(stop if index else price, reason, paid)
            if target is not None and self.side * (price - target) >= -TOUCH * target:
                return "take_profit", target
        return "open", path[-1]

    def stop_of(self, paid: float) -> tuple[float | None, str]:
        """Return the tightest of the stops of a position entered at `paid`."""
        exits, stops = self.rules.exits, []
        if exits.stop_loss_rate is not None:
            stops.append((paid * (1 - self.side * exits.stop_loss_rate), "stop_loss"))
        if exits.trailing_stop_rate is not None:
            stops.append((paid * (1 - self.side * exits.trailing_stop_rate), "trailing_stop"))
        if self.side < 0:
            stops.append(((self.rules.initial_cash + paid) / (1 + self.rules.slippage_rate), "liquidation"))
        return max(stops, key=lambda stop: self.side * stop[0]) if stops else (None, "")

    def stopped(self, price: float, reason: str, paid: float) -> Outcome:
        """Return the exit at the market price `price`; a short cannot pay more than all its cash."""
        price *= 1 - self.side * self.rules.slippage_rate
        cash = self.rules.initial_cash + paid
        if self.side < 0 and price >= cash * (1 - 1e-9):
            return "liquidation", cash
        return reason, price


RATES = st.one_of(st.none(), st.sampled_from([0.03, 0.05, 0.1, 0.3]))


@st.composite
def walkers(draw: st.DrawFn) -> Walker:
    direction = draw(st.sampled_from([Direction.LONG, Direction.SHORT]))
    return Walker(
        rules=TradingRules(
            fill=draw(st.sampled_from(FillTiming)),
            # With the smaller one a short of one unit is liquidated at about twice its price.
            initial_cash=draw(st.sampled_from([130.0, 100_000.0])) if direction is Direction.SHORT else 1000.0,
            fee_rate=0.0,
            slippage_rate=draw(st.sampled_from([0.0, 0.01, 0.05])),
            sizing=Sizing(fixed_units=1.0),
            direction=direction,
            entry=EntryOrder(
                type=draw(st.sampled_from([EntryType.LIMIT, EntryType.STOP])),
                offset_rate=draw(st.sampled_from([0.0, 0.02, 0.05, 0.1])),
            ),
            exits=Exits(stop_loss_rate=draw(RATES), take_profit_rate=draw(RATES), trailing_stop_rate=draw(RATES)),
        )
    )


TICKS = st.one_of(st.integers(80, 125), st.integers(40, 260)).map(float)
PATHS = st.lists(TICKS, min_size=2, max_size=9)


def bar_of(path: list[float]) -> tuple[float, float, float, float]:
    return path[0], max(path), min(path), path[-1]


def run(walker: Walker, bars: list[tuple[float, float, float, float]], policy: IntrabarPolicy) -> Simulation:
    """Run the engine on a signal at a close of 100 and the bars after it."""
    columns = np.array([(CLOSE, CLOSE, CLOSE, CLOSE), *bars]).T
    word = np.zeros(len(bars) + 1, dtype=np.int8)
    word[0] = walker.side
    return EventDrivenEngine().run(
        Bars(
            symbol="WALK",
            interval=INTERVALS["1d"],
            open_time_ms=np.arange(len(bars) + 1, dtype=np.int64) * DAY_MS,
            **dict(zip(("open", "high", "low", "close"), columns, strict=True)),
            volume=np.ones(len(bars) + 1),
        ),
        Signals(action=word, strategy=StrategyDescription(name="one signal")),
        TradingRules(**{name: getattr(walker.rules, name) for name in RULE_NAMES} | {"intrabar": policy}),
    )


EXTREMES = (IntrabarPolicy.PESSIMISTIC, IntrabarPolicy.OPTIMISTIC)
RULE_NAMES = ("fill", "initial_cash", "fee_rate", "slippage_rate", "sizing", "direction", "entry", "exits")


def outcome_of(simulation: Simulation, close: float) -> Outcome:
    fills = simulation.fills
    if not len(fills):
        return NO_ENTRY
    return (FillReason(fills["reason"][1]).word, float(fills["price"][1])) if len(fills) > 1 else ("open", close)


def is_same(one: Outcome, other: Outcome) -> bool:
    return one[0] == other[0] and abs(one[1] - other[1]) <= 1e-9 * max(1.0, abs(one[1]))


def paths_through(open: float, high: float, low: float, close: float, level: float) -> list[list[float]]:
    """Return paths that make this bar: its extremes and the entry's level in every order, up to four of them."""
    return [
        [open, *middle, close]
        for length in (2, 3, 4)
        for middle in itertools.product((high, low, *((level,) if low <= level <= high else ())), repeat=length)
        if high in middle and low in middle
    ]


@given(walkers(), PATHS)
@EXAMPLES
def test_intrabar_policies_pick_worst_and_best_path(walker: Walker, ticks: list[float]) -> None:
    bar = bar_of(ticks)
    outcomes = [walker.walk(path) for path in paths_through(*bar, walker.level)]
    worst, best = (pick(outcomes, key=lambda outcome: walker.side * outcome[1]) for pick in (min, max))
    pessimistic, optimistic = (run(walker, [bar], policy) for policy in EXTREMES)
    assert is_same(outcome_of(pessimistic, bar[3]), worst)
    assert is_same(outcome_of(optimistic, bar[3]), best)
    assert pessimistic.ambiguous_bars == optimistic.ambiguous_bars == int(not is_same(worst, best))


@given(walkers(), PATHS)
@EXAMPLES
def test_nearest_policy_walks_the_nearer_extreme_first(walker: Walker, ticks: list[float]) -> None:
    open, high, low, close = bar = bar_of(ticks)
    extremes = [high, low] if high - open < open - low else [low, high]
    expected = walker.walk([open, *extremes, close])
    simulation = run(walker, [bar], IntrabarPolicy.NEAREST)
    assert is_same(outcome_of(simulation, close), expected)
    assert simulation.ambiguous_bars == run(walker, [bar], IntrabarPolicy.PESSIMISTIC).ambiguous_bars


@given(walkers(), PATHS)
@EXAMPLES
def test_truth_lies_between_the_two_policies(walker: Walker, ticks: list[float]) -> None:
    bar, truth = bar_of(ticks), walker.walk(ticks)
    pessimistic, optimistic = (run(walker, [bar], policy) for policy in EXTREMES)
    worst, best = (outcome_of(simulation, bar[3]) for simulation in (pessimistic, optimistic))
    if pessimistic.ambiguous_bars:
        assert walker.side * worst[1] <= walker.side * truth[1] + 1e-9
        assert walker.side * truth[1] <= walker.side * best[1] + 1e-9
    else:
        assert is_same(worst, truth)
        assert is_same(best, truth)


@given(
    st.sampled_from([Direction.LONG, Direction.SHORT]),
    st.sampled_from([EntryType.LIMIT, EntryType.STOP]),
    st.lists(st.integers(90, 112).map(float), max_size=4),
    st.lists(st.integers(90, 112).map(float), max_size=4),
)
@EXAMPLES
def test_trailing_stop_follows_no_price_before_the_entry(
    direction: Direction, entry: EntryType, before: list[float], after: list[float]
) -> None:
    """The next bar goes from the close through every stop, and shows where the trailing stop stood after the entry's
    bar."""
    rules = TradingRules(
        fill=FillTiming.NEXT_OPEN,
        initial_cash=1e6,
        fee_rate=0.0,
        slippage_rate=0.0,
        sizing=Sizing(fixed_units=1.0),
        direction=direction,
        entry=EntryOrder(type=entry, offset_rate=0.05),
        # So far away that no price of the entry's bar reaches it.
        exits=Exits(trailing_stop_rate=0.3),
    )
    walker = Walker(rules=rules)
    side, ticks = walker.side, [CLOSE, *before, walker.level, *after]
    bar, far = bar_of(ticks), 10.0 if walker.side > 0 else 1000.0
    last = (bar[3], max(bar[3], far), min(bar[3], far), far)
    simulation = run(walker, [bar, last], IntrabarPolicy.PESSIMISTIC)
    entered = next(index for index in range(len(ticks)) if walker.walk(ticks[: index + 1]) != NO_ENTRY)
    truth, proven = ([walker.level, *prices] for prices in (ticks[entered:], ticks[-1:]))
    # The best price after the entry is the bar's best for a stop entry, and is known to be so; else the close must do.
    best = max(truth if entry is EntryType.STOP else proven, key=lambda price: side * price)
    assert side * best <= max(side * price for price in truth)
    assert simulation.fills["reason"].tolist()[1:] == [FillReason.TRAILING_STOP]
    assert abs(simulation.fills["price"][1] - best * (1 - side * 0.3)) <= 1e-9
