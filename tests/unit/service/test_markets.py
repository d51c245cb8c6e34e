"""Symbols of a source, and the features of its bars."""

from __future__ import annotations

import numpy as np
import pytest

from src.domain.errors import InvalidInput
from src.features.ohlcv import build_features
from src.service.computing import ComputeQueue
from src.service.markets import MarketService
from src.service.sources import SourceCatalog
from tests.factories import make_market
from tests.market import random_bars
from tests.unit.service.known_bars import KnownBars


def make_markets(source: KnownBars) -> MarketService:
    sources = SourceCatalog(sources={"known": source})
    return MarketService(sources=sources, computing=ComputeQueue(threads=1, max_waiting=8), timeout_s=30.0)


@pytest.mark.parametrize(
    ("quote", "is_trading_only", "expected"),
    [
        (None, True, ["TESTUSDT"]), (None, False, ["OLDBTC", "TESTUSDT"]), ("usdt", False, ["TESTUSDT"]),
        ("BTC", True, []), ("BTC", False, ["OLDBTC"]), ("EUR", False, []),
    ],
)  # fmt: skip
async def test_symbols_are_filtered(quote: str | None, is_trading_only: bool, expected: list[str]) -> None:
    service = make_markets(KnownBars(random_bars(10)))
    assert await service.list_symbols(quote_asset=quote, is_trading_only=is_trading_only) == expected


@pytest.mark.parametrize("quote", ["", "US DT", "USDT;", "US/DT", "A" * 33])
async def test_invalid_asset_is_rejected(quote: str) -> None:
    with pytest.raises(InvalidInput, match="quoteAsset is ") as caught:
        await make_markets(KnownBars(random_bars(10))).list_symbols(quote_asset=quote)
    assert caught.value.field == "quoteAsset"


async def test_features_are_those_of_fetched_bars() -> None:
    bars = random_bars(40)
    series, features = await make_markets(KnownBars(bars)).fetch_features(make_market())
    assert series.bars == bars
    assert np.array_equal(features.values, build_features(bars).values, equal_nan=True)
