"""Prices and volumes as files write them: with a point, or with a comma if the file proves that it means one.

`1,234` may be one and a bit or more than a thousand. A decimal comma is proved by a number that cannot be read with
commas between thousands (`78738,6`, `0,123`, `1.234,5`), in a file without any number that has a point alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.market_data.bar_files.table import Findings, shown

_NAMED: Final = 3
_COMMA: Final = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_COMMA_AFTER_POINTS: Final = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+,\d+", re.ASCII)
_COMMA_BETWEEN_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)


class DecimalMark:
    """What the numbers of a file, all columns together, show about its decimal mark."""

    def __init__(self) -> None:
        self.has_point = False
        self._is_comma_proved = False

    @property
    def is_comma(self) -> bool:
        return self._is_comma_proved and not self.has_point

    def see_point(self, cells: Sequence[str]) -> None:
        self.has_point = self.has_point or any("." in cell for cell in cells)

    def read_comma(self, cell: str) -> float | None:
        """Return what a cell means if the comma is the decimal mark; None if it cannot be."""
        if _COMMA_AFTER_POINTS.fullmatch(cell):
            self._is_comma_proved = True
            return float(cell.replace(".", "").replace(",", "."))
        if not _COMMA.fullmatch(cell):
            return None
        self._is_comma_proved = self._is_comma_proved or not _COMMA_BETWEEN_THOUSANDS.fullmatch(cell)
        return float(cell.replace(",", "."))


class NumberReader:
    """Reads one column of numbers, block by block; `finish` decides about those with a comma."""

    def __init__(self, column: str, *, findings: Findings, mark: DecimalMark) -> None:
        self.column = column
        self._findings = findings
        self._mark = mark
        self._rows = 0
        self._comma_rows: list[int] = []
        self._first_commas: list[str] = []

    def read_cells(self, cells: Sequence[str], lines: Sequence[int]) -> NDArray[np.float64]:
        """Return the numbers that texts [n] name; NaN for those that name none, of which the first few are noted."""
        start, self._rows = self._rows, self._rows + len(cells)
        try:
            numbers = np.array(cells, dtype=np.float64)
        except ValueError:
            numbers = np.empty(len(cells), dtype=np.float64)
        else:
            self._mark.see_point(cells)
            return numbers
        for row, cell in enumerate(cells):
            numbers[row] = self._read(cell.strip(), cell, start + row, lines[row])
        return numbers

    def _read(self, text: str, cell: str, row: int, line: int) -> float:
        try:
            number = float(text)
        except ValueError:
            with_comma = self._mark.read_comma(text)
        else:
            self._mark.see_point((text,))
            return number
        where = f"line {line}: {self.column} is {shown(cell)}"
        if with_comma is None:
            self._findings.note_unreadable(where)
            return np.nan
        self._comma_rows.append(row)
        if len(self._first_commas) < _NAMED:
            self._first_commas.append(f"{where}, with a comma where a point is wanted")
        return with_comma

    def finish(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the whole column [n]; NaN for numbers with a comma that may mean thousands."""
        if not self._comma_rows or self._mark.is_comma:
            return numbers
        numbers[self._comma_rows] = np.nan
        for where in self._first_commas:
            self._findings.note_unreadable(where)
        self._findings.unreadable_cells += len(self._comma_rows) - len(self._first_commas)
        return numbers
