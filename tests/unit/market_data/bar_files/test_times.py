"""Times of files: units by their size, zones declared or in the text, and what is no time."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import numpy as np
import pytest

from src.domain.datasets import TimeUnit
from src.domain.errors import InvalidInput
from src.market_data.bar_files.table import BarFileRejected, Findings
from src.market_data.bar_files.times import TimeReader, parse_zone

NOON_MS = 1_609_502_400_000  # 2021-01-01T12:00Z


def read(*cells: str, unit: TimeUnit | None = None, zone: str | None = None) -> tuple[list[int], Findings]:
    findings = Findings()
    reader = TimeReader("Date", unit=unit, zone=parse_zone(zone), findings=findings)
    return reader.read_cells(cells, range(2, len(cells) + 2)).tolist(), findings


@pytest.mark.parametrize(
    ("cell", "unit"),
    [
        ("1609502400", "s"), ("1609502400000", "ms"), ("1609502400000000", "us"), ("1609502400000000000", "ns"),
        ("1609502400.0", "s"), ("1.6095024e12", "ms"), (" 1609502400000 ", "ms"),
    ],
)  # fmt: skip
def test_units_are_found_by_size(cell: str, unit: str) -> None:
    times, findings = read(cell)
    assert times == [NOON_MS]
    assert findings.units == {unit}
    assert not findings.is_zone_assumed


def test_a_change_of_unit_in_the_middle_is_followed() -> None:
    times, findings = read("1609502400000", "1609502460000000", "1609502519999999")
    assert times == [NOON_MS, NOON_MS + 60_000, NOON_MS + 119_999]
    assert findings.units == {"ms", "us"}


@pytest.mark.parametrize("cell", ["20210101", "0", "-1", "1e300", "nan", "inf", "99999999999999999999", "12345"])
def test_a_number_of_no_unit_is_refused_with_its_line(cell: str) -> None:
    with pytest.raises(BarFileRejected, match=r"^line 2: Date is "):
        read(cell)


def test_a_declared_unit_counts_for_all() -> None:
    assert read("1000", unit=TimeUnit.SECONDS)[0] == [1_000_000]
    with pytest.raises(BarFileRejected, match=r"line 3: Date is 1609502400000.* in s from 1970 to 2200"):
        read("1609502400", "1609502400000", unit=TimeUnit.SECONDS)


@pytest.mark.parametrize(
    "cell",
    ["2021-01-01T12:00:00Z", "2021-01-01 12:00:00+00:00", "2021-01-01 21:00:00+09:00", "2021-01-01 12:00:00 UTC",
     "20210101T120000Z", "2021-01-01T12:00:00.000Z"],
)  # fmt: skip
def test_a_zone_in_the_text_counts_for_more_than_a_declared_one(cell: str) -> None:
    times, findings = read(cell, zone="Asia/Seoul")
    assert times == [NOON_MS]
    assert not findings.is_zone_assumed


def test_times_without_a_zone_are_utc_and_said_to_be() -> None:
    times, findings = read("2021-01-01 12:00", "2021-01-02")
    assert times == [NOON_MS, NOON_MS + 12 * 3_600_000]
    assert findings.is_zone_assumed


@pytest.mark.parametrize("zone", ["Asia/Seoul", "+09:00", "+0900"])
def test_a_declared_zone_is_taken_off(zone: str) -> None:
    times, findings = read("2021-01-01 21:00", zone=zone)
    assert times == [NOON_MS]
    assert findings.offsets == {540}
    assert not findings.is_zone_assumed


def test_the_hour_that_comes_twice_comes_twice() -> None:
    cells = ["2021-10-31 01:00", "2021-10-31 02:00", "2021-10-31 02:30", "2021-10-31 02:00", "2021-10-31 02:30",
             "2021-10-31 03:00"]  # fmt: skip
    times, findings = read(*cells, zone="Europe/Berlin")
    assert np.diff(times).tolist() == [3_600_000, 1_800_000, 1_800_000, 1_800_000, 1_800_000]
    assert findings.offsets == {60, 120}


def test_the_hour_that_comes_twice_comes_twice_in_a_file_with_the_newest_first() -> None:
    cells = ["2021-10-31 03:00", "2021-10-31 02:30", "2021-10-31 02:00", "2021-10-31 02:30", "2021-10-31 02:00",
             "2021-10-31 01:00"]  # fmt: skip
    times, _ = read(*cells, zone="Europe/Berlin")
    assert np.diff(times).tolist() == [-1_800_000, -1_800_000, -1_800_000, -1_800_000, -3_600_000]


def test_the_hour_that_is_skipped_is_no_time() -> None:
    with pytest.raises(BarFileRejected, match=r"line 3.*the clocks of the declared timezone skip"):
        read("2021-03-28 01:30", "2021-03-28 02:30", zone="Europe/Berlin")


@pytest.mark.parametrize(
    "cell",
    ["", "yesterday", "31/01/2021", "2021-13-01", "2021-02-30", "0001-01-01", "9999-12-31", "=TODAY()", "2021-01-01\0",
     "2021-W01-1", "2021W011",
     "1609502400000;DROP"],
)  # fmt: skip
def test_what_is_no_time_is_named_with_line_and_column(cell: str) -> None:
    with pytest.raises(BarFileRejected, match=r"line 3: Date is .*allowed: an ISO 8601 time"):
        read("2021-01-01", cell)


@pytest.mark.parametrize(("text", "offset"), [("UTC", 0), ("utc", 0), ("Z", 0), ("-05:30", -330), ("+14:00", 840)])
def test_zones(text: str, offset: int) -> None:
    zone = parse_zone(text)
    assert zone == (UTC if offset == 0 else timezone(timedelta(minutes=offset)))


@pytest.mark.parametrize(
    "text",
    ["Mars/Base", "../../etc/passwd", "/etc/localtime", "+25:00", "+9", "A" * 500, "Europe", "Europe/Berlin\0"],
)
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="an IANA name such as Asia/Seoul") as caught:
        parse_zone(text)
    assert caught.value.field == "timezone"
