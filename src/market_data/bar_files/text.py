"""CSV, plain or gzipped: unpacked and read line by line, so that no line and no file grows beyond its bounds."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.datasets import TimeUnit
from src.market_data.bar_files.header import KLINE_COLUMNS, KLINE_POSITIONS, find_columns
from src.market_data.bar_files.table import (
    NUMBER_ROLES,
    TIME_ROLES,
    BarFileRejected,
    BarTable,
    Bounds,
    Fault,
    Findings,
    shown,
)
from src.market_data.bar_files.times import TimeReader

GZIP_MAGIC: Final = b"\x1f\x8b"
_LONGEST_LINE: Final = 4096
_LINES_A_ROW: Final = 2
"""Files whose line ends were doubled on their way have a blank line after each; more of them are no candles."""
_SPARE_LINES: Final = 1000
_MOST_COLUMNS: Final = 200
_BLOCK_ROWS: Final = 20_000
_DELIMITERS: Final = ",;\t|"
_NAMED: Final = 3
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d*,\d+")
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")

Columns = dict[str, NDArray[np.int64] | NDArray[np.float64]]


def read_text(file: BinaryIO, *, unit: TimeUnit | None, zone: tzinfo | None, bounds: Bounds) -> BarTable:
    """Read a CSV file, gzipped or not, with the usual headings or as the exchange's twelve columns without any.

    Raises
    ------
    BarFileRejected
        Naming the line, and the column where there is one.
    """
    csv.field_size_limit(_LONGEST_LINE)
    try:
        return _TextReader(_lines(file, bounds), unit=unit, zone=zone, bounds=bounds).read()
    except csv.Error as error:
        raise BarFileRejected(f"the file is no CSV: {error}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BarFileRejected("the gzip file is damaged, or ends before its end") from error


def _lines(file: BinaryIO, bounds: Bounds) -> Iterator[str]:
    """Yield the lines of a text whose lines may end in any way; BarFileRejected for what is none."""
    start = file.read(2)
    file.seek(0)
    content: BinaryIO = file
    if start == GZIP_MAGIC:
        content = io.BufferedReader(gzip.GzipFile(fileobj=file), 256 * 1024)
        start = content.peek(2)[:2]
    if start in _WIDE_MARKS:
        raise BarFileRejected("the file is UTF-16 text; save it as UTF-8")
    # What is not UTF-8 becomes lone surrogates here, so that the line can be named below.
    text = io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline=None)
    most_lines = _SPARE_LINES + _LINES_A_ROW * bounds.rows
    number, read = 0, 0
    while line := text.readline(_LONGEST_LINE + 1):
        number += 1
        read += len(line)
        if "\0" in line:
            raise BarFileRejected(f"line {number} has a NUL byte: this is no text file")
        if len(line) > _LONGEST_LINE:
            raise BarFileRejected(f"line {number} is longer than {_LONGEST_LINE} characters")
        if read > bounds.bytes:
            raise BarFileRejected(f"the file unpacks to more than the {bounds.bytes:,} bytes allowed", Fault.TOO_LARGE)
        if number > most_lines:
            raise BarFileRejected(f"the file has more than the {most_lines:,} lines allowed", Fault.TOO_LARGE)
        if not line.isascii() and any("\ud800" <= char <= "\udfff" for char in line):
            raise BarFileRejected(f"line {number} is not UTF-8 text")
        yield line


class _TextReader:
    def __init__(self, lines: Iterator[str], *, unit: TimeUnit | None, zone: tzinfo | None, bounds: Bounds) -> None:
        self._lines = lines
        self._unit = unit
        self._zone = zone
        self._bounds = bounds
        self._findings = Findings()
        self._blocks: list[Columns] = []
        self._rows_read = 0

    def read(self) -> BarTable:
        place, first = next(((place, line) for place, line in enumerate(self._lines, 1) if line.strip()), (0, ""))
        if not first:
            raise BarFileRejected("the file is empty")
        delimiter = max(_DELIMITERS, key=first.count)
        names = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter, strict=True))]
        if len(names) > _MOST_COLUMNS:
            raise BarFileRejected(f"line {place} has {len(names)} columns; allowed: at most {_MOST_COLUMNS}")
        has_header = not _is_number(names[0]) and not _looks_like_a_row(names)
        positions = find_columns(names) if has_header else _without_header(names)
        titles = {role: names[index] if has_header else role for role, index in positions.items()}
        times = {
            role: TimeReader(titles[role], unit=self._unit, zone=self._zone, findings=self._findings)
            for role in TIME_ROLES
            if role in positions
        }
        before = place if has_header else place - 1
        lines = self._lines if has_header else _with_first(first, self._lines)
        rows: list[list[str]] = []
        numbers: list[int] = []
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        for row in reader:
            if len(row) != len(names):
                if not "".join(row).strip():
                    continue
                counted = f"line {before + reader.line_num} has {len(row)} columns, but line {place} has {len(names)}"
                may_be_decimals = delimiter == "," and len(row) > len(names)
                raise BarFileRejected(
                    counted + ("; numbers need a decimal point, not a comma" if may_be_decimals else "")
                )
            rows.append(row)
            numbers.append(before + reader.line_num)
            if len(rows) == _BLOCK_ROWS:
                self._take(rows, numbers, positions, titles, times)
                rows, numbers = [], []
        if rows:
            self._take(rows, numbers, positions, titles, times)
        return BarTable.joined(self._blocks, self._findings)

    def _take(
        self,
        rows: list[list[str]],
        lines: list[int],
        positions: dict[str, int],
        titles: dict[str, str],
        times: dict[str, TimeReader],
    ) -> None:
        """Turn a block of rows into arrays."""
        self._rows_read += len(rows)
        if self._rows_read > self._bounds.rows:
            raise BarFileRejected(f"the file has more than the {self._bounds.rows:,} rows allowed", Fault.TOO_LARGE)
        columns = list(zip(*rows, strict=True))
        block: Columns = {role: reader.read_cells(columns[positions[role]], lines) for role, reader in times.items()}
        for role in NUMBER_ROLES:
            block[role] = read_number_cells(columns[positions[role]], lines, titles[role], self._findings)
        self._blocks.append(block)


def read_number_cells(
    cells: Sequence[str], lines: Sequence[int], column: str, findings: Findings
) -> NDArray[np.float64]:
    """Return the numbers that texts [n] name; NaN for those that name none, of which the first few are noted."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        pass
    numbers = np.empty(len(cells), dtype=np.float64)
    for row, cell in enumerate(cells):
        try:
            numbers[row] = float(cell)
        except ValueError:
            numbers[row] = np.nan
            findings.unreadable_cells += 1
            if len(findings.unreadable) < _NAMED:
                findings.unreadable.append(f"line {lines[row]}: {column} is {shown(cell)}{_advice(cell)}")
    return numbers


def _advice(cell: str) -> str:
    return ", with a comma where a point is wanted" if _DECIMAL_COMMA.fullmatch(cell.strip()) else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _looks_like_a_row(cells: Sequence[str]) -> bool:
    """Whether a first line whose time is text has nothing but numbers after it, and so is no header."""
    return len(cells) > 1 and all(_is_number(cell) for cell in cells[1:])


def _without_header(cells: Sequence[str]) -> dict[str, int]:
    if len(cells) != KLINE_COLUMNS:
        raise BarFileRejected(
            f"the first line is no header, and has {len(cells)} columns; without a header the exchange's "
            f"{KLINE_COLUMNS} are wanted, otherwise a first line such as Date,Open,High,Low,Close,Volume"
        )
    return dict(KLINE_POSITIONS)


def _with_first(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines
