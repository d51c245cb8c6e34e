"""Check the market part of requests, and what is refused before anything is fetched."""

from __future__ import annotations

import pytest

from src.api.requests.backtests import build_market
from src.domain.errors import InvalidInput
from src.domain.intervals import DAY_MS, INTERVALS
from src.domain.market import LimitOrigin


@pytest.mark.parametrize("source", [None, "binance", "my_candles"])
def test_seed_without_simulated_source_is_refused(source: str | None) -> None:
    with pytest.raises(InvalidInput, match="'simulated'") as caught:
        build_market({"symbol": "BTCUSDT", "source": source, "seed": 0}, max_bars=10_000)
    assert caught.value.field == "seed"
    assert build_market({"symbol": "BTCUSDT", "source": source}, max_bars=10_000).seed is None


def test_simulated_source_accepts_a_seed() -> None:
    assert build_market({"symbol": "BTCUSDT", "source": "Simulated", "seed": 7}, max_bars=10_000).seed == 7


@pytest.mark.parametrize("dates", [{}, {"start_date": "2017-08-17"}, {"end_date": "2026-04-07"}])
def test_default_limit_applies_if_the_range_is_open(dates: dict[str, str]) -> None:
    market = build_market({"symbol": "BTCUSDT", **dates}, max_bars=10_000)
    assert (market.limit, market.limit_origin) == (1000, LimitOrigin.DEFAULT)


@pytest.mark.parametrize(
    ("interval", "start", "end", "bars"),
    [
        ("1d", "2017-08-17", "2025-08-16", 2922),
        ("1d", "2024-01-01", "2024-01-01", 1),
        ("1h", "2024-01-01T00:30", "2024-01-01T01:30", 2),
        ("1h", "2024-01-01T00:00", "2024-01-01T01:00", 2),
        ("1M", "2023-12-01", "2024-02-01", 3),
        ("1M", "2024-02-01", "2024-02-29", 1),
        ("1w", "2024-01-01", "2024-01-15", 3),
    ],
)
def test_both_dates_without_limit_request_all_bars(interval: str, start: str, end: str, bars: int) -> None:
    given = {"symbol": "BTCUSDT", "interval": interval, "start_date": start, "end_date": end}
    market = build_market(given, max_bars=10_000)
    assert (market.limit, market.limit_origin) == (bars, LimitOrigin.RANGE)


def test_whole_range_is_bounded_by_the_maximum() -> None:
    given = {"symbol": "BTCUSDT", "interval": "1m", "start_date": "2017-08-17", "end_date": "2025-08-16"}
    market = build_market(given, max_bars=10_000)
    assert (market.limit, market.is_whole_range) == (10_000, True)


def test_given_limit_stays_with_both_dates() -> None:
    given = {"symbol": "BTCUSDT", "limit": 7, "start_date": "2024-01-01", "end_date": "2024-12-31"}
    market = build_market(given, max_bars=10_000)
    assert (market.limit, market.limit_origin) == (7, LimitOrigin.CLIENT)


@pytest.mark.parametrize("name", ["1s", "1h", "3d", "1w", "1M"])
def test_no_range_has_more_bars_than_fit(name: str) -> None:
    interval = INTERVALS[name]
    assert interval.most_bars(5, 4) == 0
    assert interval.most_bars(0, 0) == 1
    assert interval.most_bars(0, 27 * DAY_MS) == (1 if name == "1M" else 27 * DAY_MS // interval.milliseconds + 1)
