"""Decimal points, decimal commas and marks between thousands: proved, declared or refused, and never misread."""

from __future__ import annotations

import pytest

from src.datasets.reading.table import BarFileRejected
from tests.bar_files import read_here

NUMBERS = ("open", "high", "low", "close", "volume")


def file_of(*opens: str, volume: str = "7", delimiter: str = ";") -> str:
    rows = [[f"2021-01-{day:02d}", open_, "9999999", "1", "2", volume] for day, open_ in enumerate(opens, 1)]
    lines = [[f'"{cell}"' if delimiter in cell else cell for cell in row] for row in rows]
    return "\n".join(delimiter.join(row) for row in [["Date", "Open", "High", "Low", "Close", "Volume"], *lines])


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (("1,5", "2"), [1.5, 2.0]), (("78738,60", "1,234"), [78738.6, 1.234]), (("0,123", "10,125"), [0.123, 10.125]),
        (("1.234,5", "1,234"), [1234.5, 1.234]), (("1234,567",), [1234.567]), (("1,5E-05",), [1.5e-05]),
        (("1.234,5", "1.234"), [1234.5, 1234.0]), (("1.234.567", "1.000", "997"), [1234567.0, 1000.0, 997.0]),
        (("1.000", "-1.000", "1.234.567"), [1000.0, -1000.0, 1234567.0]),
        (("1.5", "1.234"), [1.5, 1.234]), (("1.234", "0.123"), [1.234, 0.123]),
        (("1.234", "1234.567"), [1.234, 1234.567]),
        (("1.234", "1.2345"), [1.234, 1.2345]), (("1.234", "2.345e1"), [1.234, 23.45]),
        (("1,234.5", "1,234", "1.234"), [1234.5, 1234.0, 1.234]),
        (("1,234,567", "999", "1.000"), [1234567.0, 999.0, 1.0]),
        (("1000", "2"), [1000.0, 2.0]),
    ],
)  # fmt: skip
def test_one_number_proves_decimal_mark_of_file(cells: tuple[str, ...], numbers: list[float], delimiter: str) -> None:
    for text in (file_of(*cells, delimiter=delimiter), file_of(*reversed(cells), delimiter=delimiter)):
        table = read_here(text)
        assert sorted(table.columns["open"].tolist()) == sorted(numbers)
        assert table.findings.unreadable_cells == 0
    assert read_here(file_of(*cells, delimiter=delimiter)).columns["open"].tolist() == numbers


def test_proof_in_one_column_applies_to_all() -> None:
    assert read_here(file_of("1.000", volume="1.234.567")).columns["open"].tolist() == [1000.0]
    assert read_here(file_of("1.000", volume="12.5")).columns["open"].tolist() == [1.0]
    assert read_here(file_of("78.738,60", volume="39.120")).columns["volume"].tolist() == [39120.0]


def test_proof_applies_to_earlier_blocks() -> None:
    rows = [f"{1609459200000 + 60_000 * row};1.{row % 1000:03d};9.999;1.000;2.000;950" for row in range(45_000)]
    text = "\n".join(["timestamp;Open;High;Low;Close;Volume", *rows])
    table = read_here(text + "\n1612159200000;1.234.567;1.234.567;2;3;4\n", max_rows=45_001)
    assert table.columns["open"].tolist() == [*(1000.0 + row % 1000 for row in range(45_000)), 1234567.0]
    table = read_here(text + "\n1612159200000;1.5;2.5;1;2;4\n", max_rows=45_001)
    assert table.columns["open"].tolist() == [*(float(f"1.{row % 1000:03d}") for row in range(45_000)), 1.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Date;Open;High;Low;Close;Volume\n14.04.2026;997;1.000;997;1.000;648\n", "line 2: High is '1.000', and no"),
        (file_of("14.000", "19.000"), "line 2: Open is '14.000', and no number"),
        (file_of("14.000", "19.000", delimiter="\t"), "line 2: Open is '14.000', and no number"),
        (file_of("14.000", "19.000", delimiter="|"), "line 2: Open is '14.000', and no number"),
        (file_of("950", volume="12.400"), "line 2: Volume is '12.400', and no number"),
        (file_of("1,234", "2,345"), "line 2: Open is '1,234', and no number"),
        (file_of("1,234", "2,345", delimiter=","), "line 2: Open is '1,234', and no number"),
        (file_of("78738,6", "1,5", volume="39.120"), "line 2: Volume is '39.120', but line 2: Open is '78738,6'"),
        (file_of("78738.6", "1.5", volume="39,120"), "line 2: Volume is '39,120', but line 2: Open is '78738.6'"),
        (file_of("1,5", "2.5"), "line 3: Open is '2.5', but line 2: Open is '1,5': one has a decimal point"),
        (file_of("1.234.567", "1,234,567"), "Open is '1,234,567', but line 2: Open is '1.234.567': one has"),
    ],
)  # fmt: skip
def test_ambiguous_file_is_rejected_without_declared_decimal(text: str, words: str) -> None:
    with pytest.raises(BarFileRejected) as caught:
        read_here(text)
    assert words in caught.value.message
    assert 'Give decimal, the decimal mark of the file: "." (1,234.5) or "," (1.234,5)' in caught.value.message
    assert caught.value.field == "decimal"


def test_point_is_decimal_if_commas_separate_columns() -> None:
    text = (
        "Date,Open,High,Low,Close,Volume\n2021-01-01,1.234,1.500,1.000,1.250,950\n2021-01-02,1.250,1.500,1.000,1.3,7\n"
    )
    for content in (text, text.replace("1.3,", "1.300,")):
        assert [read_here(content).columns[name][0] for name in NUMBERS] == [1.234, 1.5, 1.0, 1.25, 950.0]


@pytest.mark.parametrize(
    ("cells", "decimal", "numbers"),
    [
        (("997", "1.000"), ",", [997.0, 1000.0]), (("997", "1.000"), ".", [997.0, 1.0]),
        (("1,234", "2,345"), ".", [1234.0, 2345.0]), (("1,234", "2,345"), ",", [1.234, 2.345]),
        (("78.738,60", "39.120"), ",", [78738.6, 39120.0]), (("78,738.60", "39,120"), ".", [78738.6, 39120.0]),
        (("1.000", "2.000"), ",", [1000.0, 2000.0]),
    ],
)  # fmt: skip
def test_declared_mark_is_followed(cells: tuple[str, ...], decimal: str, numbers: list[float]) -> None:
    for delimiter in ";,":
        table = read_here(file_of(*cells, delimiter=delimiter), decimal=decimal)
        assert table.columns["open"].tolist() == numbers
        assert table.findings.unreadable_cells == 0


def test_numbers_against_declared_mark_are_nan() -> None:
    text = file_of("1,5", "2.5", "1,234.5", "1.234,5", "3")
    with_point = read_here(text, decimal=".")
    assert with_point.columns["open"][[1, 2, 4]].tolist() == [2.5, 1234.5, 3.0]
    assert with_point.findings.unreadable == ["line 2: Open is '1,5'", "line 5: Open is '1.234,5'"]
    with_comma = read_here(text, decimal=",")
    assert with_comma.columns["open"][[0, 3, 4]].tolist() == [1.5, 1234.5, 3.0]
    assert with_comma.findings.unreadable == ["line 3: Open is '2.5'", "line 4: Open is '1,234.5'"]


@pytest.mark.parametrize("cell", ["1.23.4", "1,23,456", "12.34,5", "1.2345,6", "1 234", "1'234", "0.123.456", "x"])
def test_unreadable_number_is_noted(cell: str) -> None:
    for declared in ({}, {"decimal": "."}, {"decimal": ","}):
        table = read_here(file_of("5", cell), **declared)
        assert table.columns["open"][0] == 5
        assert table.findings.unreadable_cells == 1
        assert table.findings.unreadable[0].startswith("line 3: Open is ")
