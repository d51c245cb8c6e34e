"""Crossings, on which the signals of presets depend."""

from __future__ import annotations

import numpy as np
import pytest

from src.strategies.presets import crosses_above, crosses_below

NAN = float("nan")


@pytest.mark.parametrize(
    ("a", "b", "above"),
    [
        pytest.param([1.0, 3.0], 2.0, [False, True], id="from below to above"),
        pytest.param([2.0, 3.0], 2.0, [False, True], id="equal before counts as at or below"),
        pytest.param([1.0, 2.0], 2.0, [False, False], id="a touch is no crossing"),
        pytest.param([1.0, 2.0, 3.0], 2.0, [False, False, True], id="a touch, then above"),
        pytest.param([3.0, 4.0], 2.0, [False, False], id="above before"),
        pytest.param([0.1 + 0.2, 0.4], 0.3, [False, True], id="equal before but for rounding"),
        pytest.param([0.2, 0.1 + 0.2], 0.3, [False, False], id="equal now but for rounding"),
        pytest.param([NAN, 3.0], 2.0, [False, False], id="nothing before"),
        pytest.param([1.0, NAN], 2.0, [False, False], id="nothing now"),
    ],
)
def test_crossing_needs_at_most_before_and_more_now(a: list[float], b: float, above: list[bool]) -> None:
    series = np.array(a)
    assert crosses_above(series, b).tolist() == above
    assert crosses_below(-series, -b).tolist() == above


def test_rounding_of_differences_is_relative_to_their_scale() -> None:
    difference = np.array([-1e-13, 1e-13])
    assert crosses_above(difference, 0.0).tolist() == [False, True]
    assert crosses_above(difference, 0.0, scale=1e5).tolist() == [False, False]
