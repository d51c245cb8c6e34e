"""Times of files: units by their size, zones declared or in the text, and what is no time."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import numpy as np
import pytest

from src.datasets.reading.dates import DateOrder
from src.datasets.reading.table import BarFileRejected, Declared, Findings
from src.datasets.reading.times import TimeReader, parse_zone
from src.domain.datasets import DateFormat, TimeUnit
from src.domain.errors import InvalidInput

DAY_MS = 86_400_000
NOON_MS = 1_609_502_400_000  # 2021-01-01T12:00Z


def read(
    *cells: str, unit: TimeUnit | None = None, zone: str | None = None, date_format: DateFormat | None = None
) -> tuple[list[int], Findings]:
    findings = Findings()
    declared = Declared(symbol="BTCUSDT", unit=unit, zone=parse_zone(zone), date_format=date_format)
    reader = TimeReader("Date", declared=declared, findings=findings, order=DateOrder(date_format))
    return reader.finish(reader.read_cells(cells, range(2, len(cells) + 2))).tolist(), findings


@pytest.mark.parametrize(
    ("cell", "unit"),
    [
        ("1609502400", "s"), ("1609502400000", "ms"), ("1609502400000000", "us"), ("1609502400000000000", "ns"),
        ("1609502400.0", "s"), ("1.6095024e12", "ms"), (" 1609502400000 ", "ms"),
    ],
)  # fmt: skip
def test_unit_is_found_from_size_of_number(cell: str, unit: str) -> None:
    times, findings = read(cell)
    assert times == [NOON_MS]
    assert findings.units == {unit}
    assert not findings.is_zone_assumed


def test_change_of_unit_within_file_is_followed() -> None:
    times, findings = read("1609502400000", "1609502460000000", "1609502519999999")
    assert times == [NOON_MS, NOON_MS + 60_000, NOON_MS + 119_999]
    assert findings.units == {"ms", "us"}


@pytest.mark.parametrize("cell", ["20211301", "0", "-1", "1e300", "nan", "inf", "99999999999999999999", "12345"])
def test_number_of_no_unit_is_rejected_with_line(cell: str) -> None:
    with pytest.raises(BarFileRejected, match=r"^Line 2: Date is "):
        read(cell)


def test_declared_unit_applies_to_all_numbers() -> None:
    assert read("1000", unit=TimeUnit.SECONDS)[0] == [1_000_000]
    assert read("20240131", unit=TimeUnit.SECONDS)[0] == [20_240_131_000]
    with pytest.raises(BarFileRejected, match=r"Line 3: Date is 1609502400000.* in s from 1970 to 2200"):
        read("1609502400", "1609502400000", unit=TimeUnit.SECONDS)


@pytest.mark.parametrize(
    "cell",
    ["2021-01-01T12:00:00Z", "2021-01-01 12:00:00+00:00", "2021-01-01 21:00:00+09:00", "2021-01-01 12:00:00 UTC",
     "20210101T120000Z", "2021-01-01T12:00:00.000Z"],
)  # fmt: skip
def test_zone_in_text_overrides_declared_zone(cell: str) -> None:
    times, findings = read(cell, zone="Asia/Seoul")
    assert times == [NOON_MS]
    assert not findings.is_zone_assumed


def test_times_without_zone_are_utc_with_warning() -> None:
    times, findings = read("2021-01-01 12:00", "2021-01-02")
    assert times == [NOON_MS, NOON_MS + 12 * 3_600_000]
    assert findings.is_zone_assumed


@pytest.mark.parametrize("zone", ["Asia/Seoul", "+09:00", "+0900"])
def test_declared_zone_is_converted_to_utc(zone: str) -> None:
    times, findings = read("2021-01-01 21:00", zone=zone)
    assert times == [NOON_MS]
    assert findings.offsets == {540}
    assert not findings.is_zone_assumed


def test_repeated_hour_stays_in_order() -> None:
    cells = ["2021-10-31 01:00", "2021-10-31 02:00", "2021-10-31 02:30", "2021-10-31 02:00", "2021-10-31 02:30",
             "2021-10-31 03:00"]  # fmt: skip
    times, findings = read(*cells, zone="Europe/Berlin")
    assert np.diff(times).tolist() == [3_600_000, 1_800_000, 1_800_000, 1_800_000, 1_800_000]
    assert findings.offsets == {60, 120}


def test_repeated_hour_stays_in_order_newest_first() -> None:
    cells = ["2021-10-31 03:00", "2021-10-31 02:30", "2021-10-31 02:00", "2021-10-31 02:30", "2021-10-31 02:00",
             "2021-10-31 01:00"]  # fmt: skip
    times, _ = read(*cells, zone="Europe/Berlin")
    assert np.diff(times).tolist() == [-1_800_000, -1_800_000, -1_800_000, -1_800_000, -3_600_000]


def test_skipped_hour_is_rejected() -> None:
    with pytest.raises(BarFileRejected, match=r"Line 3.*the clocks of the declared timezone skip"):
        read("2021-03-28 01:30", "2021-03-28 02:30", zone="Europe/Berlin")


@pytest.mark.parametrize(
    "cell",
    ["", "yesterday", "31/01/21", "31 Jan 2021", "2021.02.30", "2021-01-01 24:00:00", "20210132",
     "2021-13-01", "2021-02-30", "0001-01-01", "9999-12-31", "=TODAY()", "2021-01-01\0",
     "2021-W01-1", "2021W011",
     "1609502400000;DROP"],
)  # fmt: skip
def test_invalid_time_is_rejected_with_line_and_column(cell: str) -> None:
    with pytest.raises(BarFileRejected, match=r"Line 3: Date is .*Allowed: an ISO 8601 time"):
        read("2021-01-01", cell)


@pytest.mark.parametrize(("text", "offset"), [("UTC", 0), ("utc", 0), ("Z", 0), ("-05:30", -330), ("+14:00", 840)])
def test_zones_of_every_kind_are_parsed(text: str, offset: int) -> None:
    zone = parse_zone(text)
    assert zone == (UTC if offset == 0 else timezone(timedelta(minutes=offset)))


@pytest.mark.parametrize(
    "text",
    ["Mars/Base", "../../etc/passwd", "/etc/localtime", "+25:00", "+9", "A" * 500, "Europe", "Europe/Berlin\0"],
)
def test_invalid_zone_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput, match="an IANA name such as Asia/Seoul") as caught:
        parse_zone(text)
    assert caught.value.field == "timezone"


JAN_31_MS = 1_706_659_200_000  # 2024-01-31


@pytest.mark.parametrize(
    "cell",
    ["2024.01.31", "2024/01/31", "2024-1-31", "20240131", "31.01.2024", "31/1/2024", "01/31/2024", "1-31-2024",
     "2024.01.31 00:00", "20240131 000000", "20240131 0000", "2024/01/31, 0:00:00", "31.01.2024 00:00:00.000",
     "1/31/2024 12:00:00 AM", "01/31/2024 00:00 UTC", "2024.01.31T00:00Z"],
)  # fmt: skip
def test_dates_of_every_style_are_read(cell: str) -> None:
    assert read(cell)[0] == [JAN_31_MS]


@pytest.mark.parametrize(
    ("clock", "minutes"),
    [
        ("0:05", 5),
        ("00:05:00", 5),
        ("000500", 5),
        ("12:05 AM", 5),
        ("12:05 pm", 725),
        ("1:05:00PM", 785),
        ("2359", 1439),
    ],
)
@pytest.mark.parametrize("date", ["2024.01.31", "01/31/2024"])
def test_time_of_day_of_every_style_is_read(date: str, clock: str, minutes: int) -> None:
    assert read(f"{date} {clock}")[0] == [JAN_31_MS + 60_000 * minutes]


@pytest.mark.parametrize("clock", ["24:00", "12:60", "13:00 PM", "0:30 AM", "93000", "1:2:3:4", "noon", "00:00 EST"])
@pytest.mark.parametrize("date", ["2024.01.31", "01/31/2024"])
def test_impossible_time_of_day_is_rejected_with_line(date: str, clock: str) -> None:
    with pytest.raises(BarFileRejected, match=r"Line 2: Date is .*Allowed: an ISO 8601 time"):
        read(f"{date} {clock}")


def test_one_day_above_12_decides_date_order() -> None:
    assert read("01/02/2024", "13/02/2024")[0] == [1_706_745_600_000, 1_707_782_400_000]
    assert read("02/13/2024", "02/01/2024")[0] == [1_707_782_400_000, 1_706_745_600_000]


def test_ambiguous_date_order_must_be_declared() -> None:
    cells = ["01/02/2024", "02/02/2024", "12/02/2024"]
    with pytest.raises(
        BarFileRejected, match=r"Line 2: Date is '01/02/2024', and no .* Give dateFormat: DMY or MDY"
    ) as caught:
        read(*cells)
    assert caught.value.field == "dateFormat"
    assert read(*cells, date_format=DateFormat.DMY)[0] == [JAN_31_MS + DAY_MS * day for day in (1, 2, 12)]
    assert read(*cells, date_format=DateFormat.MDY)[0][0] == JAN_31_MS - 29 * DAY_MS


@pytest.mark.parametrize(
    ("cells", "date_format", "words"),
    [
        (("13/02/2024", "02/13/2024"), None, "Line 3: Date is '02/13/2024', and with the dates before it"),
        (("13/02/2024",), DateFormat.MDY, "Line 2: Date is '13/02/2024', but the declared dateFormat is MDY"),
        (("02/13/2024",), DateFormat.DMY, "Line 2: Date is '02/13/2024', but the declared dateFormat is DMY"),
        (("13/02/2024",), DateFormat.YMD, "Line 2: Date is '13/02/2024', but the declared dateFormat is YMD"),
        (("2024.02.13",), DateFormat.DMY, "Line 2: Date is '2024.02.13', but the declared dateFormat is DMY"),
        (("2024-02-13T00:00+01:00",), DateFormat.DMY, "but the declared dateFormat is DMY"),
        (("13/02/2024", "31/02/2024"), None, "'31/02/2024' in one row, which as DMY is not in the calendar"),
        (("13/02/2024", "00/02/2024"), None, "'00/02/2024' in one row, which as DMY is not in the calendar"),
        (("13/00/2024",), None, "'13/00/2024' in one row, which as DMY is not in the calendar"),
        (("13/02/2024", "2024-02-14"), None, "has a date in another style"),
        (("13/02/2024 00:00 UTC", "14/02/2024 00:00"), None, "has a date in another style"),
        (("13/02/1969",), None, "Allowed: an ISO 8601 time"),
        (("13/02/2200",), None, "Allowed: an ISO 8601 time"),
    ],
)  # fmt: skip
def test_contradicting_dates_are_rejected(cells: tuple[str, ...], date_format: DateFormat | None, words: str) -> None:
    with pytest.raises(BarFileRejected) as caught:
        read(*cells, date_format=date_format)
    assert words in caught.value.message


def test_dates_with_the_day_first_are_read_in_the_declared_zone() -> None:
    times, findings = read("31.01.2024 09:00", zone="Asia/Seoul")
    assert times == [JAN_31_MS]
    assert not findings.is_zone_assumed
    assert read("31.01.2024 00:00 UTC", zone="Asia/Seoul")[0] == [JAN_31_MS]
    assert read("31.01.2024")[1].is_zone_assumed
