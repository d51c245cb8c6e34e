"""What clients write for candles, and what is refused before anything is fetched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from src.api.requests import FetchFields, build_market, parse_instant
from src.domain.errors import InvalidInput
from src.domain.market import DAY_MS

DAY = datetime(2020, 1, 10, tzinfo=UTC)


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


@pytest.mark.parametrize("text", ["2020-01-10", " 2020-01-10 "])
def test_a_bare_date_is_a_whole_day(text: str) -> None:
    assert parse_instant(text, field="startDate") == ms(DAY)
    assert parse_instant(text, field="endDate", is_end=True) == ms(DAY) + DAY_MS - 1


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2020-01-10T00:00", DAY),
        ("2020-01-10T06:30:15", DAY + timedelta(hours=6, minutes=30, seconds=15)),
        ("2020-01-10 06:30:15", DAY + timedelta(hours=6, minutes=30, seconds=15)),
        ("2020-01-10T06:30:15.250Z", DAY + timedelta(hours=6, minutes=30, seconds=15.25)),
        ("2020-01-10T09:00:00+09:00", DAY),
        ("2020-01-10T09:00+0900", DAY),
        ("2020-01-09T19:00:00-05", DAY),
    ],
)
@pytest.mark.parametrize("is_end", [False, True])
def test_an_instant_is_that_instant(text: str, instant: datetime, is_end: bool) -> None:
    assert parse_instant(text, field="endDate", is_end=is_end) == ms(instant)


@pytest.mark.parametrize(
    "text",
    ["20200110", "2020-W02-5", "2020W025", "2020-010", "2020-1-10", "2020-01", "2020-01-10T", "2020-01-10T06",
     "20200110T0630", "2020-01-10T063000", "2020-W02-5T06:30", "2020-13-01", "2020-02-30", "2020-01-10T25:00",
     "2020-01-10_06:30", "٢٠٢٠-٠١-١٠", "yesterday", "1578614400000", "0001-01-01", "9999-01-01"],
)  # fmt: skip
@pytest.mark.parametrize("is_end", [False, True])
def test_whatever_else_is_refused_with_the_forms_that_are_allowed(text: str, is_end: bool) -> None:
    with pytest.raises(InvalidInput, match=r"allowed: YYYY-MM-DD, or an instant YYYY-MM-DDTHH:MM") as caught:
        parse_instant(text, field="endDate", is_end=is_end)
    assert caught.value.field == "endDate"
    assert repr(text) in caught.value.message


@pytest.mark.parametrize("source", [None, "binance", "my_candles"])
def test_a_seed_needs_the_source_that_uses_it(source: str | None) -> None:
    with pytest.raises(InvalidInput, match="'simulated'") as caught:
        build_market(FetchFields(symbol="BTCUSDT", source=source, seed=0), max_bars=10_000)
    assert caught.value.field == "seed"
    assert build_market(FetchFields(symbol="BTCUSDT", source=source), max_bars=10_000).seed is None


def test_simulated_candles_take_a_seed() -> None:
    assert build_market(FetchFields(symbol="BTCUSDT", source="Simulated", seed=7), max_bars=10_000).seed == 7
