"""Check what the engine calls certain in the bar of a resting entry against the minutes of that bar.

A year of real minutes is combined into hours and days. The engine sees only these; the minutes show whether the exit
that it fills in an entry's bar really came after the entry.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from src.domain.order_rules import EntryOrder, EntryType, Exits, Sizing
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import FillReason
from src.domain.trading import Direction, FillTiming, IntrabarPolicy, TradingRules
from src.engines.event_driven import EventDrivenEngine

pytestmark = pytest.mark.shared_data

SETTINGS = {
    # interval: how far the entry waits, and how far from it the exit is
    "1h": (0.002, 0.003),
    "1d": (0.01, 0.015),
}
CERTAIN = [
    # In these runs every exit in the entry's own bar is one that the bar proves.
    (EntryType.LIMIT, "stop_loss_rate", IntrabarPolicy.PESSIMISTIC),
    (EntryType.LIMIT, "trailing_stop_rate", IntrabarPolicy.PESSIMISTIC),
    (EntryType.LIMIT, "take_profit_rate", IntrabarPolicy.PESSIMISTIC),
    (EntryType.STOP, "take_profit_rate", IntrabarPolicy.PESSIMISTIC),
    (EntryType.STOP, "stop_loss_rate", IntrabarPolicy.OPTIMISTIC),
    (EntryType.STOP, "trailing_stop_rate", IntrabarPolicy.OPTIMISTIC),
]


@pytest.fixture(scope="module")
def minutes(shared_data: Path) -> pd.DataFrame:
    frame = pd.read_parquet(shared_data / "BTCUSDT-1m-2024.parquet")
    # A minute without trades repeats the last price, and would give its bar a wrong open.
    return frame[frame["trades"] > 0].reset_index(drop=True)


def bars_of(minutes: pd.DataFrame, interval: str) -> Bars:
    length = INTERVALS[interval].milliseconds
    rows = minutes.groupby(minutes["open_time"] // length * length).agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    columns = {name: rows[name].to_numpy() for name in rows}
    return Bars(
        symbol="BTCUSDT", interval=INTERVALS[interval], open_time_ms=rows.index.to_numpy(dtype=np.int64), **columns
    )


def exits_inside(bars: Bars, rules: TradingRules) -> NDArray[np.void]:
    """Return the trades that enter and exit inside one bar, with a signal at every close."""
    side = 1 if rules.direction is Direction.LONG else -1
    signals = Signals(
        action=np.full(len(bars), side, dtype=np.int8), strategy=StrategyDescription(name="at every close")
    )
    trades = EventDrivenEngine().run(bars, signals, rules).trades
    inside = (trades["entry_bar"] == trades["exit_bar"]) & (trades["entry_price"] != bars.open[trades["entry_bar"]])
    assert not (trades["exit_reason"][inside] == FillReason.SIGNAL).any()
    return trades[inside]


def comes_after(trade: np.void, minutes: NDArray[np.float64], kind: EntryType) -> bool:
    """Return whether the minutes [n, high low close] of a bar reach the exit after they reach the entry."""
    side, entry, leave = int(trade["direction"]), float(trade["entry_price"]), float(trade["exit_price"])
    high, low, close = minutes.T
    has_entered = low <= entry if (kind is EntryType.LIMIT) == (side > 0) else high >= entry
    first = int(np.argmax(has_entered))
    assert has_entered[first]
    is_above = leave > entry
    later = high[first + 1 :] >= leave if is_above else low[first + 1 :] <= leave
    # In the minute of the entry: its last price, and the extreme towards which the price went when it entered.
    towards = low[first] if (kind is EntryType.LIMIT) == (side > 0) else high[first]
    proven = (close[first], towards)
    return bool(later.any() or (max(proven) >= leave if is_above else min(proven) <= leave))


@pytest.mark.parametrize("interval", SETTINGS)
@pytest.mark.parametrize("direction", [Direction.LONG, Direction.SHORT])
@pytest.mark.parametrize(("kind", "leaves", "policy"), CERTAIN)
def test_certain_exits_came_after_the_entry(
    minutes: pd.DataFrame,
    interval: str,
    direction: Direction,
    kind: EntryType,
    leaves: str,
    policy: IntrabarPolicy,
) -> None:
    bars = bars_of(minutes, interval)
    offset, distance = SETTINGS[interval]
    rules = TradingRules(
        fill=FillTiming.NEXT_OPEN,
        initial_cash=1e9,
        fee_rate=0.0,
        slippage_rate=0.0,
        sizing=Sizing(fixed_units=1.0),
        direction=direction,
        entry=EntryOrder(type=kind, offset_rate=offset),
        exits=Exits(max_bars=1, **{leaves: distance}),
        intrabar=policy,
    )
    trades = exits_inside(bars, rules)
    times = minutes["open_time"].to_numpy()
    prices = minutes[["high", "low", "close"]].to_numpy()
    starts = np.searchsorted(times, bars.open_time_ms)
    stops = np.append(starts[1:], len(times))
    wrong = [
        trade
        for trade in trades
        if not comes_after(trade, prices[starts[trade["entry_bar"]] : stops[trade["entry_bar"]]], kind)
    ]
    assert len(trades) >= (100 if interval == "1h" else 5)
    assert not wrong
