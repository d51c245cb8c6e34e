"""Roots are those of scipy's brentq, to the bit, with as many calls of the function."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq

from src.judgement.roots import find_root

Function = Callable[[float], float]


def make_function(seed: int) -> Function:
    """Return a random function that is ≥ 0 at 0 and < 0 at 1: smooth, kinked, in steps or steep."""
    rng = np.random.default_rng(seed)
    root, power, kinks = rng.uniform(0.001, 0.999), rng.uniform(0.2, 6), rng.uniform(0, 1, 3)
    kind = seed % 4

    def function(x: float) -> float:
        smooth = math.copysign(abs(root - x) ** power, root - x)
        if kind == 1:
            return smooth + float(sum(min(root - x, k - 1) + 1 - k for k in kinks))
        if kind == 2:
            return math.floor(smooth * 50) / 50 + 1e-9
        return math.exp(20 * (root - x)) - 1 if kind == 3 else smooth

    return function


class Recorded:
    """A function, and where it was called."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.calls: list[float] = []

    def __call__(self, x: float) -> float:
        self.calls.append(x)
        return self.function(x)


@pytest.mark.parametrize("max_steps", [1, 5, 20, 200])
@pytest.mark.parametrize("tolerance", [1e-5, 1e-12])
def test_root_equals_that_of_brentq(tolerance: float, max_steps: int) -> None:
    functions = [function for function in map(make_function, range(400)) if function(0.0) >= 0 > function(1.0)]
    assert len(functions) > 300
    for ours, theirs in zip(map(Recorded, functions), map(Recorded, functions), strict=True):
        found = find_root(ours, 0.0, 1.0, tolerance=tolerance, max_steps=max_steps)
        expected, _ = brentq(theirs, 0.0, 1.0, xtol=tolerance, maxiter=max_steps, full_output=True, disp=False)
        assert (found, ours.calls) == (expected, theirs.calls)


def test_root_at_an_end_is_returned() -> None:
    assert find_root(lambda x: x, 0.0, 1.0, tolerance=1e-5, max_steps=5) == 0
    assert find_root(lambda x: x - 1, 0.0, 1.0, tolerance=1e-5, max_steps=5) == 1


def test_equal_signs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the function is 1\.0 at 0\.0 and 1\.0 at 2\.0"):
        find_root(lambda _: 1.0, 0.0, 2.0, tolerance=1e-5, max_steps=5)
