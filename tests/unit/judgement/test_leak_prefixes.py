"""Prefixes of the bars: where they end, and what their differences tell."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from src.judgement import leaks
from src.judgement.leaks import RowComparison, compare_signals, differ_like_rounding

Floats = NDArray[np.float64]


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
