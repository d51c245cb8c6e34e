"""The ledger's sums beside the full matrix of correlations, in any order of trials, and the key of a trial."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain import trials
from src.domain.trials import NO_TRIALS, Trial, TrialSums
from src.judgement import trial_ledger
from src.judgement.trial_keys import trial_key
from src.judgement.trial_ledger import build_trial

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def days(n: int, first: int = 0) -> Times:
    return (np.arange(n, dtype=np.int64) + first) * DAY_MS


def walk(n: int = 300, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(n) * 0.01


def trial(returns: Floats, times: Times | None = None) -> Trial:
    found = build_trial(days(returns.size) if times is None else times, returns)
    assert found is not None
    return found


def sums(*trials: Trial) -> TrialSums:
    found = NO_TRIALS
    for one in trials:
        found = found.add(one)
    return found


def correlated(count: int, correlation: float, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    common, own = rng.standard_normal(300), rng.standard_normal((count, 300))
    return 0.01 * (math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own)


@pytest.mark.parametrize("correlation", [0.2, 0.9, 0.9999])
@pytest.mark.parametrize("count", [2, 3, 90])
def test_mean_correlation_equals_full_matrix(count: int, correlation: float) -> None:
    returns = correlated(count, correlation)
    found = sums(*map(trial, returns))
    matrix = np.corrcoef(returns)
    mean = (matrix.sum() - count) / (count * (count - 1))
    # Steps of 2⁻⁴⁰ round a product of two directions by 4e-13 on average.
    assert found.average_correlation == pytest.approx(mean, abs=3e-12)
    assert found.statistics.effective_trials == pytest.approx(mean + (1 - mean) * count, abs=1e-9)


@pytest.mark.parametrize("size", [0, 1, 5, 2**20 + 3])
def test_squares_are_summed_exactly(size: int) -> None:
    rng = np.random.default_rng(size)
    values = rng.integers(-(2**63), 2**63 - 1, size)
    values[:2] = (2**63 - 1, -(2**63))[:size]
    assert trials._sum_squares(values) == sum(value * value for value in values.tolist())


def test_unequal_windows_share_only_their_common_days() -> None:
    windows = {0: (0, 200), 1: (100, 250), 2: (220, 300), 3: (260, 400)}
    market = walk(400)
    padded, found = np.zeros((4, 400)), NO_TRIALS
    for row, (first, last) in windows.items():
        returns = market[first:last] + 0.3 * walk(last - first, seed=row + 1)
        found = found.add(trial(returns, days(last - first, first)))
        deviations = returns - returns.mean()
        padded[row, first:last] = deviations / np.linalg.norm(deviations)
    matrix = padded @ padded.T
    assert matrix[0, 2] == 0.0 != matrix[0, 1]
    assert found.average_correlation == pytest.approx((matrix.sum() - 4) / 12, abs=3e-12)
    assert found.slots.tolist() == (4 * days(400)).tolist()


def test_equal_trials_count_once_anticorrelated_ones_twice() -> None:
    once = trial(walk())
    assert sums(once, once, once).statistics.effective_trials == pytest.approx(1.0, abs=1e-9)
    opposed = sums(once, trial(-walk()))
    assert (opposed.average_correlation, opposed.statistics.effective_trials) == (0.0, 2.0)


def test_near_duplicates_count_as_little_more_than_one() -> None:
    returns = walk()
    found = sums(*(trial(returns + 1e-4 * walk(seed=seed)) for seed in range(1, 41)))
    assert 1.0 < found.statistics.effective_trials < 1.01


def test_variance_of_t_is_that_of_the_trials() -> None:
    returns = correlated(20, 0.3) + 0.001
    t_values = returns.mean(axis=1) / returns.std(axis=1, ddof=1) * math.sqrt(300)
    assert sums(*map(trial, returns)).t_variance == pytest.approx(float(t_values.var(ddof=1)), rel=1e-10)


def test_sums_are_those_of_the_trials() -> None:
    first, second = trial(walk() + 0.001), trial(walk(seed=1) - 0.003)
    found = sums(first, second)
    assert (found.trials, found.sum_t) == (2, first.t + second.t)
    assert found.sum_t_squared == first.t**2 + second.t**2
    assert np.array_equal(found.directions, first.directions + second.directions)


def test_one_trial_has_neither_correlation_nor_variance() -> None:
    one = sums(trial(walk()))
    assert (one.average_correlation, one.t_variance, one.statistics.effective_trials) == (None, None, 1.0)
    assert (NO_TRIALS.average_correlation, NO_TRIALS.t_variance, NO_TRIALS.statistics.effective_trials) == (
        None,
        None,
        0.0,
    )


@pytest.mark.parametrize("seed", range(3))
def test_order_of_trials_changes_no_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trials = []
    for number in range(200):
        first, length = int(rng.integers(0, 300)), int(rng.integers(40, 300))
        trials.append(trial(walk(length, seed=number) * 10.0 ** rng.integers(-6, 2), days(length, first)))
    trials.append(trial(walk(48), np.arange(48, dtype=np.int64) * HOUR_MS))
    reference = sums(*trials)
    for _ in range(3):
        shuffled = sums(*(trials[place] for place in rng.permutation(len(trials))))
        assert shuffled.to_bytes() == reference.to_bytes()
    assert shuffled == reference != NO_TRIALS
    assert hash(shuffled) == hash(reference)


def test_sums_survive_their_bytes() -> None:
    found = sums(trial(walk()), trial(walk(seed=1) - 5.0))
    read = TrialSums.from_bytes(found.to_bytes())
    assert read == found
    assert read.add(trial(walk(seed=2))) == found.add(trial(walk(seed=2)))
    assert TrialSums.from_bytes(NO_TRIALS.to_bytes()) == NO_TRIALS


def test_dropped_directions_change_no_statistic() -> None:
    whole = sums(*map(trial, correlated(30, 0.4)))
    reduced = whole.drop_directions()
    assert reduced.statistics == whole.statistics
    assert reduced.slots.size == reduced.directions.size == 0
    assert len(reduced.to_bytes()) < 200
    assert reduced.drop_directions() == reduced
    assert NO_TRIALS.drop_directions() == NO_TRIALS
    assert TrialSums.from_bytes(reduced.to_bytes()) == reduced
    assert TrialSums.from_bytes(reduced.add(trial(walk(seed=3))).to_bytes()).statistics.trials == 31


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.95])
@pytest.mark.parametrize("drop_after", [{5}, {20}, {1, 2, 3, 30}, set(range(40))])
def test_effective_trials_are_a_bound_after_a_drop(correlation: float, drop_after: set[int]) -> None:
    """The whole sums are the oracle; every third trial is the opposite of another, which shortens ‖Σu‖."""
    returns = correlated(40, correlation)
    whole = bound = NO_TRIALS
    for number, one in enumerate(returns):
        mirrored = trial(-one if number % 3 == 2 else one)
        whole, bound = whole.add(mirrored), bound.add(mirrored)
        bound = bound.drop_directions() if number in drop_after else bound
        true, most = whole.statistics, bound.statistics
        assert true.effective_trials <= most.effective_trials <= number + 1
        assert (most.trials, most.t_variance) == (true.trials, true.t_variance)


def test_few_dropped_trials_hardly_raise_the_bound() -> None:
    early, late = correlated(3, 0.9, seed=1), correlated(200, 0.9, seed=2)
    bound = sums(*map(trial, early)).drop_directions()
    for one in late:
        bound = bound.add(trial(one))
    # ‖Σu‖ is 190 for the 200, and at least 187 with the three: (187² − 203) ÷ (203 · 202) = 0.85.
    assert bound.average_correlation == pytest.approx(0.85, abs=0.01)


@pytest.mark.parametrize("data", [b"", b"1 2 3\n", b"0 0 0 1\n", b"a b c d\n", b"0 0 0 0", b"0 0 0 0\nx"])
def test_other_bytes_are_no_sums(data: bytes) -> None:
    with pytest.raises(ValueError):
        TrialSums.from_bytes(data)


@pytest.mark.parametrize(
    "returns",
    [np.zeros(50), np.full(50, 0.01), np.array([0.01]), np.full(50, np.nan), 0.01 + 1e-15 * np.arange(50) % 2e-15],
)
def test_run_that_did_not_move_is_no_trial(returns: Floats) -> None:
    assert build_trial(days(returns.size), returns) is None


@pytest.mark.parametrize("level", [0.01, 1.0, 50.0])
def test_flatness_has_its_limit(level: float) -> None:
    # ‖x − x̄‖² = n d² for returns of level ± d; the limit is d = 1e-12 × level.
    signs = np.where(np.arange(50) % 2 == 0, level, -level)
    assert build_trial(days(50), level + signs * 0.5e-12) is None
    assert build_trial(days(50), level + signs * 2e-12) is not None


def test_return_without_number_leaves_no_trial() -> None:
    returns = walk()
    returns[7] = np.inf
    assert build_trial(days(300), returns) is None


def test_direction_and_t_equal_hand_computation() -> None:
    returns = np.array([0.03, 0.01] * 20)
    found = trial(returns)
    assert found.slots.tolist() == (4 * days(40)).tolist()
    # Deviations ±0.01; ‖x − x̄‖ = 0.01 √40.
    step = 2.0**40 / math.sqrt(40)
    np.testing.assert_allclose(found.directions, [step, -step] * 20, atol=1)
    assert found.t / 2**40 == pytest.approx(0.02 / (0.01 * math.sqrt(40 / 39)) * math.sqrt(40))


def test_bars_of_a_day_are_compounded() -> None:
    # 30 days of 8 bars; the first day has 3 bars only.
    times = np.arange(5, 240, dtype=np.int64) * 3 * HOUR_MS
    returns = walk(times.size)
    slots, firsts = trial_ledger.find_slots(times)
    values = np.multiply.reduceat(1 + returns, firsts) - 1
    assert slots.tolist() == (4 * days(30)).tolist()
    expected = [np.prod(1 + returns[times // DAY_MS == day]) - 1 for day in range(30)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_trials_of_all_intervals_share_days() -> None:
    returns = walk(40)
    hourly = np.repeat((1 + returns) ** (1 / 24) - 1, 24)
    by_hour = trial(hourly, np.arange(40 * 24, dtype=np.int64) * HOUR_MS)
    assert sums(trial(returns), by_hour).statistics.effective_trials == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("unit_ms", "level"), [(HOUR_MS, 1), (60_000, 2), (1_000, 3)])
def test_short_run_is_counted_by_finer_units(unit_ms: int, level: int) -> None:
    times = np.arange(31, dtype=np.int64) * unit_ms
    slots, firsts = trial_ledger.find_slots(times)
    values = np.multiply.reduceat(1 + walk(times.size), firsts) - 1
    assert slots.tolist() == (4 * times + level).tolist()
    assert values.size == 31


def test_runs_under_30_days_are_counted_by_hours() -> None:
    hours = np.arange(29 * 24, dtype=np.int64) * HOUR_MS
    assert trial_ledger.find_slots(hours)[0].size == hours.size
    longer = np.arange(29 * 24 + 1, dtype=np.int64) * HOUR_MS
    assert trial_ledger.find_slots(longer)[0].size == 30


def test_short_runs_of_all_intervals_share_slots() -> None:
    hourly, minutes = walk(100), np.arange(100 * 60, dtype=np.int64) * 60_000
    by_minute = trial(np.repeat((1 + hourly) ** (1 / 60) - 1, 60), minutes)
    by_hour = trial(hourly, np.arange(100, dtype=np.int64) * HOUR_MS)
    assert sums(by_hour, by_minute).statistics.effective_trials == pytest.approx(1.0, abs=1e-9)


def test_full_ledger_counts_new_days_as_uncorrelated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MAX_SLOTS", 50)
    old, new = trial(walk(40), days(40)), trial(walk(40), days(40, first=100))
    found = sums(old, new)
    assert (found.trials, found.slots.size, found.average_correlation) == (2, 40, 0.0)
    assert found.sum_t == old.t + new.t


def test_bars_of_short_runs_never_meet_days() -> None:
    short, long = trial(walk(20), days(20)), trial(walk(40), days(40))
    assert not set(short.slots.tolist()) & set(long.slots.tolist())


def test_active_returns_leave_the_average_market_out() -> None:
    market, exposure = walk(50), np.array([1.0, 0.0, -1.0, 1.0, 0.0] * 10)
    found = trial_ledger.active_returns(exposure * market, market, exposure)
    np.testing.assert_allclose(found, exposure * market - 0.2 * market)


REQUEST: dict[str, Any] = {
    "strategy": "moving_average",
    "parameters": {"fast": 20, "slow": 50},
    "model_sha256": None,
    "rules": {"fee": 0.001, "exits": {"stop": 0.02}},
    "symbol": "BTCUSDT",
    "interval": "1d",
    "window_ms": (0, 5 * DAY_MS),
    "bars_fingerprint": "ab" * 32,
}


@pytest.mark.parametrize(
    "same",
    [
        {"parameters": {"slow": 50, "fast": 20}},
        {"parameters": {"slow": 50.0, "fast": 20}},
        {"rules": {"exits": {"stop": 2e-2}, "fee": 1e-3}},
    ],
)
def test_equal_requests_share_their_key(same: dict[str, Any]) -> None:
    assert trial_key(**(REQUEST | same)) == trial_key(**REQUEST)


@pytest.mark.parametrize(
    "other",
    [
        {"strategy": "up_down"},
        {"parameters": {"fast": 20, "slow": 51}},
        {"model_sha256": "cd" * 32},
        {"rules": {"fee": 0.002, "exits": {"stop": 0.02}}},
        {"symbol": "ETHUSDT"},
        {"interval": "1h"},
        {"window_ms": (0, 6 * DAY_MS)},
        {"window_ms": (DAY_MS, 5 * DAY_MS)},
        {"bars_fingerprint": "ac" * 32},
        {"training": {"from": 0, "to": 0, "labelHorizon": 1}},
    ],
)
def test_every_part_changes_the_key(other: dict[str, Any]) -> None:
    assert trial_key(**(REQUEST | other)) != trial_key(**REQUEST)


def test_key_is_the_hash_of_canonical_json() -> None:
    assert trial_key(**REQUEST) == "266cd530f9df21d6caf67784968a089cf0135398ff7c0bf9bc6002d82ba0bb4a"


@pytest.mark.parametrize(("value", "error"), [(object(), TypeError), (math.nan, ValueError), (math.inf, ValueError)])
def test_key_refuses_what_has_no_canonical_text(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        trial_key(**(REQUEST | {"parameters": {"fast": value}}))
    with pytest.raises(TypeError):
        trial_key(**(REQUEST | {"parameters": {1: "fast"}}))
