"""Check runs by finer bars against runs on bars, whatever the rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from src.domain.signals import Signals
from src.domain.trading import TradingRules
from src.engines.event_driven import EventDrivenEngine
from tests.simulations import FUNDED, LEVERAGED, RULES, Market, markets
from tests.thoroughness import examples

EXAMPLES = settings(max_examples=examples(150), deadline=None)
MINUTE, FIVE = INTERVALS["1m"], INTERVALS["5m"]
DETAILED = st.one_of(RULES, LEVERAGED, FUNDED).map(lambda rules: replace(rules, detail=MINUTE))


def coarser(bars: Bars, signals: Signals, *, size: int = 5) -> tuple[Bars, Signals]:
    """Return bars of `size` minutes with these bars inside them, and the last signal of each."""
    n = len(bars) // size
    minutes = replace(bars.slice(0, n * size), interval=MINUTE, open_time_ms=np.arange(n * size) * 60_000)
    columns = {name: getattr(minutes, name).reshape(n, size) for name in ("open", "high", "low", "close", "volume")}
    whole = Bars(
        symbol=bars.symbol, interval=FIVE, open_time_ms=minutes.open_time_ms[::size], open=columns["open"][:, 0],
        high=columns["high"].max(axis=1), low=columns["low"].min(axis=1), close=columns["close"][:, -1],
        volume=columns["volume"].sum(axis=1), inside=minutes,
    )  # fmt: skip
    return whole, replace(signals, action=signals.action[: n * size].reshape(n, size)[:, -1], probability=None)


@given(market=markets(), rules=DETAILED)
@EXAMPLES
def test_one_finer_bar_each_changes_nothing(market: Market, rules: TradingRules) -> None:
    bars, signals = market
    five = replace(bars, interval=FIVE, open_time_ms=np.arange(len(bars)) * 300_000)
    inside = replace(five, interval=MINUTE)
    detailed = EventDrivenEngine().run(replace(five, inside=inside), signals, rules)
    plain = EventDrivenEngine().run(five, signals, rules)
    for name in ("equity", "cash", "position", "fills", "trades"):
        assert getattr(detailed, name).tobytes() == getattr(plain, name).tobytes(), name
    assert detailed.ambiguous_bars == plain.ambiguous_bars
    assert detailed.unresolved_bars == 0


@given(market=markets(), rules=DETAILED)
@EXAMPLES
def test_detailed_runs_conserve_money(market: Market, rules: TradingRules) -> None:
    bars, signals = coarser(*market)
    run = EventDrivenEngine().run(bars, signals, rules)
    np.testing.assert_allclose(run.equity, run.cash + run.position * bars.close, rtol=1e-12, atol=1e-9)
    assert (run.equity >= 0).all()
    if len(bars):
        gain = float(run.equity[-1]) - rules.initial_cash
        np.testing.assert_allclose(run.trades["profit"].sum(), gain, rtol=1e-6, atol=1e-6 * rules.initial_cash)
    assert run.unresolved_bars == 0


@given(market=markets(), rules=DETAILED, share=st.floats(0, 1))
@EXAMPLES
def test_detailed_prefix_equals_whole_run(market: Market, rules: TradingRules, share: float) -> None:
    bars, signals = coarser(*market)
    k = int(share * len(bars))
    rules = replace(rules, exits=replace(rules.exits, at_end=False))
    whole = EventDrivenEngine().run(bars, signals, rules)
    head = EventDrivenEngine().run(bars.slice(0, k), replace(signals, action=signals.action[:k]), rules)
    for name in ("equity", "cash", "position"):
        np.testing.assert_array_equal(getattr(head, name), getattr(whole, name)[:k])


@given(market=markets(), rules=DETAILED)
@EXAMPLES
def test_only_asked_bars_need_finer_ones(market: Market, rules: TradingRules) -> None:
    """A run with the finer bars of the bars that it asks for, until it asks for none, equals the run with all."""
    bars, signals = coarser(*market)
    engine, known = EventDrivenEngine(), np.zeros(len(bars), dtype=np.bool_)
    whole = engine.run(bars, signals, rules)
    assert bars.inside is not None
    while True:
        keep = np.repeat(known, 5)
        columns = ("open_time_ms", "open", "high", "low", "close", "volume")
        some = replace(bars.inside, **{name: getattr(bars.inside, name)[keep] for name in columns})
        partly = replace(bars, inside=some)
        asked = engine.find_detail(partly, signals, rules)
        if not len(asked):
            break
        assert not known[asked].any()
        known[asked] = True
    np.testing.assert_array_equal(engine.run(partly, signals, rules).equity, whole.equity)
