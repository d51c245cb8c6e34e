"""The timing test beside a rolling of all shifts, what it does not test, and how often it is wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.benchmarks import TimingTest
from src.judgement import timing
from src.judgement.timing import Holding, measure_timing
from tests.exposures import at_random, counted, market, rolled

Floats = NDArray[np.float64]


def in_turns(n: int, held: int, out: int, side: float = 1.0) -> Floats:
    """Exposure that is `held` bars in, `out` bars out, and so on."""
    return np.where(np.arange(n) % (held + out) < held, side, 0.0)


def time_of(exposure: Floats, returns: Floats) -> TimingTest:
    found = measure_timing(exposure, returns, bars_per_year=365.0)
    assert found is not None
    return found


@pytest.mark.parametrize("n", [300, 301, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_p_value_equals_rolling_of_all_shifts(n: int, seed: int) -> None:
    exposure, returns = at_random(n, 4, 6, seed) * (-1 if seed % 2 else 1), market(n, seed)
    found, holding = time_of(exposure, returns), timing.measure_holding(exposure)
    earnings, shifts = rolled(exposure, returns), counted(n, holding.mean_bars)
    others = earnings[shifts]
    assert found.shifts == len(shifts)
    assert found.p_value == (1 + sum(others >= earnings[0] - 1e-12)) / (1 + len(shifts))
    scale = 36_500 / n
    assert found.edge == pytest.approx((earnings[0] - others.mean()) * scale)
    smallest = np.quantile(others, 0.95) - others.mean() + 0.8416212335729143 * others.std()
    assert found.smallest_visible_edge == pytest.approx(smallest * scale)


def test_equal_earnings_count_as_reached() -> None:
    # A market that repeats every 10 bars: every tenth shift earns what the run does.
    returns, exposure = np.tile(market(10), 30), in_turns(300, 5, 5)
    found = time_of(exposure, returns)
    earnings = rolled(exposure, returns)[counted(300, 5.0)]
    assert found.p_value == (1 + sum(earnings >= rolled(exposure, returns)[0] - 1e-12)) / (1 + 281)
    assert found.p_value >= 0.1


def test_perfect_timing_is_found() -> None:
    returns = market(500)
    found = time_of((returns > 0).astype(float), returns)
    assert found.p_value == 1 / (1 + found.shifts)
    assert found.edge > found.smallest_visible_edge > 0


def test_bars_needed_lower_smallest_edge_to_measured() -> None:
    exposure, returns = at_random(1000, 4, 6, 2), market(1000, 2)
    found = time_of(exposure, returns + 0.0005 * exposure)
    assert found.bars_needed is not None
    assert found.bars_needed == math.ceil(1000 * (found.smallest_visible_edge / found.edge) ** 2)
    assert time_of(exposure, returns - 0.02 * exposure).bars_needed is None


def test_bars_needed_that_clients_cannot_read_are_none() -> None:
    exposure, returns = at_random(1000, 4, 6, 2), market(1000, 2)
    edge = time_of(exposure, returns).edge
    slope = (time_of(exposure, returns + 0.001 * exposure).edge - edge) / 0.001
    found = time_of(exposure, returns + (1e-6 - edge / slope) * exposure)
    assert 0 < found.edge < 1e-3 * found.smallest_visible_edge
    assert found.bars_needed is None


@pytest.mark.parametrize(
    "exposure", [np.ones(500), np.zeros(500), np.full(500, -0.5)], ids=["always in", "never in", "always short"]
)
def test_exposure_that_never_changes_has_no_timing(exposure: Floats) -> None:
    assert measure_timing(exposure, market(500), bars_per_year=365.0) is None


@pytest.mark.parametrize(("n", "is_tested"), [(117, False), (118, False), (119, True)])
def test_timing_needs_100_shifts(n: int, is_tested: bool) -> None:
    # Mean holding 5: the zone takes 9 shifts at either end, and n − 1 − 18 are left.
    exposure = in_turns(n, 5, 5)
    exposure[110:] = 0.0
    assert timing.measure_holding(exposure).mean_bars == 5.0
    assert (measure_timing(exposure, market(n), bars_per_year=365.0) is not None) == is_tested


@pytest.mark.parametrize(("trades", "is_tested"), [(9, False), (10, True)])
def test_timing_needs_10_trades(trades: int, is_tested: bool) -> None:
    exposure = np.zeros(400)
    exposure[: 20 * trades] = in_turns(20 * trades, 3, 17)
    assert (measure_timing(exposure, market(400), bars_per_year=365.0) is not None) == is_tested


def test_market_that_stands_still_has_no_timing() -> None:
    assert measure_timing(in_turns(300, 5, 5), np.zeros(300), bars_per_year=365.0) is None


def test_holding_equals_hand_computation() -> None:
    sides = np.array([0.0, 1, 1, 0.5, 0, -1, 1, 1, 0, 0, -2])
    assert timing.measure_holding(sides) == Holding(4, 7 / 4)
    assert timing.measure_holding(np.array([1.0, 0, 1])) == Holding(2, 1.0)
    assert math.isnan(timing.measure_holding(np.zeros(3)).mean_bars)


@pytest.mark.parametrize("held", [4, 12])
def test_single_rule_without_edge_is_rejected_rarely(held: int) -> None:
    rejected = sum(
        time_of(at_random(500, held, held, seed), market(500, 900 + seed)).p_value <= 0.05 for seed in range(400)
    )
    # 20 expected, deviation 4.4.
    assert 8 <= rejected <= 34


@pytest.mark.parametrize(
    ("trials", "expected"), [(1.0, 0.01), (0.0, 0.01), (10.0, 1 - 0.99**10), (36.5, 1 - 0.99**36.5)]
)
def test_deflated_p_value_is_that_of_the_best(trials: float, expected: float) -> None:
    assert timing.deflate_p_value(0.01, trials) == pytest.approx(expected, rel=1e-12)
    assert timing.deflate_p_value(1.0, trials) == 1.0


def planted(n: int, seed: int, edge: float) -> TimingTest:
    """The test of a rule that earns `edge` a bar in the market more than out of it, in a market of 2 % noise."""
    exposure = at_random(n, 3, 4, seed)
    return time_of(exposure, market(n, 5000 + seed) + edge * (exposure - exposure.mean()))


def plan(n: int, edge: float, trials: float) -> tuple[float, float]:
    """The mean smallest edge, and the mean bars for the true one: in per cent a year, the edge × p̄ (1 − p̄) × bars."""
    found, true = [planted(n, seed, 0.0) for seed in range(40)], 36_500 * edge * 3 / 7 * 4 / 7
    powers = [timing.deflate_power(replace(one, edge=true, bars_needed=1), n, trials) for one in found]
    return (
        float(np.mean([power.smallest_edge or math.nan for power in powers])),
        float(np.mean([power.bars_needed or math.nan for power in powers])),
    )


def share_found(n: int, edge: float, trials: float) -> float:
    p_values = [planted(n, 100 + seed, edge).p_value for seed in range(400)]
    return float(np.mean([timing.deflate_p_value(p_value, trials) <= 0.05 for p_value in p_values]))


@pytest.mark.parametrize("trials", [5.0, 30.0])
def test_edge_is_found_on_stated_bars(trials: float) -> None:
    # 400 paths: 80 % are found ± 2 %, and the normal approximation is off by some more.
    _, needed = plan(800, 0.0045, trials)
    assert needed > 800
    assert 0.73 <= share_found(round(needed), 0.0045, trials) <= 0.87
    # The bars of the single test, which does not know the trials.
    _, single = plan(800, 0.0045, 1.0)
    assert single == 1.0


@pytest.mark.parametrize("trials", [5.0, 30.0])
def test_smallest_edge_is_found_in_80_per_cent(trials: float) -> None:
    smallest, _ = plan(1200, 0.0045, trials)
    assert 0.73 <= share_found(1200, smallest / (36_500 * 3 / 7 * 4 / 7), trials) <= 0.87


@pytest.mark.parametrize("trials", [0.0, 1.0])
def test_power_of_one_trial_is_unchanged(trials: float) -> None:
    found = planted(800, 1, 0.001)
    assert timing.deflate_power(found, 800, trials) == (found.smallest_visible_edge, found.bars_needed)
    old = replace(found, deviation=None)
    assert timing.deflate_power(old, 800, 30.0) == (found.smallest_visible_edge, found.bars_needed)


@pytest.mark.parametrize(("trials", "is_possible"), [(29.9, True), (30.1, False)])
def test_no_edge_is_found_on_few_bars(trials: float, is_possible: bool) -> None:
    """With 584 shifts the smallest p-value is 1 ÷ 585, and 1 − 0.95^(1/30) is nearly that."""
    found = replace(planted(800, 1, 0.0), shifts=584, edge=1e6, bars_needed=1)
    assert (timing.deflate_p_value(1 / 585, trials) <= 0.05) == is_possible
    power = timing.deflate_power(found, 606, trials)
    assert (power.smallest_edge is not None) == is_possible
    # An edge so large is found once any is.
    steps = next(steps for steps in range(1, 999) if timing.deflate_p_value(1 / steps, trials) <= 0.05)
    assert power.bars_needed == 606 + steps - 585
    assert timing.deflate_power(replace(found, bars_needed=None), 606, trials).bars_needed is None


def test_deflated_bars_that_are_too_many_are_none() -> None:
    found = planted(800, 1, 0.0)
    tiny = replace(found, edge=found.smallest_visible_edge / 1500, bars_needed=800 * 1500**2)
    assert timing.deflate_power(tiny, 800, 1.0).bars_needed == 1_800_000_000
    assert timing.deflate_power(tiny, 800, 30.0).bars_needed is None


def test_bars_needed_grow_with_the_trials() -> None:
    found = replace(planted(800, 1, 0.0), edge=30.0, bars_needed=800)
    needed = [timing.deflate_power(found, 800, trials).bars_needed or 0 for trials in (1.0, 2.0, 5.0, 30.0, 90.0, 1e6)]
    assert needed == sorted(set(needed))


def test_exposure_is_held_from_the_bar_that_fills() -> None:
    position, close, equity = np.array([0.0, 2, 2, 0]), np.array([10.0, 10, 20, 20]), np.array([40.0, 40, 60, 0])
    at_open = timing.hold_exposure(position, close, equity, is_filled_at_close=False)
    at_close = timing.hold_exposure(position, close, equity, is_filled_at_close=True)
    np.testing.assert_allclose(at_open, [0, 0.5, 2 / 3, 0])
    np.testing.assert_allclose(at_close, [0, 0, 0.5, 2 / 3])
