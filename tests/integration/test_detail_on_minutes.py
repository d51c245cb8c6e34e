"""Check `detailInterval` on a year of real minutes against a loop that walks from minute to minute.

The loop is written for this test, in plain numbers and without the engine's rules: one order after the other, as a
trader would follow them on a one-minute chart. The engine sees hours or days, and the minutes inside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from src.domain.order_rules import EntryOrder, EntryType, Exits
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import FillReason
from src.domain.trading import Direction, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from tests.integration.test_entry_bars_on_minutes import bars_of

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def minutes(shared_data: Path) -> pd.DataFrame:
    return pd.read_parquet(shared_data / "BTCUSDT-1m-2024.parquet")


@dataclass
class Trader:
    """Follows one position at a time, by the minute: a stop, a target, a trailing stop; entries at market or limit."""

    stop: float
    target: float
    trail: float
    offset: float
    side: int = 0
    entry: float = 0.0
    level: float = 0.0
    reason: str = ""
    waiting: tuple[int, float, int] | None = None
    fills: list[tuple[int, float, str]] = field(default_factory=list)

    def enter(self, bar: int, side: int, price: float, reason: str) -> None:
        self.side, self.entry = side, price
        self.fills.append((bar, price, reason))
        self.level, self.reason = price * (1 - side * self.stop), "stop_loss"
        self.follow(price)

    def follow(self, best: float) -> None:
        """Move the stop behind the best price, never back."""
        level = best * (1 - self.side * self.trail)
        if self.side * level > self.side * self.level:
            self.level, self.reason = level, "trailing_stop"

    def leave(self, bar: int, price: float, reason: str) -> None:
        self.side = 0
        self.fills.append((bar, price, reason))

    def minute(self, bar: int, opened: float, high: float, low: float, close: float) -> None:
        if self.side:
            self.watch(bar, opened, high, low)
        elif self.waiting is not None:
            side, level, _ = self.waiting
            reached = low if side > 0 else high
            if side * reached > side * level * (1 + side * 1e-12):
                return
            price = opened if side * opened <= side * level else level
            self.waiting = None
            self.enter(bar, side, price, "limit")
            if price == opened:  # it is held for the whole minute
                self.watch(bar, opened, high, low)
                return
            # The price fell on after it filled a buy, so its low came later; of its high only the close is known.
            if side * reached <= side * self.level:
                self.leave(bar, self.level, self.reason)
            elif side * close >= side * self.entry * (1 + side * self.target):
                self.leave(bar, self.entry * (1 + side * self.target), "take_profit")
            else:
                self.follow(max(level, close) if side > 0 else min(level, close))

    def watch(self, bar: int, opened: float, high: float, low: float) -> None:
        side, goal = self.side, self.entry * (1 + self.side * self.target)
        worst, best = (low, high) if side > 0 else (high, low)
        if side * opened <= side * self.level:
            self.leave(bar, opened, self.reason)
        elif side * opened >= side * goal:
            self.leave(bar, opened, "take_profit")
        elif side * worst <= side * self.level:  # pessimistic where one minute reaches both
            self.leave(bar, self.level, self.reason)
        elif side * best >= side * goal:
            self.leave(bar, goal, "take_profit")
        else:
            self.follow(best)


def walk(bars: Bars, minutes: Bars, action: np.ndarray, trader: Trader, *, life: int, at_limit: bool) -> None:
    """Take the trader through all minutes; signals come at the closes of the bars."""
    stops = np.searchsorted(minutes.open_time_ms, bars.interval.next_opens_ms(bars.open_time_ms))
    first, order = 0, 0
    for bar, stop in enumerate(stops.tolist()):
        if order:
            if trader.side == -order:
                trader.leave(bar, float(bars.open[bar]), "signal")
            if not at_limit and not trader.side:
                trader.enter(bar, order, float(bars.open[bar]), "signal")
        for number in range(first, stop):
            if minutes.volume[number] > 0:
                trader.minute(
                    bar, float(minutes.open[number]), float(minutes.high[number]), float(minutes.low[number]),
                    float(minutes.close[number]),
                )  # fmt: skip
        first = stop
        if trader.waiting is not None and bar >= trader.waiting[2]:
            trader.waiting = None
        order = int(action[bar])
        if order and trader.side != order:
            trader.waiting = (order, float(bars.close[bar]) * (1 - order * trader.offset), bar + life)
            if not at_limit:
                trader.waiting = None
        elif order:
            order = 0


@pytest.mark.parametrize("at_limit", [False, True], ids=["market", "limit"])
@pytest.mark.parametrize(
    ("interval", "rates"),
    [("1h", (0.006, 0.012, 0.008, 0.002)), ("4h", (0.012, 0.024, 0.015, 0.004)), ("1d", (0.03, 0.06, 0.04, 0.01))],
)
def test_detailed_fills_equal_minute_loop(
    minutes: pd.DataFrame, interval: str, rates: tuple[float, float, float, float], at_limit: bool
) -> None:
    finer = bars_of(minutes, "1m")
    bars = replace(bars_of(minutes[minutes["trades"] > 0], interval), inside=finer)
    action = np.random.default_rng(7).choice([-1, 0, 1], p=[0.15, 0.7, 0.15], size=len(bars)).astype(np.int8)
    stop, target, trail, offset = rates
    rules = TradingRules(
        fill=FillTiming.NEXT_OPEN, direction=Direction.BOTH, fee_rate=0.0, slippage_rate=0.0, detail=INTERVALS["1m"],
        entry=EntryOrder(type=EntryType.LIMIT, offset_rate=offset, life_bars=3) if at_limit else EntryOrder(),
        exits=Exits(stop_loss_rate=stop, take_profit_rate=target, trailing_stop_rate=trail),
    )  # fmt: skip
    run = EventDrivenEngine().run(
        bars, Signals(action=action, strategy=StrategyDescription(name="random signals")), rules
    )
    trader = Trader(stop=stop, target=target, trail=trail, offset=offset)
    walk(bars, finer, action, trader, life=3, at_limit=at_limit)
    found = [(int(f["bar"]), float(f["price"]), FillReason(int(f["reason"])).word) for f in run.fills]
    assert len(found) > 40
    assert [fill[::2] for fill in found] == [fill[::2] for fill in trader.fills]
    np.testing.assert_allclose([fill[1] for fill in found], [fill[1] for fill in trader.fills], rtol=1e-12)
    assert run.unresolved_bars == 0
    assert run.resolved_bars > 30
