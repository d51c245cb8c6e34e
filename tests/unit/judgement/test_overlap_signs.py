"""Signs that a model was trained on the bars: hits, their unevenness, the loss by delay."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from src.judgement import leaks
from src.judgement.leaks import measure_overlap


def of_hits(hits: list[bool], side: float = 1.0) -> Any:
    """The signs of a run whose position meets the next bar's move so often."""
    moves = np.where(hits, 0.01, -0.01) * side
    return measure_overlap(np.full(len(hits) + 1, side), np.concatenate(([0.0], moves)))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_hit_rate_is_of_position_against_next_bar(side: float) -> None:
    found = of_hits([True, True, True, False] * 60, side)
    assert (found.hit_bars, found.hit_rate, found.has_high_hit_rate) == (240, 0.75, True)


@pytest.mark.parametrize(("bars", "is_measured"), [(199, False), (200, True)])
def test_hit_rate_needs_200_bars(bars: int, is_measured: bool) -> None:
    found = of_hits(([True, False] * 100)[:bars])
    assert (found.hit_rate is not None, found.kuiper_range is not None) == (is_measured, is_measured)
    assert not found.is_any_seen


@pytest.mark.parametrize(
    ("hits", "bars", "is_seen"), [(596, 1000, False), (597, 1000, True), (125, 200, False), (126, 200, True)]
)
def test_hit_rate_beyond_chance_is_sign(hits: int, bars: int, is_seen: bool) -> None:
    rng = np.random.default_rng(3)
    found = of_hits(rng.permutation(np.arange(bars) < hits).tolist())
    assert found.has_high_hit_rate == found.is_any_seen == is_seen


def test_bars_without_position_or_move_are_no_hits() -> None:
    position = np.array([1.0, 0.0, -1.0, 1.0, 1.0])
    market = np.array([0.5, 0.1, 0.1, 0.1, 0.0])
    assert measure_overlap(position, market).hit_bars == 2


def test_kuiper_range_equals_hand_computation() -> None:
    hits = np.array([True] * 100 + [False] * 100)
    # The sum rises to 50 and returns to 0; √(200 × ¼) = 7.07.
    assert leaks.measure_kuiper_range(hits) == pytest.approx(50 / math.sqrt(50))
    below_first = np.array([False] * 50 + [True] * 100 + [False] * 50)
    assert leaks.measure_kuiper_range(below_first) == pytest.approx(50 / math.sqrt(50))
    assert leaks.measure_kuiper_range(np.ones(300, np.bool_)) is None
    assert leaks.measure_kuiper_range(np.zeros(300, np.bool_)) is None


def test_hits_gathered_in_one_part_are_a_sign() -> None:
    rng = np.random.default_rng(1)
    gathered = of_hits([*(rng.random(300) < 0.72).tolist(), *(rng.random(700) < 0.47).tolist()])
    assert gathered.hit_rate < 0.57
    assert gathered.has_wide_kuiper_range
    assert gathered.is_any_seen


def test_kuiper_range_over_2_is_rare_without_overlap() -> None:
    rng = np.random.default_rng(8)
    ranges = np.array([leaks.measure_kuiper_range(rng.random(500) < 0.52) for _ in range(1000)], float)
    # Kuiper's limit for 0.1 % is 2.303 and for 1 % is 2.001.
    assert np.count_nonzero(ranges > 2.0) <= 18
    assert np.median(ranges) == pytest.approx(1.2, abs=0.06)


@pytest.mark.parametrize(("name", "limit"), [("kuiper_range", 2.0), ("lag_z", 3.0)])
def test_sign_is_over_its_limit(name: str, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    ones = np.ones(300)
    for value, is_seen in ((limit, False), (limit + 0.01, True)):
        monkeypatch.setattr(leaks, f"measure_{name}", lambda *_, value=value: value)
        found = measure_overlap(ones, np.where(np.arange(300) % 2 == 0, 0.01, -0.01), ones, ones)
        assert (getattr(found, name), found.is_any_seen) == (value, is_seen)


def test_lag_z_equals_hand_computation() -> None:
    rng = np.random.default_rng(2)
    returns, lagged = rng.standard_normal(400) * 0.01 + 0.003, rng.standard_normal(400) * 0.01
    differences = returns - lagged
    expected = differences.mean() / (differences.std(ddof=1) / 20)
    found = measure_overlap(np.zeros(400), np.zeros(400), returns, lagged)
    assert found.lag_z == pytest.approx(expected)
    assert found.has_high_lag_z and found.is_any_seen
    assert not measure_overlap(np.zeros(400), np.zeros(400), lagged, returns).has_high_lag_z


def test_lag_without_difference_has_no_z() -> None:
    returns = np.full(300, 0.01)
    assert leaks.measure_lag_z(returns, returns) is None
    assert leaks.measure_lag_z(returns, returns - 0.001) is None
    assert leaks.measure_lag_z(returns[:1], returns[:1] * 2) is None
    assert leaks.measure_lag_z(np.array([0.01, 0.03]), np.zeros(2)) == pytest.approx(2.0)
    assert measure_overlap(np.zeros(300), np.zeros(300)).lag_z is None
