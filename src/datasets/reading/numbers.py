"""Read prices and volumes, and find out whether point or comma is a file's decimal mark.

`1.234` and `1,234` may be near 1 or above 1,000. The numbers of all columns together decide:

1. A number that is valid with just one decimal mark proves that mark: `12.5`, `0.123`, `1234.567` and `1,234.5` prove a
   point; `12,5`, `1.234,5` and `1.234.567` a comma. Marks between thousands are read if such a number has them too.
2. If nothing proves the mark and commas separate the columns, it is a point: such files do not write points between
   thousands.
3. Otherwise, and if two numbers contradict each other, the mark must be declared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.datasets.reading.table import BarFileRejected, Findings
from src.domain.datasets import DecimalMark
from src.domain.error_text import Template, quote

_GROUPED: Final = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", re.ASCII)
_DOUBTFUL: Final = re.compile(r"\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*", re.ASCII)
_SWAPPED: Final = str.maketrans(".,", ",.")
_OTHER: Final = {DecimalMark.POINT: DecimalMark.COMMA, DecimalMark.COMMA: DecimalMark.POINT}


class MarkEvidence:
    """Evidence for the decimal mark, from the numbers of all columns of a file.

    Parameters
    ----------
    declared
        The mark that the client declared; it needs no evidence.
    is_comma_separated
        Whether commas separate the columns of the file.
    """

    def __init__(self, declared: DecimalMark | None, *, is_comma_separated: bool) -> None:
        self.declared = declared
        self._is_comma_separated = is_comma_separated
        self._proofs: dict[DecimalMark, str] = {}
        self._doubts: dict[DecimalMark, str] = {}
        self._grouped: set[DecimalMark] = set()

    @property
    def needs_no_points(self) -> bool:
        """Whether further numbers with a point alone give no new evidence."""
        return self.declared is not None or DecimalMark.POINT in self._proofs

    def prove(self, mark: DecimalMark, where: str, *, is_grouped: bool) -> None:
        """Record a number that is valid with just one mark."""
        self._proofs.setdefault(mark, where)
        if is_grouped:
            self._grouped.add(mark)

    def doubt(self, written: DecimalMark, where: str) -> None:
        """Record a number whose only mark may be the decimal mark or separate thousands."""
        self._doubts.setdefault(written, where)

    def chosen(self) -> DecimalMark:
        """Return the decimal mark of the file; raises BarFileRejected if it must be declared."""
        if self.declared is not None:
            return self.declared
        if len(self._proofs) > 1:
            point, comma = self._proofs[DecimalMark.POINT], self._proofs[DecimalMark.COMMA]
            raise _undecided(
                "{point}, but {comma}: one has a decimal point, and the other a decimal comma", point=point, comma=comma
            )
        if not self._proofs:
            where = self._doubts.get(DecimalMark.COMMA)
            if where is None and not self._is_comma_separated:
                where = self._doubts.get(DecimalMark.POINT)
            if where is not None:
                raise _undecided(
                    "{where}, and no number of the file shows whether that means thousands or decimals", where=where
                )
            return DecimalMark.POINT
        (mark,) = self._proofs
        where = self._doubts.get(_OTHER[mark])
        if where is not None and mark not in self._grouped:
            raise _undecided(
                "{where}, but {proof}: thousands or decimals may be meant", where=where, proof=self._proofs[mark]
            )
        return mark


def _undecided(template: str, **parts: str) -> BarFileRejected:
    return BarFileRejected(
        'Numbers are ambiguous: {reason}. Give {field}, the decimal mark of the file: "." (1,234.5) or "," (1.234,5).',
        field="decimal",
        reason=Template(template, parts),
    )


class NumberReader:
    """Reads one column of numbers, block by block; `finish` applies the decimal mark of the whole file."""

    def __init__(self, column: str, *, findings: Findings, evidence: MarkEvidence) -> None:
        self.column = column
        self._findings = findings
        self._evidence = evidence
        self._rows = 0
        self._with_comma: list[tuple[int, NDArray[np.float64]]] = []

    def read_cells(self, cells: Sequence[str], lines: Sequence[int]) -> NDArray[np.float64]:
        """Parse texts [n] to numbers; return NaN for texts that are not numbers, and record the first few of them."""
        start, self._rows = self._rows, self._rows + len(cells)
        if self._evidence.declared is DecimalMark.COMMA:
            texts: Sequence[str] = [cell.translate(_SWAPPED) for cell in cells]
        else:
            texts = cells
        try:
            numbers = np.array(texts, dtype=np.float64)
        except ValueError:
            pass
        else:
            if not self._evidence.needs_no_points and self._is_doubtful(cells, lines):
                # All points may separate thousands.
                grouped = np.array([cell.replace(".", "") for cell in cells], dtype=np.float64)
                self._with_comma.append((start, grouped))
            return numbers
        if self._evidence.declared is not None:
            return self._read_declared(texts, cells, lines)
        with_point, with_comma = np.full((2, len(cells)), np.nan)
        for row, cell in enumerate(cells):
            with_point[row], with_comma[row] = self._read_both(cell.strip(), cell, lines[row])
        self._with_comma.append((start, with_comma))
        return with_point

    def _is_doubtful(self, cells: Sequence[str], lines: Sequence[int]) -> bool:
        """Return whether texts [n], all valid with a decimal point, have points that may all separate thousands."""
        first: int | None = None
        for row, cell in enumerate(cells):
            if "." in cell:
                if not _DOUBTFUL.fullmatch(cell):
                    self._evidence.prove(DecimalMark.POINT, self._where(cell, lines[row]), is_grouped=False)
                    return False
                first = row if first is None else first
        if first is None:
            return False
        self._evidence.doubt(DecimalMark.POINT, self._where(cells[first], lines[first]))
        return True

    def _read_declared(self, texts: Sequence[str], cells: Sequence[str], lines: Sequence[int]) -> NDArray[np.float64]:
        numbers = np.full(len(cells), np.nan)
        for row, text in enumerate(texts):
            number, _ = _read(text.strip())
            if number is None:
                self._findings.note_unreadable(self._where(cells[row], lines[row]))
            else:
                numbers[row] = number
        return numbers

    def _read_both(self, text: str, cell: str, line: int) -> tuple[float, float]:
        """Return the number read with a decimal point, and with a decimal comma; NaN if it cannot be read so."""
        with_point, has_commas = _read(text)
        with_comma, has_points = _read(text.translate(_SWAPPED))
        where = self._where(cell, line)
        if with_point is None and with_comma is None:
            self._findings.note_unreadable(where)
        elif with_comma is None:
            self._evidence.prove(DecimalMark.POINT, where, is_grouped=has_commas)
        elif with_point is None:
            self._evidence.prove(DecimalMark.COMMA, where, is_grouped=has_points)
        elif has_commas or has_points:
            self._evidence.doubt(DecimalMark.POINT if has_points else DecimalMark.COMMA, where)
        return np.nan if with_point is None else with_point, np.nan if with_comma is None else with_comma

    def _where(self, cell: str, line: int) -> str:
        return f"line {line}: {self.column} is {quote(cell)}"

    def finish(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the whole column [n]; raises BarFileRejected if the decimal mark must be declared."""
        if self._evidence.chosen() is DecimalMark.COMMA:
            for start, block in self._with_comma:
                numbers[start : start + len(block)] = block
        return numbers


def _read(text: str) -> tuple[float | None, bool]:
    """Parse a number with a decimal point; return it, and whether it has commas between thousands."""
    try:
        return float(text), False
    except ValueError:
        is_grouped = _GROUPED.fullmatch(text) is not None
        return (float(text.replace(",", "")) if is_grouped else None), is_grouped
