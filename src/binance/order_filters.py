"""Read the filters of a symbol in `exchangeInfo`: the steps of prices and quantities, and the smallest value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from src.domain.exchange_rules import MIN_STEP, ExchangeRules
from src.domain.order_rules import MAX_AMOUNT, MIN_CASH

_TICK: Final = (("PRICE_FILTER", "tickSize"),)
_STEP: Final = (("LOT_SIZE", "stepSize"),)
_NOTIONAL: Final = (("NOTIONAL", "minNotional"), ("MIN_NOTIONAL", "minNotional"))
"""Filters and their fields; MIN_NOTIONAL is the older name of NOTIONAL."""


def read_filters(listed: object) -> ExchangeRules:
    """Return the filters of one symbol; one that is missing, 0 (Binance: disabled) or not a number is left out."""
    filters = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    by_type = {str(one.get("filterType")): one for one in filters}

    def find(places: tuple[tuple[str, str], ...], least: float) -> float | None:
        for kind, name in places:
            value = _number(by_type.get(kind, {}).get(name))
            if value is not None and least <= value <= MAX_AMOUNT:
                return value
        return None

    return ExchangeRules(
        tick_size=find(_TICK, MIN_STEP), step_size=find(_STEP, MIN_STEP), min_notional=find(_NOTIONAL, MIN_CASH)
    )


def _number(text: object) -> float | None:
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
