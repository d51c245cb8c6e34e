"""CSV as it comes: the exchange's own columns, the usual names, delimiters, line ends, and what is none."""

from __future__ import annotations

import pytest

from src.datasets.reading.table import BarFileRejected
from tests.bar_files import csv_of, days, gzipped, read_here

KLINE = "1609459200000,10,12,9,11,100,1609545599999,1100,7,50,550,0"
NEXT_KLINE = "1609545600000,11,13,10,12,101,1609631999999,1100,7,50,550,0"
KLINE_HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,trades,taker_base,taker_quote,ignore"


@pytest.mark.parametrize("header", ["", KLINE_HEADER + "\n", KLINE_HEADER.replace("_", " ").title() + "\n"])
def test_exchange_columns_are_found_with_any_header(header: str) -> None:
    table = read_here(f"{header}{KLINE}\n{NEXT_KLINE}\n")
    assert table.columns["time"].tolist() == [1609459200000, 1609545600000]
    assert table.columns["close_time"].tolist() == [1609545599999, 1609631999999]
    assert [table.columns[name].tolist() for name in ("open", "high", "low", "close", "volume")] == [
        [10, 11], [12, 13], [9, 10], [11, 12], [100, 101],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "header",
    ["Date,Open,High,Low,Close,Volume", "date,open,high,low,close,volume", "DATETIME,OPEN,HIGH,LOW,CLOSE,VOL",
     "timestamp,o,h,l,c,v", "time,Open Price,High Price,Low Price,Close Price,Volume",
     "Open Time,open,high,low,close,vol", ",Open,High,Low,Close,Volume", "unix,open,high,low,close,base_volume",
     '"Date","Open","High","Low","Close","Volume"'],
)  # fmt: skip
def test_usual_column_names_are_found(header: str) -> None:
    table = read_here(csv_of(days(3), header))
    assert len(table) == 3
    assert set(table.columns) == {"time", "open", "high", "low", "close", "volume"}


def test_columns_are_found_in_any_order() -> None:
    table = read_here("Symbol,Volume,Close,Low,High,Open,Adj Close,Date\nBTC,5,3,1,4,2,9,2021-01-01\n")
    assert {name: column.tolist()[0] for name, column in table.columns.items() if name != "time"} == {
        "open": 2, "high": 4, "low": 1, "close": 3, "volume": 5,
    }  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_delimiter_and_line_end_is_read(delimiter: str, end: str) -> None:
    text = csv_of(days(4)).replace(",", delimiter).replace("\n", end)
    assert len(read_here(text)) == 4


def test_mixed_line_ends_and_empty_lines_are_read() -> None:
    lines = csv_of(days(4)).splitlines()
    assert len(read_here("\n\r\n" + lines[0] + "\r\n" + "\r".join(lines[1:4]) + "\n\n  \n" + lines[4])) == 4


def test_byte_order_mark_is_ignored() -> None:
    assert len(read_here(b"\xef\xbb\xbf" + csv_of(days(2)).encode())) == 2


def test_gzip_is_recognized_by_content() -> None:
    text = csv_of(days(500))
    half = len(text) // 2
    assert len(read_here(gzipped(text))) == 500
    assert len(read_here(gzipped(text[:half]) + gzipped(text[half:]))) == 500


def test_unreadable_cells_are_noted_with_line_and_column() -> None:
    rows = days(4)
    rows[1][4], rows[2][1] = "abc", ""
    table = read_here(csv_of(rows))
    assert table.findings.unreadable == ["line 4: Open is ''", "line 3: Close is 'abc'"]
    assert table.findings.unreadable_cells == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "The file is empty."),
        ("\n\n  \n", "The file is empty."),
        ("Date,Open,High,Low,Close,Volume\n", "no rows of bars"),
        ("Date,Open,High,Low,Close\n2021-01-01,1,1,1,1\n", "names no column for volume"),
        ("a,b\n1,2\n", "names no column for the time"),
        ("Open,High,Low,Close,Volume\n1,1,1,1,1\n", "names no column for the time"),
        ("Date,Time,Open,High,Low,Close,Volume\n2021-01-01,,1,1,1,1,1\n", "Line 2 has no time of day"),
        ("Date,Open,open,High,Low,Close,Volume\n2021-01-01,1,1,1,1,1,1\n", "one column for open: 'Open', 'open'"),
        ("https://a.example/b\n", "The file is empty."),
        ("Date,Symbol,Open,High,Low,Close,Volume\n2021-01-01,A,1,1,1,1,1\n2021-01-02,B,1,1,1,1,1\n",
         "rows of several symbols: 'A', 'B'"),
        ("Date,Open,High,Low,Close,Volume USDT\n2021-01-01,1,1,1,1,1\n", "is surely counted in"),
        ("Date,Open,High,Low,Close,Volume BTCUSDT\n2021-01-01,1,1,1,1,1\n", "is surely counted in"),
        ("Date,Open,High,Low,Close,Volume B,Volume BTC\n2021-01-01,1,1,1,1,1,1\n", "is surely counted in"),
        ("2021-01-01,1,1,1,1,1\n", "The first line is no header, and has 6 columns"),
        ("2021.01.01,00:00,1,1,1,1,1\n", "The first line is no header, and has 7 columns"),
        ("1609459200000,1,1,1,1,1\n", "The first line is no header, and has 6 columns"),
        (csv_of(days(3)) + "2021-01-04,1,2\n", "Line 5 has 3 columns, but line 1 has 6"),
        ("\n" + csv_of(days(2)) + "2021-01-04,1,2\n", "Line 5 has 3 columns, but line 2 has 6"),
        ("Date,Open,High,Low,Close,Volume\n2021-01-01,1,5,2,5,1,5,2,0,7\n", "decimal point, not a comma"),
        (csv_of(days(3)) + "tomorrow,1,1,1,1,1\n", "Line 5: Date is 'tomorrow'"),
        (csv_of(days(1)) + '2021-01-02,"1\n2",1,1,1,1\n' + csv_of(days(1), None) + "x", "Line 6 has 1 columns"),
    ],
)  # fmt: skip
def test_unreadable_file_is_rejected_with_reason(text: str, words: str) -> None:
    with pytest.raises(BarFileRejected) as caught:
        read_here(text)
    assert words in caught.value.message


def test_blocks_are_joined_seamlessly() -> None:
    minutes = [[1609459200000 + 60_000 * row, 1, 2, 1, 2, row] for row in range(45_000)]
    table = read_here(csv_of(minutes), max_rows=45_000)
    assert table.columns["volume"].tolist() == list(range(45_000))


def test_volume_of_the_traded_asset_is_chosen() -> None:
    text = "Date,Open,High,Low,Close,Volume USDT,Volume BTC\n2021-01-01,1,1,1,1,500,5\n"
    assert read_here(text).columns["volume"].tolist() == [5.0]
    pair = "Date,Open,High,Low,Close,Volume B,Volume BTC,Volume USDT\n2021-01-01,1,1,1,1,3,5,500\n"
    assert read_here(pair).columns["volume"].tolist() == [5.0]
    assert read_here(pair.replace("Volume USDT", "Volume"), symbol="X").columns["volume"].tolist() == [500.0]


@pytest.mark.parametrize("first", ["https://www.CryptoDataDownload.com", "www.example.com,,,", "sep=,", '"sep=,"'])
def test_line_before_header_is_skipped(first: str) -> None:
    assert len(read_here(f"{first}\n{csv_of(days(3))}")) == 3
    with pytest.raises(BarFileRejected, match="Line 6 has 3 columns, but line 2 has 6"):
        read_here(f"{first}\n{csv_of(days(3))}2021-01-04,1,2\n")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_with_byte_order_mark_is_read(encoding: str) -> None:
    mark = {"utf-16": "", "utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}[encoding]
    content = (mark + csv_of(days(30))).encode(encoding)
    for sent in (content, gzipped(content)):
        assert read_here(sent).columns["close"].tolist() == read_here(csv_of(days(30))).columns["close"].tolist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (csv_of(days(3)).encode("utf-16-le"), "NUL byte"),
        (csv_of(days(3)).encode("utf-16")[:-1], "is not UTF-16 text"),
        (b"\xff\xfe" + b"\x00\xd8" + csv_of(days(3)).encode("utf-16-le"), "Line 1 is not UTF-16 text"),
        (csv_of(days(3)).encode("utf-32"), "NUL byte"),
    ],
    ids=["no mark", "half a letter", "lone surrogate", "UTF-32"],
)
def test_invalid_utf_16_is_rejected(content: bytes, words: str) -> None:
    with pytest.raises(BarFileRejected) as caught:
        read_here(content)
    assert words in caught.value.message


DATED = "Unix,Date,Open,High,Low,Close,Volume\n"


@pytest.mark.parametrize(
    "rows",
    [
        "1609459200000,2021-01-01 00:00:00,1,1,1,1,1\n1609545600,2021-01-02 00:00:00,1,1,1,1,1\n",
        "1609459200000,2021-01-01,1,1,1,1,1\n1609480800000,2021-01-01,1,1,1,1,1\n",
        "1609459200000,01.01.2021,1,1,1,1,1\n1610496000000,13.01.2021,1,1,1,1,1\n",
    ],
    ids=["to the second", "to the day", "day first"],
)
def test_agreeing_date_beside_timestamp_is_accepted(rows: str) -> None:
    table = read_here(DATED + rows)
    assert table.columns["time"][0] == 1609459200000
    assert set(table.columns) == {"time", "open", "high", "low", "close", "volume"}
    assert not table.findings.is_zone_assumed


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ("1609459200000,2021-01-01 00:00:00,1,1,1,1,1\n1609545600000,2021-01-02 00:00:01,1,1,1,1,1\n", "file"),
        ("1609459205000,2021-01-01 00:00:00,1,1,1,1,1\n", "file"),
        ("1609459200000,2021-01-02,1,1,1,1,1\n", "timezone"),
        ("1609459200000,2021-01-01 09:00,1,1,1,1,1\n", "timezone"),
    ],
)
def test_disagreeing_date_beside_timestamp_is_rejected(rows: str, field: str) -> None:
    with pytest.raises(BarFileRejected, match=r"Row \d: Unix is .* and Date is ") as caught:
        read_here(DATED + rows)
    assert caught.value.field == ("file" if "01-02," in rows else field)
    if field == "timezone" and "09:00" in rows:
        assert read_here(DATED + rows, timezone="Asia/Seoul").columns["time"].tolist() == [1609459200000]


def test_date_and_time_of_day_are_read_together() -> None:
    text = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
    text += "2021.01.01\t01:30:00\t1\t1\t1\t1\t8\t5\t0\n"
    table = read_here(text)
    assert table.columns["time"].tolist() == [1609464600000]
    assert table.columns["volume"].tolist() == [5.0]
    assert table.findings.is_zone_assumed
    beside = "Unix,Date,Time,Open,High,Low,Close,Volume\n1609464600,01/01/2021,01:30,1,1,1,1,1\n"
    assert read_here(beside, date_format="MDY").columns["time"].tolist() == [1609464600000]
    with pytest.raises(BarFileRejected, match="Row 1: Unix is "):
        read_here(beside.replace("01:30", "01:31"), date_format="DMY")
