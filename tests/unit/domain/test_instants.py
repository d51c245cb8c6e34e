"""Dates and instants as clients write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from src.domain.errors import InvalidInput
from src.domain.instants import format_instant, iso_time, parse_instant
from src.domain.intervals import DAY_MS

DAY = datetime(2020, 1, 10, tzinfo=UTC)


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


@pytest.mark.parametrize("text", ["2020-01-10", " 2020-01-10 "])
def test_date_without_time_is_a_whole_day(text: str) -> None:
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
def test_instant_is_parsed_exactly(text: str, instant: datetime, is_end: bool) -> None:
    assert parse_instant(text, field="endDate", is_end=is_end) == ms(instant)


@pytest.mark.parametrize(
    "text",
    ["20200110", "2020-W02-5", "2020W025", "2020-010", "2020-1-10", "2020-01", "2020-01-10T", "2020-01-10T06",
     "20200110T0630", "2020-01-10T063000", "2020-W02-5T06:30", "2020-13-01", "2020-02-30", "2020-01-10T25:00",
     "2020-01-10_06:30", "٢٠٢٠-٠١-١٠", "yesterday", "1578614400000", "0001-01-01", "9999-01-01"],
)  # fmt: skip
@pytest.mark.parametrize("is_end", [False, True])
def test_other_text_is_rejected_with_allowed_forms(text: str, is_end: bool) -> None:
    with pytest.raises(InvalidInput, match=r"Allowed: YYYY-MM-DD, or an instant YYYY-MM-DDTHH:MM") as caught:
        parse_instant(text, field="endDate", is_end=is_end)
    assert caught.value.field == "endDate"
    assert repr(text) in caught.value.message


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_502_928_000_000, "2017-08-17T00:00:00Z"),
        (1_502_928_000_001, "2017-08-17T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_instant_round_trips_as_utc(time_ms: int, text: str) -> None:
    assert format_instant(time_ms) == text
    if time_ms >= 0:
        assert parse_instant(text, field="startDate") == time_ms


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2018-02-08T00:28:00Z", "2018-02-08T00:28Z"),
        ("2018-02-08", "2018-02-08"),
        ("2018-02-08T03:00:00Z", "2018-02-08T03:00Z"),
        ("2018-02-08T00:28:07Z", "2018-02-08T00:28:07Z"),
        ("2018-02-08T00:00:07Z", "2018-02-08T00:00:07Z"),
        ("2018-02-08T00:00:00.001Z", "2018-02-08T00:00:00.001Z"),
    ],
)
def test_time_for_people_leaves_out_what_is_zero(time: str, text: str) -> None:
    assert iso_time(parse_instant(time, field="startDate")) == text
