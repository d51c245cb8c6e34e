"""Price jumps across gaps are left out of what the market returned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.bars.quality import assess
from src.domain.annualization import AnnualizationSettings, annualize
from src.domain.bars import MAX_PRICE, PRICE_COLUMNS, Bars
from src.domain.benchmarks import Benchmarks
from src.domain.intervals import INTERVALS
from src.domain.signals import Signals, StrategyDescription
from src.domain.trading import FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.judgement.jumps import find_jump_rows, join_closes, join_prices
from src.judgement.other_markets import describe_market
from src.judgement.report import JudgedRun, examine, trials_of
from src.metrics.summary import measure
from tests.factories import make_metrics
from tests.market import random_bars, read_klines

DAY_MS = 86_400_000
RULES = TradingRules(fill=FillTiming.NEXT_OPEN)
run = EventDrivenEngine().run


def relist(bars: Bars, row: int, *, factor: float = 1.0, days: int = 18) -> Bars:
    """Return bars that go on from `row` some days later, at prices this many times as high."""
    late = np.arange(len(bars)) >= row
    prices = {name: getattr(bars, name) * np.where(late, factor, 1.0) for name in PRICE_COLUMNS}
    return replace(bars, open_time_ms=bars.open_time_ms + np.where(late, days * DAY_MS, 0), **prices)


def smooth(bars: Bars, row: int) -> Bars:
    """Return the bars with an open that equals the close before it."""
    open_ = bars.open.copy()
    open_[row] = bars.close[row - 1]
    return replace(bars, open=open_, high=np.maximum(bars.high, open_), low=np.minimum(bars.low, open_))


SMOOTH = smooth(random_bars(700, seed=8), 300)


@pytest.mark.parametrize("factor", [1e5, 3.0, 1 / 3.01, 1e-5])
def test_jump_across_gap_is_found_and_left_out(factor: float) -> None:
    bars = relist(SMOOTH, 300, factor=factor)
    assert find_jump_rows(bars) == (300,)
    joined = join_prices(bars, (300,))
    assert joined is not None
    for name in PRICE_COLUMNS:
        np.testing.assert_allclose(getattr(joined, name), getattr(SMOOTH, name), rtol=1e-12)
    np.testing.assert_array_equal(join_closes(bars, (300,)), joined.close)
    np.testing.assert_array_equal(joined.open_time_ms, bars.open_time_ms)


def test_prices_go_on_across_two_jumps() -> None:
    plain = smooth(SMOOTH, 500)
    bars = relist(relist(plain, 300, factor=1e4), 500, factor=1e-6)
    assert find_jump_rows(bars) == (300, 500)
    np.testing.assert_allclose(join_closes(bars, (300, 500)), plain.close, rtol=1e-12)


@pytest.mark.parametrize(("factor", "days"), [(2.9, 18), (1 / 2.9, 18), (1e5, 0), (1.0, 18)])
def test_smaller_moves_and_moves_without_gap_stay(factor: float, days: int) -> None:
    bars = relist(SMOOTH, 300, factor=factor, days=days)
    assert find_jump_rows(bars) == ()
    assert join_prices(bars, ()) is bars
    assert join_closes(bars, ()) is bars.close


@given(
    gaps=st.dictionaries(st.integers(1, 59), st.tuples(st.sampled_from([0.1, 0.5, 1.0, 2.0, 9.0]), st.integers(0, 3))),
    interval=st.sampled_from(["1h", "1d"]),
)
def test_jumps_are_those_of_quality_report(gaps: dict[int, tuple[float, int]], interval: str) -> None:
    bars = random_bars(60, seed=1, interval=interval)
    for row, (factor, days) in gaps.items():
        bars = relist(bars, row, factor=factor, days=days)
    named = [jump.next_ms for jump in assess(bars).jumps]
    assert [int(bars.open_time_ms[row]) for row in find_jump_rows(bars)] == named


@pytest.mark.parametrize("interval", ["1w", "1M"])
def test_jumps_of_weeks_and_months_are_found(interval: str) -> None:
    first = np.datetime64("2020-01-06" if interval == "1w" else "2020-01-01")
    times = (first + np.arange(5) * np.timedelta64(7, "D")).astype("datetime64[ms]")
    if interval == "1M":
        times = (first.astype("datetime64[M]") + np.arange(5)).astype("datetime64[ms]")
    kept, prices = [0, 1, 3, 4], np.array([1.0, 9.0, 90.0, 90.0])
    columns: dict[str, Any] = dict.fromkeys(PRICE_COLUMNS, prices)
    bars = Bars(
        symbol="X",
        interval=INTERVALS[interval],
        open_time_ms=times.astype(np.int64)[kept],
        volume=np.ones(4),
        **columns,
    )
    assert find_jump_rows(bars) == (2,)
    assert len(assess(bars).jumps) == 1


def judged(bars: Bars) -> JudgedRun:
    """Return a run that is in the market for 7 of 14 bars, and flat across bar 300."""
    action = np.zeros(len(bars), np.int8)
    action[8::14], action[15::14] = 1, -1
    signals = Signals(action=action, strategy=StrategyDescription(name="hand-made"))
    simulation = run(bars, signals, RULES)
    settings = AnnualizationSettings(bars_per_year=365.0)
    metrics = measure(simulation, bars, initial_cash=RULES.initial_cash, strategy_name="hand-made", settings=settings)
    return JudgedRun(
        bars=bars, quality=assess(bars), signals=signals, rules=RULES, simulation=simulation, metrics=metrics,
        annualization=annualize(bars, settings), has_model=False, is_simulated=False, differing_fills=None,
    )  # fmt: skip


def figures(found: Benchmarks) -> list[float | None]:
    timing, held = found.timing, found.buy_and_hold
    assert timing is not None
    assert held is not None
    trends = [(part.total_return, part.bars) for part in found.trends]
    return [
        timing.p_value, timing.edge, timing.smallest_visible_edge, held.total_return, held.sharpe_ratio,
        held.max_drawdown, *(value for trend in trends for value in trend),
    ]  # fmt: skip


def test_relisted_market_is_judged_as_one_series() -> None:
    relisted, plain = judged(relist(SMOOTH, 300, factor=1e5)), judged(relist(SMOOTH, 300))
    assert not relisted.simulation.position[296:302].any()
    assert relisted.metrics.total_trades == plain.metrics.total_trades > 40
    assert relisted.metrics.total_return == pytest.approx(plain.metrics.total_return)
    found, expected = examine(relisted, run), examine(plain, run)
    assert (found.benchmarks.jumps_left_out, expected.benchmarks.jumps_left_out) == (1, 0)
    assert figures(found.benchmarks) == pytest.approx(figures(expected.benchmarks), rel=1e-6)
    for own, other in zip(trials_of(relisted), trials_of(plain), strict=True):
        assert own is not None
        assert other is not None
        np.testing.assert_allclose(own.directions, other.directions, atol=2**12)


def test_market_without_joined_prices_is_not_held() -> None:
    """It fell by 10¹² where it was relisted, and rose a hundredfold after."""
    bars = relist(SMOOTH, 0, factor=MAX_PRICE / 1e3, days=0)
    bars = relist(relist(bars, 300, factor=1e-12), 400, factor=100.0, days=0)
    assert join_prices(bars, find_jump_rows(bars)) is None
    found = examine(judged(bars), run).benchmarks
    assert (found.jumps_left_out, found.buy_and_hold) == (1, None)
    assert found.timing is not None


def test_other_market_is_held_without_its_jump() -> None:
    bars = relist(SMOOTH, 300, factor=1e5)
    found = describe_market(bars, make_metrics(buy_and_hold_return=-1.0))
    assert found.buy_and_hold_return == pytest.approx((SMOOTH.close[-1] / SMOOTH.close[0] - 1) * 100)


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "interval"), [("LUNAUSDT-1d-12col.csv.gz", "1d"), ("LUNAUSDT-1h.csv.gz", "1h")])
def test_holding_luna_loses_all(shared_data: Path, name: str, interval: str) -> None:
    bars = read_klines(shared_data / name, interval=interval)
    [jump] = assess(bars).jumps
    [row] = find_jump_rows(bars)
    assert int(bars.open_time_ms[row]) == jump.next_ms
    assert join_closes(bars, (row,))[-1] / bars.close[0] < 0.01 < bars.close[-1] / bars.close[0]
