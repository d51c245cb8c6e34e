"""The rules of money, each on a row worked out by hand."""

from __future__ import annotations

import math

import pytest

from src.engines import account
from src.engines.account import Costs, Purchase

MILLIONTH = 1e-6
"""The relative tolerance of 1e-9, times 1,000."""


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1000.0, 1000.0 + 0.9 * MILLIONTH, True),
        (1000.0 + 0.9 * MILLIONTH, 1000.0, True),
        (1000.0, 1000.0 + 1.1 * MILLIONTH, False),
        (-1000.0, -1000.0 - 0.9 * MILLIONTH, True),
        (0.0, 0.9e-12, True),
        (0.0, 1.1e-12, False),
        (1.0, -1.0, False),
        (1e6, 1e6, True),
    ],
)
def test_amounts_are_the_same_within_either_tolerance(a: float, b: float, same: bool) -> None:
    assert account.is_close(a, b) is same


def test_slippage_makes_buys_dearer_and_sells_cheaper() -> None:
    assert account.slipped_price(100.0, 1, 0.25) == 125.0
    assert account.slipped_price(100.0, -1, 0.25) == 75.0


@pytest.mark.parametrize(
    ("units", "budget", "price", "fee_rate", "purchase"),
    [
        (8.0, 1000.0, 100.0, 0.25, Purchase(8.0, 200.0, False)),  # to the last cent
        (4.0, 1000.0, 100.0, 0.25, Purchase(4.0, 100.0, False)),
        (9.0, 1000.0, 100.0, 0.25, Purchase(8.0, 200.0, True)),
        (10.0, 1000.0 - 0.9 * MILLIONTH, 100.0, 0.0, Purchase(10.0, 0.0, False)),  # short by rounding only
        (1e308, 1000.0, 100.0, 0.25, Purchase(8.0, 200.0, True)),  # a cost beyond all numbers
    ],
)
def test_units_are_those_wanted_or_those_the_budget_pays(
    units: float, budget: float, price: float, fee_rate: float, purchase: Purchase
) -> None:
    assert account.purchase_of(units, budget, price, fee_rate, 1.0) == purchase


def test_units_beyond_the_tolerance_are_cut() -> None:
    assert account.purchase_of(10.0, 1000.0 - 1.1 * MILLIONTH, 100.0, 0.0, 1.0).is_reduced


@pytest.mark.parametrize(
    ("fixed_units", "fraction", "purchase"),
    [
        (math.nan, 1.0, Purchase(8.0, 200.0, False)),
        (math.nan, 0.5, Purchase(4.0, 100.0, False)),
        (2.0, 1.0, Purchase(2.0, 50.0, False)),
        (20.0, 1.0, Purchase(8.0, 200.0, True)),
    ],
)
def test_entry_takes_a_fraction_or_fixed_units(fixed_units: float, fraction: float, purchase: Purchase) -> None:
    assert account.size_entry(1000.0, 1000.0, 100.0, fixed_units, fraction, 0.25, 1.0) == purchase


def test_entry_spends_no_more_than_all_cash() -> None:
    assert account.size_entry(1000.0, 1000.0, 100.0, math.nan, 1.5, 0.25, 1.0).quantity == 8.0


def test_proceeds_of_a_short_are_cash_less_the_fee() -> None:
    assert account.cash_after_fill(1000.0, -1, 500.0, 5.0) == 1495.0
    assert account.cash_after_fill(1000.0, 1, 500.0, 5.0) == 495.0


@pytest.mark.parametrize(
    ("value", "fee", "takes_all_cash"),
    [
        (900.0, 99.0, False),
        (900.0, 100.0, True),
        (900.0, 101.0, True),
        (900.0, 100.0 - 0.9 * MILLIONTH, True),
        (900.0, 100.0 - 1.1 * MILLIONTH, False),
        (1100.0, 0.0, True),
    ],
)
def test_buying_back_that_leaves_no_cash_is_detected(value: float, fee: float, takes_all_cash: bool) -> None:
    assert account.takes_all_cash(1000.0, value, fee) is takes_all_cash


def test_flat_book_and_long_have_no_liquidation_level() -> None:
    costs = Costs(fee_rate=0.0, maker_fee_rate=0.0, slippage_rate=0.0)
    assert math.isnan(account.liquidation_level(1000.0, 0.0, costs, 1.0, 0.004))
    assert math.isnan(account.liquidation_level(1000.0, 1.0, costs, 1.0, 0.004))
    assert account.liquidation_level(2000.0, -10.0, costs, 1.0, 0.004) == 200.0


def test_equity_is_cash_and_the_position_at_its_price() -> None:
    assert account.mark_to_market(100.0, 2.0, 30.0) == 160.0
    assert account.mark_to_market(100.0, -2.0, 30.0) == 40.0


@pytest.mark.parametrize("loss", [0.0, 1e-300])
def test_risk_of_a_tiny_distance_takes_all_cash(loss: float) -> None:
    purchase = account.purchase_at_risk(1e-3, loss, 1000.0, 0.4, 0.0, 1.0)
    assert purchase == (2500.0, 0.0, True)


@pytest.mark.parametrize(
    ("units", "volume", "expected"),
    [(0.0, 8.0, 0.0), (1.0, 8.0, 0.005), (2.0, 8.0, 0.02), (4.0, 8.0, 0.08), (9.0, 8.0, 0.08), (1.0, 0.0, 0.08)],
)
def test_impact_is_that_of_the_squared_share(units: float, volume: float, expected: float) -> None:
    costs = Costs(0.0, 0.0, 0.5, impact=0.32, impact_limit=0.5)
    assert account.volume_impact(costs, units, volume) == pytest.approx(expected, rel=1e-15)
    limits = account.made_limit(costs), account.taken_limit(costs)
    assert [account.volume_impact(terms, units, volume) for terms in limits] == [0.0, 0.0]
