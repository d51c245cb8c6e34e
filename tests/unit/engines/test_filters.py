"""Steps of prices and quantities, against decimal arithmetic."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.engines.filters import to_multiple
from src.engines.plan import to_ratio

STEPS = (0.1, 0.01, 0.001, 1e-8, 1e-12, 0.3, 0.7, 0.05, 0.25, 0.0003, 1.0, 3.0, 2.5, 1000.0)


def multiple_of(amount: float, step: float, direction: int) -> float:
    return to_multiple(amount, direction, *to_ratio(step))


def exact_multiple(amount: float, step: float, direction: int) -> float:
    """The same by Python's decimal numbers, from what both numbers are written as."""
    whole = (Decimal(repr(amount)) / Decimal(repr(step))).to_integral_value(
        ROUND_CEILING if direction > 0 else ROUND_FLOOR
    )
    return float(whole * Decimal(repr(step)))


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "amount",
    [0.3, 0.7, 1.1, 2.3, 0.29, 1.15, 4.35, 0.57, 8.7, 100.1, 1e-8, 3e-8, 7e-8, 13759.7, 12383.73, 56078.82, 999.999],
)
def test_awkward_amounts_are_those_of_decimal_numbers(amount: float, step: float, direction: int) -> None:
    assert multiple_of(amount, step, direction) == exact_multiple(amount, step, direction)


@given(st.integers(1, 10**9), st.sampled_from(STEPS), st.sampled_from([1, -1]))
def test_multiple_of_a_step_stays_what_it_is(count: int, step: float, direction: int) -> None:
    amount = float(count * Decimal(repr(step)))
    assert multiple_of(amount, step, direction) == amount
    assert multiple_of(count * step, step, direction) == amount, "rounded as a product, it is the same multiple"


@given(st.decimals("0.0001", "1000000", places=4), st.sampled_from(STEPS), st.sampled_from([1, -1]))
def test_any_decimal_amount_is_rounded_exactly(amount: Decimal, step: float, direction: int) -> None:
    assert multiple_of(float(amount), step, direction) == exact_multiple(float(amount), step, direction)


def test_rounding_of_a_product_loses_no_step() -> None:
    assert 1.1 * 3 > 3.3  # one bit too much: up would be one step too far
    assert multiple_of(1.1 * 3, 0.1, 1) == 3.3
    assert 0.1 * 3 / 0.1 > 3
    assert 4.35 * 100 < 435  # one bit too little: down would lose a step
    assert multiple_of(4.35, 0.01, -1) == 4.35


@pytest.mark.parametrize(("amount", "up", "down"), [(99.97, 100.0, 99.5), (-0.2, 0.0, -0.5), (100.5, 100.5, 100.5)])
def test_direction_says_to_which_side(amount: float, up: float, down: float) -> None:
    assert (multiple_of(amount, 0.5, 1), multiple_of(amount, 0.5, -1)) == (up, down)


def test_less_than_a_step_is_nothing() -> None:
    assert multiple_of(0.0999, 0.1, -1) == 0.0
    assert multiple_of(1e-14, 0.1, -1) == 0.0


def test_without_a_step_nothing_changes() -> None:
    assert to_multiple(0.1 + 0.2, -1, *to_ratio(None)) == 0.1 + 0.2
    assert all(map(math.isnan, to_ratio(None)))


def test_amount_beyond_all_steps_is_kept() -> None:
    assert multiple_of(1e15, 1e-12, -1) == 1e15
    assert multiple_of(math.nan, 0.1, -1) != multiple_of(math.nan, 0.1, -1)
