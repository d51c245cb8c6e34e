"""Filters of a symbol as `exchangeInfo` lists them."""

from __future__ import annotations

import pytest

from src.binance.order_filters import read_filters
from src.domain.exchange_rules import ExchangeRules

LISTED = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001000"},
    {"filterType": "MARKET_LOT_SIZE", "minQty": "0.0", "maxQty": "107.1", "stepSize": "0.00000000"},
    {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
]


def test_steps_and_smallest_value_are_read() -> None:
    assert read_filters(LISTED) == ExchangeRules(tick_size=0.01, step_size=0.00001, min_notional=5.0)


def test_older_name_of_the_smallest_value_is_known() -> None:
    assert read_filters([{"filterType": "MIN_NOTIONAL", "minNotional": "10.0"}]).min_notional == 10.0


@pytest.mark.parametrize(
    "listed",
    [
        None,
        "filters",
        [None, 3],
        [{"filterType": "PRICE_FILTER"}],
        [{"filterType": "PRICE_FILTER", "tickSize": text} for text in ("0.00000000", "nan", "-1", "1e300", "?", "")],
        [{"filterType": ["LOT_SIZE"], "stepSize": {}}],
    ],
)
def test_filter_that_says_nothing_is_left_out(listed: object) -> None:
    assert read_filters(listed) == ExchangeRules()
