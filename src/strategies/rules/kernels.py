"""Compute on whole arrays, one loop each: numbers are float64, NaN if missing and never infinite; conditions are bool.

A number is an array [n], or [1] if it is the same at each bar. Missing values make comparisons and crossings false.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Conditions = NDArray[np.bool_]

ROUNDING: Final = 1e-12
"""Relative difference up to which two numbers are equal. Means of decimal prices are rounded: of equal prices, the mean
of three can differ from that of two in the last bit, and seem to cross it. A price's tick is far larger."""

LESS: Final = 1
EQUAL: Final = 2
GREATER: Final = 4

ADD, SUBTRACT, MULTIPLY, DIVIDE, REMAINDER, MINIMUM, MAXIMUM = range(7)


@njit(cache=True, nogil=True, inline="always")
def _order(left: float, right: float) -> int:
    """Return −1, 0 or 1 if left is less than, equal to or greater than right; 2 if one is missing."""
    if np.isnan(left) or np.isnan(right):
        return 2
    if abs(left - right) <= ROUNDING * max(abs(left), abs(right)):
        return 0
    return -1 if left < right else 1


@njit(cache=True, nogil=True)
def compare(left: Numbers, right: Numbers, accepted: int, n: int) -> Conditions:
    """Return [n] whether left and right are in one of the accepted orders, a sum of `LESS`, `EQUAL` and `GREATER`."""
    left_step, right_step = int(left.size > 1), int(right.size > 1)
    result = np.empty(n, dtype=np.bool_)
    for t in range(n):
        # No sum has the bit of "missing" set.
        result[t] = (accepted >> (_order(left[t * left_step], right[t * right_step]) + 1)) & 1 != 0
    return result


@njit(cache=True, nogil=True)
def cross_above(rising: Numbers, other: Numbers, n: int) -> Conditions:
    """Return [n] whether `rising` is at most `other` at the bar before, and greater at this bar."""
    rising_step, other_step = int(rising.size > 1), int(other.size > 1)
    result = np.empty(n, dtype=np.bool_)
    was_below = False
    for t in range(n):
        a, b = rising[t * rising_step], other[t * other_step]
        # Without branches, which cost ten times as much on prices; NaN makes each comparison false.
        is_equal = abs(a - b) <= ROUNDING * max(abs(a), abs(b))
        result[t] = was_below & (a > b) & (not is_equal)
        was_below = (a <= b) | is_equal
    return result


@njit(cache=True, nogil=True, error_model="numpy")
def calculate(left: Numbers, right: Numbers, operation: int, n: int) -> Numbers:
    """Return [n] the result of an operation; NaN if one number is missing, on division by zero, and on overflow.

    The remainder has the divisor's sign, as in Python: -7 % 3 is 2.
    """
    left_step, right_step = int(left.size > 1), int(right.size > 1)
    result = np.empty(n)
    for t in range(n):
        a, b = left[t * left_step], right[t * right_step]
        if operation == ADD:
            value = a + b
        elif operation == SUBTRACT:
            value = a - b
        elif operation == MULTIPLY:
            value = a * b
        elif operation == DIVIDE:
            value = a / b
        elif operation == REMAINDER:
            value = np.nan if b == 0 else a % b
        elif np.isnan(a) or np.isnan(b):
            value = np.nan
        else:
            value = min(a, b) if operation == MINIMUM else max(a, b)
        result[t] = value if np.isfinite(value) else np.nan
    return result
