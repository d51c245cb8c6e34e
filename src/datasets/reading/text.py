"""Read CSV files, plain or gzipped, line by line, within bounds for each line and for the file."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from src.datasets.reading.assembly import Assembly
from src.datasets.reading.dates import parse_date
from src.datasets.reading.header import KLINE_COLUMNS, Layout, TimeColumn, find_layout, kline_layout
from src.datasets.reading.lines import MAX_LINE_LENGTH, find_header, read_lines
from src.datasets.reading.table import BarFileRejected, BarTable, Bounds, Columns, Declared, Fault

_MAX_COLUMNS: Final = 200
_BLOCK_ROWS: Final = 20_000
_DELIMITERS: Final = ",;\t|"


def read_text(file: BinaryIO, *, declared: Declared, bounds: Bounds) -> BarTable:
    """Read a CSV file, gzipped or not, with the usual headings or as the exchange's twelve columns without any.

    Raises BarFileRejected, with the line and the column, if it cannot be read.
    """
    csv.field_size_limit(MAX_LINE_LENGTH)
    try:
        return _TextReader(read_lines(file, bounds), declared=declared, bounds=bounds).read()
    except csv.Error as error:
        raise BarFileRejected("The file is not CSV: {reason}.", reason=str(error)) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BarFileRejected("The gzip file is damaged or cut off.") from error


class _TextReader:
    def __init__(self, lines: Iterator[str], *, declared: Declared, bounds: Bounds) -> None:
        self._lines = lines
        self._declared = declared
        self._bounds = bounds
        self._rows_read = 0

    def read(self) -> BarTable:
        place, first = find_header(self._lines)
        delimiter = max(_DELIMITERS, key=first.count)
        names = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter, strict=True))]
        if len(names) > _MAX_COLUMNS:
            raise BarFileRejected(
                "Line {line} has {count} columns. Maximum: {most}.", line=place, count=len(names), most=_MAX_COLUMNS
            )
        has_header = not _looks_like_a_row(names)
        layout = find_layout(names, symbol=self._declared.symbol) if has_header else _without_header(names)
        assembly = Assembly(layout, self._declared, is_comma_separated=delimiter == ",")
        before = place if has_header else place - 1
        lines = self._lines if has_header else _with_first(first, self._lines)
        rows: list[list[str]] = []
        numbers: list[int] = []
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        for row in reader:
            if len(row) != len(names):
                if not "".join(row).strip():
                    continue
                may_be_decimals = delimiter == "," and len(row) > len(names)
                raise BarFileRejected(
                    "Line {line} has {count} columns, but line {other} has {expected}.{hint}",
                    line=before + reader.line_num, count=len(row), other=place, expected=len(names),
                    hint=" Write numbers with a decimal point, not a comma." if may_be_decimals else "",
                )  # fmt: skip
            rows.append(row)
            numbers.append(before + reader.line_num)
            if len(rows) == _BLOCK_ROWS:
                self._take(rows, numbers, layout, assembly)
                rows, numbers = [], []
        if rows:
            self._take(rows, numbers, layout, assembly)
        return assembly.table()

    def _take(self, rows: list[list[str]], lines: list[int], layout: Layout, assembly: Assembly) -> None:
        """Read a block of rows into arrays."""
        self._rows_read += len(rows)
        if self._rows_read > self._bounds.rows:
            raise BarFileRejected(
                "The file has too many rows. Maximum: {most:,}.", Fault.TOO_LARGE, most=self._bounds.rows
            )
        columns = list(zip(*rows, strict=True))
        if layout.symbol is not None:
            assembly.see_symbols(columns[layout.symbol])
        block: Columns = {
            role: reader.read_cells(_time_cells(columns, layout.times[role], lines), lines)
            for role, reader in assembly.times.items()
        }
        for role, number_reader in assembly.numbers.items():
            block[role] = number_reader.read_cells(columns[layout.numbers[role]], lines)
        again = zip(layout.again, assembly.again, strict=True)
        assembly.add(block, [reader.read_cells(_time_cells(columns, column, lines), lines) for column, reader in again])


def _time_cells(columns: Sequence[Sequence[str]], column: TimeColumn, lines: Sequence[int]) -> Sequence[str]:
    """Return the texts of a column of times; join dates with their times of day."""
    if column.clock is None:
        return columns[column.position]
    clocks = [clock.strip() for clock in columns[column.clock]]
    if not all(clocks):
        raise BarFileRejected("Line {line} has no time of day.", line=lines[clocks.index("")])
    return [f"{date.strip()} {clock}" for date, clock in zip(columns[column.position], clocks, strict=True)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _looks_like_a_row(cells: Sequence[str]) -> bool:
    """Return whether a first line is a row, not a header: it begins with a number or date, or numbers follow a text."""
    is_dated = _is_number(cells[0]) or parse_date(cells[0]) is not None
    return is_dated or (len(cells) > 1 and all(_is_number(cell) for cell in cells[1:]))


def _without_header(cells: Sequence[str]) -> Layout:
    if len(cells) != KLINE_COLUMNS:
        raise BarFileRejected(
            "The first line is no header, and has {count} columns. Allowed: the exchange's {expected} columns without "
            "a header, or a first line such as Date,Open,High,Low,Close,Volume.",
            count=len(cells),
            expected=KLINE_COLUMNS,
        )
    return kline_layout()


def _with_first(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines
