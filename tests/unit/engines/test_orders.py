"""The rules of matching, each on prices worked out by hand."""

from __future__ import annotations

import math

import pytest

from src.engines import orders
from src.engines.orders import LIMIT_ENTRY, STOP_ENTRY, BarPrices

CANDLE = BarPrices(open=100.0, high=120.0, low=85.0, close=90.0)
LONG, SHORT = 1, -1
WITHIN, BEYOND = 0.5e-12, 2e-12
"""Relative distances inside and outside `TOUCH`."""


@pytest.mark.parametrize(
    ("direction", "price", "reached"),
    [
        *[(LONG, 94.0, True), (LONG, 95.0, True), (LONG, 96.0, False)],
        *[(LONG, 95 * (1 + WITHIN), True), (LONG, 95 * (1 + BEYOND), False)],
        *[(SHORT, 96.0, True), (SHORT, 95.0, True), (SHORT, 94.0, False)],
        *[(SHORT, 95 * (1 - WITHIN), True), (SHORT, 95 * (1 - BEYOND), False)],
    ],
)
def test_stop_is_reached_at_or_beyond_its_level(direction: int, price: float, reached: bool) -> None:
    assert orders.reaches_stop(price, 95.0, direction) is reached


@pytest.mark.parametrize(
    ("direction", "price", "reached"),
    [
        *[(LONG, 96.0, True), (LONG, 95.0, True), (LONG, 94.0, False)],
        *[(LONG, 95 * (1 - WITHIN), True), (LONG, 95 * (1 - BEYOND), False)],
        *[(SHORT, 94.0, True), (SHORT, 95.0, True), (SHORT, 96.0, False)],
        *[(SHORT, 95 * (1 + WITHIN), True), (SHORT, 95 * (1 + BEYOND), False)],
    ],
)
def test_target_is_reached_at_or_beyond_its_level(direction: int, price: float, reached: bool) -> None:
    assert orders.reaches_target(price, 95.0, direction) is reached


@pytest.mark.parametrize("direction", [LONG, SHORT])
def test_order_that_was_not_given_is_never_reached(direction: int) -> None:
    for price in (0.0, 1e15):
        assert not orders.reaches_stop(price, math.nan, direction)
        assert not orders.reaches_target(price, math.nan, direction)


@pytest.mark.parametrize(
    ("direction", "level", "than", "tighter"),
    [
        *[(LONG, 96.0, 95.0, True), (LONG, 95.0, 95.0, False), (LONG, 94.0, 95.0, False)],
        *[(SHORT, 104.0, 105.0, True), (SHORT, 105.0, 105.0, False), (SHORT, 106.0, 105.0, False)],
        *[(LONG, 95.0, math.nan, True), (LONG, math.nan, 95.0, False)],
    ],
)
def test_stop_nearer_to_the_price_is_tighter(direction: int, level: float, than: float, tighter: bool) -> None:
    assert orders.is_tighter(direction, level, than) is tighter


def test_best_and_worst_price_change_places_for_a_short() -> None:
    assert (orders.best_of(CANDLE, LONG), orders.worst_of(CANDLE, LONG)) == (120.0, 85.0)
    assert (orders.best_of(CANDLE, SHORT), orders.worst_of(CANDLE, SHORT)) == (85.0, 120.0)


@pytest.mark.parametrize(
    ("kind", "side", "level", "extreme"),
    [
        (LIMIT_ENTRY, LONG, 75.0, 85.0),
        (LIMIT_ENTRY, SHORT, 125.0, 120.0),
        (STOP_ENTRY, LONG, 125.0, 120.0),
        (STOP_ENTRY, SHORT, 75.0, 85.0),
    ],
)
def test_entry_waits_on_its_side_and_is_filled_by_the_extreme_there(
    kind: int, side: int, level: float, extreme: float
) -> None:
    assert orders.entry_level(100.0, side, kind, 0.25) == level
    assert orders.entry_extreme(CANDLE, side, kind) == extreme
    towards = 1.0 if level > 100 else -1.0
    assert orders.reaches_entry(level, level, side, kind)
    assert orders.reaches_entry(level + towards, level, side, kind)
    assert not orders.reaches_entry(level - towards, level, side, kind)


def test_tolerance_of_touching_is_below_any_tick() -> None:
    assert orders.TOUCH == 1e-12
