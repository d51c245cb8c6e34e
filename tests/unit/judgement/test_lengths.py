from __future__ import annotations

import math

import pytest

from src.judgement.lengths import whole_bars

LARGEST = 2**31 - 1
"""The largest Int of GraphQL (specification, section 3.5.1)."""


@pytest.mark.parametrize(
    ("bars", "whole"),
    [(3.0, 3), (3.2, 4), (LARGEST, LARGEST), (LARGEST + 0.5, None), (1e300, None), (math.inf, None), (math.nan, None)],
)
def test_bars_are_rounded_up_within_bounds(bars: float, whole: int | None) -> None:
    assert whole_bars(bars) == whole
