"""Comparison of predictions among other rows, prefixes, and the signs of an overlap with the training bars."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.judgement import leaks, row_order
from src.judgement.leaks import RowComparison, compare_rows, compare_signals, differ_like_rounding, measure_overlap

Floats = NDArray[np.float64]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 1000])
def test_parts_are_every_row_once(n: int) -> None:
    parts = row_order.draw_parts(np.random.default_rng(n).standard_normal(n), 5)
    sizes = [part.size for part in parts]
    assert len(parts) == 4
    assert max(sizes) - min(sizes) <= 1
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))


def test_parts_are_earlier_and_later_lower_and_higher() -> None:
    outputs = np.random.default_rng(3).standard_normal(1000)
    parts = row_order.draw_parts(outputs, 5)
    assert [(part.min() // 500, part.max() // 500) for part in parts] == [(0, 0), (0, 0), (1, 1), (1, 1)]
    for lower, higher in (parts[:2], parts[2:]):
        assert outputs[lower].max() < outputs[higher].min()


def test_parts_are_shuffled_and_from_their_seed() -> None:
    outputs = np.random.default_rng(4).integers(0, 2, 1000).astype(float)
    parts = row_order.draw_parts(outputs, 5)
    assert all(map(np.array_equal, parts, row_order.draw_parts(outputs, 5)))
    assert not np.array_equal(parts[0], row_order.draw_parts(outputs, 6)[0])
    for part in parts:
        rising = np.count_nonzero(np.diff(part) > 0) / (part.size - 1)
        assert rising == pytest.approx(0.5, abs=0.1)


def test_equal_outputs_fall_into_parts_by_chance() -> None:
    lower = row_order.draw_parts(np.ones(2000), 5)[0]
    assert np.count_nonzero(lower < 500) / lower.size == pytest.approx(0.5, abs=0.1)


def test_every_order_of_rows_is_as_likely() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(2400):
        order = tuple(row_order.shuffle_rows(4, seed).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    # Chi-square of 23 degrees: above 49.7 once in a thousand.
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 49.7


@pytest.mark.parametrize("shape", [(11,), (11, 3)])
def test_joined_parts_stand_in_the_order_of_rows(shape: tuple[int, ...]) -> None:
    outputs = np.random.default_rng(1).standard_normal(shape)
    parts = row_order.draw_parts(outputs.reshape(11, -1)[:, 0], 3)
    np.testing.assert_array_equal(row_order.join_parts(parts, [outputs[part] for part in parts]), outputs)


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_rows_are_equal_within_value_and_deviation(factor: float) -> None:
    outputs = np.array([4.0, -2.0, 0.0, 1.0, 2.0])
    for row in range(5):
        others = outputs.copy()
        others[row] -= factor * (1e-5 * abs(outputs[row]) + 1e-3 * outputs.std())
        found = compare_rows(outputs, others)
        assert found.largest == pytest.approx(factor, rel=1e-6)
        assert (found.differing, found.first, found.are_equal) == ((1, row, False) if factor > 1 else (0, None, True))
        assert found.rows == 5


def test_direction_of_differences_is_told() -> None:
    found = compare_rows(np.array([1.0, 2.0, 3.0, math.nan]), np.array([2.0, 2.0, 1.0, 1.0]))
    assert (found.lower.tolist(), found.higher.tolist(), found.first, found.differing) == ([0], [2, 3], 0, 3)


def compare_turned(step: float, *, spread: float = 0.0, has_turned: bool = True, dtype: type = np.float64) -> bool:
    """Return whether a signal counts as turned if its output moves by so many steps of its precision."""
    outputs = np.array([0.5, 0.5 + spread, 0.5 - spread], dtype).astype(np.float64)
    others = outputs.copy()
    others[0] += step * 0.5 * float(np.finfo(dtype).eps)
    return not compare_rows(outputs, others, has_turned=np.array([has_turned, False, False])).are_equal


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_turned_signal_may_differ_by_rounding_only(dtype: type) -> None:
    assert not compare_turned(8, dtype=dtype)
    assert compare_turned(10, dtype=dtype)
    assert not compare_turned(10, dtype=dtype, has_turned=False)
    # Under 1e-3 of the deviation, as sums of prices and volumes in float32 do.
    assert not compare_turned(10, spread=0.25, dtype=dtype)


def test_turned_signal_is_compared_by_deviation() -> None:
    outputs = np.array([1000.0, 1002.0])
    assert not compare_rows(outputs, outputs + 2e-3, has_turned=np.array([True, False])).are_equal
    assert compare_rows(outputs, outputs + 2e-3, has_turned=np.array([False, False])).are_equal
    assert compare_rows(outputs, outputs + 0.99e-3, has_turned=np.array([True, True])).are_equal


def test_sides_keep_the_last_signal() -> None:
    action = np.array([0, 1, 0, -1, 0, 1], np.int8)
    assert leaks.find_sides(action).tolist() == [0, 1, 1, -1, -1, 1]
    assert leaks.find_sides(action[:0]).size == 0


def test_difference_of_the_whole_tolerance_is_none() -> None:
    # Deviation 1, value 0.
    assert compare_rows(np.array([0.0, 2.0]), np.array([1e-3, 2.0])).are_equal


def test_constant_outputs_are_compared_by_value() -> None:
    zeros = np.zeros(4)
    assert compare_rows(zeros, zeros).are_equal
    assert compare_rows(zeros, np.array([0, 0, 1e-300, 0])).first == 2
    assert compare_rows(zeros + 5, zeros + 5 + 4e-5).are_equal


@pytest.mark.parametrize("same", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_equal_themselves_only(same: float) -> None:
    outputs = np.array([1.0, same, 2.0])
    assert compare_rows(outputs, outputs.copy()).are_equal
    for other in {math.nan, math.inf, -math.inf, 1.5} - {same}:
        if not (math.isnan(other) and math.isnan(same)):
            found = compare_rows(outputs, np.array([1.0, other, 2.0]))
            assert (found.first, found.largest) == (1, math.inf)


def test_classes_are_compared_as_numbers() -> None:
    found = compare_rows(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 2.0]))
    assert (found.differing, found.first) == (1, 1)


def test_empty_rows_are_equal_other_shapes_rejected() -> None:
    assert compare_rows(np.empty(0), np.empty(0)).are_equal
    with pytest.raises(ValueError, match="shape"):
        compare_rows(np.zeros(3), np.zeros((3, 2)))


def predict_scaled(rows: Floats) -> Floats:
    """A model that divides by the largest of the rows that it is given."""
    scaled: Floats = rows / np.abs(rows).max()
    return scaled


def test_parts_find_scaling_by_largest_row() -> None:
    rows, found_by_one = np.random.default_rng(2).standard_normal(300), 0
    outputs = predict_scaled(rows)
    for seed in range(40):
        parts = row_order.draw_parts(outputs, seed)
        predicted = [predict_scaled(rows[part]) for part in parts]
        assert not compare_rows(outputs, row_order.join_parts(parts, predicted)).are_equal
        found_by_one += sum(not compare_rows(outputs[parts[k]], predicted[k]).are_equal for k in range(4))
    # The part that holds the largest row shows nothing.
    assert found_by_one == 3 * 40


def test_parts_find_statistic_that_random_halves_keep() -> None:
    """A rule that is on if the mean of all rows is over 0: random halves have about the same mean."""
    rows = np.random.default_rng(5).standard_normal(1000) + 0.2

    def predict(chosen: Floats) -> Floats:
        on: Floats = np.where(chosen.mean() > 0, chosen, -1.0)
        return on

    outputs = predict(rows)
    for seed in range(20):
        order = row_order.shuffle_rows(1000, seed)
        halves = (order[:500], order[500:])
        assert compare_rows(outputs, row_order.join_parts(halves, [predict(rows[half]) for half in halves])).are_equal
        parts = row_order.draw_parts(outputs, seed)
        joined = row_order.join_parts(parts, [predict(rows[part]) for part in parts])
        assert not compare_rows(outputs, joined).are_equal


def test_prefixes_end_where_the_audit_looks() -> None:
    signals = np.zeros(100, np.int8)
    signals[[30, 40, 50, 60]] = [1, -1, 1, 1]
    found = leaks.choose_prefixes(19, signals, 7)
    # Turns at 30, 31, 40, 41, 50, 51, 60, 61: the last three bars are 51, 60 and 61.
    assert {20, 52, 61, 62, 99} <= set(found)
    assert len(found) == 8
    assert list(found) == sorted(found)
    assert found == leaks.choose_prefixes(19, signals, 7) != leaks.choose_prefixes(19, signals, 8)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_prefixes_are_shorter_than_all_bars(n: int) -> None:
    signals = np.arange(n).astype(np.int8)
    for first_row in range(n):
        found = leaks.choose_prefixes(first_row, signals, 1)
        assert all(first_row < length < n for length in found)
        assert found == tuple(range(first_row + 1, n))


def differing(rows: int, lower: Iterable[int] = (), higher: Iterable[int] = ()) -> RowComparison:
    return RowComparison(
        rows=rows, lower=np.array([*lower], np.int64), higher=np.array([*higher], np.int64), largest=2.0
    )


def test_prefixes_end_at_rows_that_differed_either_way() -> None:
    bars = np.arange(19, 119)
    found = leaks.choose_differing_prefixes(bars, differing(100, range(0, 80, 2), [81, 83, 99]), 7)
    ends = [length - 1 - 19 for length in found]
    assert ends == sorted(set(ends))
    # One of each quarter of 40 rows, which rise by 2, and those above but the last row, whose prefix is all bars.
    assert [end // 20 for end in ends] == [0, 1, 2, 3, 4, 4]
    assert ends[-2:] == [81, 83]
    assert all(end % 2 == 0 for end in ends[:4])
    again = leaks.choose_differing_prefixes(bars, differing(100, range(0, 80, 2), [81, 83, 99]), 8)
    assert found != again
    assert leaks.choose_differing_prefixes(bars, differing(100), 7) == ()


@pytest.mark.parametrize(
    ("prefixes", "is_end"),
    [
        ([differing(100, [99]), differing(50, [48])], True),
        ([differing(100, [99]), differing(50)], False),
        ([differing(100, [99]), differing(50, [0])], False),
        ([differing(100, [50]), differing(400, [350])], True),
        # 51 rows back, of 100.
        ([differing(100, [49]), differing(400, [380])], False),
        # A model that reads 60 bars ahead: all of a short prefix changes.
        ([differing(40, [0]), differing(200, [140]), differing(300, [240])], True),
        ([differing(19, [0]), differing(200, [199]), differing(300, [299])], True),
        ([differing(19, [18]), differing(200, [199])], False),
        ([], False),
    ],
)
def test_end_is_told_from_all_rows(prefixes: list[RowComparison], is_end: bool) -> None:
    assert leaks.differ_at_end_only(prefixes) == is_end


OUTPUTS = np.random.default_rng(8).standard_normal(1000)
NOISE = np.random.default_rng(9).standard_normal(1000)


@pytest.mark.parametrize(
    ("differences", "is_rounding"),
    [
        (0.2 * NOISE, True),
        (0.2 * np.abs(NOISE), False),
        (0.2 * OUTPUTS, False),
        (np.full(1000, 1e-6), False),
        # What all rows share: an autocorrelation of 0.5, and of 0.69.
        (0.2 * (NOISE + 1.0), True),
        (0.2 * (NOISE + 1.5), False),
        (0.7 * np.sign(NOISE), True),
        (0.8 * np.sign(NOISE), False),
        # Few rows change, and those by a lot: a forest's or a label's.
        (np.where(np.arange(1000) % 50, 0.0, 1.0 * np.sign(NOISE)), False),
        (np.where(np.arange(1000) % 50, 0.0, 0.6 * np.sign(NOISE)), True),
        (np.zeros(1000), False),
    ],
)
def test_rounding_is_told_from_statistics(differences: Floats, is_rounding: bool) -> None:
    assert differ_like_rounding(OUTPUTS, [OUTPUTS + differences]) == is_rounding


def test_smooth_differences_are_no_rounding() -> None:
    waves = 0.2 * np.sin(np.arange(1000) / 20)
    assert not differ_like_rounding(OUTPUTS, [OUTPUTS + waves])
    assert not differ_like_rounding(OUTPUTS, [OUTPUTS + 0.2 * np.sin(5 * OUTPUTS)])
    assert differ_like_rounding(OUTPUTS, [OUTPUTS + np.random.default_rng(1).permutation(waves)])


def test_agreement_is_the_mean_of_prefixes_by_rows() -> None:
    rough, smooth = OUTPUTS + 0.2 * NOISE, OUTPUTS + 1e-9
    assert differ_like_rounding(OUTPUTS, [rough, smooth[:900]])
    assert not differ_like_rounding(OUTPUTS, [rough[:400], smooth])
    # Large differences in one prefix suffice.
    assert not differ_like_rounding(OUTPUTS, [rough, rough, OUTPUTS[:50] + np.sign(NOISE[:50])])


def test_short_prefixes_do_not_tell_rounding() -> None:
    rough = OUTPUTS + 0.2 * NOISE
    assert not differ_like_rounding(OUTPUTS, [])
    assert not differ_like_rounding(OUTPUTS, [rough[:19]])
    assert differ_like_rounding(OUTPUTS, [rough[:100], OUTPUTS[:19] + 5.0])
    rough[[3, 70]] = np.nan, np.inf
    assert differ_like_rounding(OUTPUTS, [rough])
    assert not differ_like_rounding(np.full(50, np.nan), [rough[:50]])


def test_labels_are_never_rounded() -> None:
    labels = (OUTPUTS > 0).astype(float)
    other = np.where(np.abs(OUTPUTS) < 0.05, 1 - labels, labels)
    assert not differ_like_rounding(labels, [other])


def test_invented_futures_repeat_one_bar() -> None:
    bars, outputs = np.arange(3, 10), np.array([5.0, 1.0, 2.0, 9.0, 4.0, 3.0, 2.0])
    kept, futures = leaks.invent_futures(bars, outputs)
    assert kept == 6
    assert [order.tolist() for order in futures] == [[0, 1, 2, 3, 4, 5] + [bar] * 4 for bar in (3, 9, 4, 6)]


def test_changed_signals_are_counted_from_the_first_bar() -> None:
    signals = np.array([9, 1, 0, 1, 0, 1], np.int8)
    found = compare_signals(signals, np.array([0, 1, 1, 1, 1], np.int8), first_bar=1)
    assert (found.compared, found.changed, found.first_bar) == (4, 2, 2)
    same = compare_signals(signals, signals[:4], first_bar=1)
    assert (same.compared, same.changed, same.first_bar) == (3, 0, None)
    assert compare_signals(signals, signals[:1], first_bar=2).compared == 0


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


@pytest.mark.parametrize(("hits", "is_seen"), [(570, False), (571, True)])
def test_hit_rate_over_57_per_cent_is_sign(hits: int, is_seen: bool) -> None:
    rng = np.random.default_rng(3)
    found = of_hits(rng.permutation(np.arange(1000) < hits).tolist())
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
