"""CSV as it comes: the exchange's own columns, the usual names, delimiters, line ends, and what is none."""

from __future__ import annotations

import pytest

from src.market_data.bar_files.table import BarFileRejected
from tests.bar_files import csv_of, days, gzipped, read_here

KLINE = "1609459200000,10,12,9,11,100,1609545599999,1100,7,50,550,0"
NEXT_KLINE = "1609545600000,11,13,10,12,101,1609631999999,1100,7,50,550,0"
KLINE_HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,trades,taker_base,taker_quote,ignore"


@pytest.mark.parametrize("header", ["", KLINE_HEADER + "\n", KLINE_HEADER.replace("_", " ").title() + "\n"])
def test_the_exchanges_twelve_columns_are_known_with_and_without_a_header(header: str) -> None:
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
def test_the_usual_names_are_known(header: str) -> None:
    table = read_here(csv_of(days(3), header))
    assert len(table) == 3
    assert set(table.columns) == {"time", "open", "high", "low", "close", "volume"}


def test_columns_may_stand_in_any_order_among_others() -> None:
    table = read_here("Symbol,Volume,Close,Low,High,Open,Adj Close,Date\nBTC,5,3,1,4,2,9,2021-01-01\n")
    assert {name: column.tolist()[0] for name, column in table.columns.items() if name != "time"} == {
        "open": 2, "high": 4, "low": 1, "close": 3, "volume": 5,
    }  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_and_line_ends(delimiter: str, end: str) -> None:
    text = csv_of(days(4)).replace(",", delimiter).replace("\n", end)
    assert len(read_here(text)) == 4


def test_line_ends_may_be_mixed_and_lines_empty() -> None:
    lines = csv_of(days(4)).splitlines()
    assert len(read_here("\n\r\n" + lines[0] + "\r\n" + "\r".join(lines[1:4]) + "\n\n  \n" + lines[4])) == 4


def test_a_byte_order_mark_is_no_letter() -> None:
    assert len(read_here(b"\xef\xbb\xbf" + csv_of(days(2)).encode())) == 2


def test_gzip_is_known_by_its_content() -> None:
    text = csv_of(days(500))
    half = len(text) // 2
    assert len(read_here(gzipped(text))) == 500
    assert len(read_here(gzipped(text[:half]) + gzipped(text[half:]))) == 500


def test_cells_that_are_no_numbers_are_noted_with_line_and_column() -> None:
    rows = days(4)
    rows[1][4], rows[2][1] = "abc", ""
    table = read_here(csv_of(rows))
    assert table.findings.unreadable == ["line 4: Open is ''", "line 3: Close is 'abc'"]
    assert table.findings.unreadable_cells == 2


def test_a_decimal_comma_is_called_so() -> None:
    table = read_here("Date;Open;High;Low;Close;Volume\n2021-01-01;1,5;2,25;1;2;7\n2021-01-02;2;2,25;1,5;2;7\n")
    assert table.findings.unreadable[0] == "line 2: Open is '1,5', with a comma where a point is wanted"
    assert table.findings.unreadable_cells == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("\n\n  \n", "the file is empty"),
        ("Date,Open,High,Low,Close,Volume\n", "no rows of candles"),
        ("Date,Open,High,Low,Close\n2021-01-01,1,1,1,1\n", "names no column for volume"),
        ("a,b\n1,2\n", "names no column for the time"),
        ("Open,High,Low,Close,Volume\n1,1,1,1,1\n", "names no column for the time"),
        ("Date,Time,Open,High,Low,Close,Volume\n2021-01-01,12:00,1,1,1,1,1\n", "one for the time; write both as one"),
        ("Date,Open,open,High,Low,Close,Volume\n2021-01-01,1,1,1,1,1,1\n", "one column for open: 'Open', 'open'"),
        ("2021-01-01,1,1,1,1,1\n", "the first line is no header, and has 6 columns"),
        ("1609459200000,1,1,1,1,1\n", "the first line is no header, and has 6 columns"),
        (csv_of(days(3)) + "2021-01-04,1,2\n", "line 5 has 3 columns, but line 1 has 6"),
        ("\n" + csv_of(days(2)) + "2021-01-04,1,2\n", "line 5 has 3 columns, but line 2 has 6"),
        ("Date,Open,High,Low,Close,Volume\n2021-01-01,1,5,2,5,1,5,2,0,7\n", "decimal point, not a comma"),
        (csv_of(days(3)) + "tomorrow,1,1,1,1,1\n", "line 5: Date is 'tomorrow'"),
        (csv_of(days(1)) + '2021-01-02,"1\n2",1,1,1,1\n' + csv_of(days(1), None) + "x", "line 6 has 1 columns"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(text: str, words: str) -> None:
    with pytest.raises(BarFileRejected) as caught:
        read_here(text)
    assert words in caught.value.message


def test_blocks_join_without_a_seam() -> None:
    minutes = [[1609459200000 + 60_000 * row, 1, 2, 1, 2, row] for row in range(45_000)]
    table = read_here(csv_of(minutes), most_rows=45_000)
    assert table.columns["volume"].tolist() == list(range(45_000))
