"""Read a file's columns block by block, and assemble the table once the whole file was read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.datasets.reading.dates import DateOrder
from src.datasets.reading.header import Layout
from src.datasets.reading.numbers import MarkEvidence, NumberReader
from src.datasets.reading.table import BarFileRejected, BarTable, Columns, Declared, Findings
from src.datasets.reading.times import TimeReader
from src.domain.error_text import Template, quote, quote_all
from src.domain.instants import iso_time
from src.domain.intervals import DAY_MS

_SECOND_MS: Final = 1000
_QUARTER_HOUR_MS: Final = 900_000
_MAX_OFFSET_MS: Final = 14 * 3_600_000


class Assembly:
    """Collects the blocks of one file; `times` and `numbers` read the columns, `again` reads further time columns."""

    def __init__(self, layout: Layout, declared: Declared, *, is_comma_separated: bool = False) -> None:
        self.findings = Findings()
        order = DateOrder(declared.date_format)
        evidence = MarkEvidence(declared.decimal, is_comma_separated=is_comma_separated)
        self.times = {
            role: TimeReader(column.name, declared=declared, findings=self.findings, order=order)
            for role, column in layout.times.items()
        }
        # These get findings of their own, because columns that are only compared must not cause warnings.
        self.again = [
            TimeReader(column.name, declared=declared, findings=Findings(), order=order) for column in layout.again
        ]
        self.numbers = {
            role: NumberReader(layout.names[place], findings=self.findings, evidence=evidence)
            for role, place in layout.numbers.items()
        }
        self._blocks: list[Columns] = []
        self._repeated: list[list[NDArray[np.int64]]] = [[] for _ in self.again]
        self._declared_symbol = declared.symbol
        self._symbols: set[str] = set()

    def add(self, block: Columns, repeated: Iterable[NDArray[np.int64]]) -> None:
        """Add a block of rows: its columns by role, and the repeated times in the order of `again`."""
        self._blocks.append(block)
        for blocks, times in zip(self._repeated, repeated, strict=True):
            blocks.append(times)

    def see_symbols(self, cells: Iterable[str]) -> None:
        """Record the symbol that the rows name; raises BarFileRejected if they name several."""
        self._symbols |= {cell.strip() for cell in set(cells)}
        if len(self._symbols) > 1:
            raise BarFileRejected(
                "The file has rows of several symbols: {symbols}.", symbols=quote_all(sorted(self._symbols))
            )
        for symbol in self._symbols:
            is_other = _letters_of(symbol) not in ("", _letters_of(self._declared_symbol))
            self.findings.other_symbol = quote(symbol) if is_other else None

    def table(self) -> BarTable:
        """Return all rows.

        Raises BarFileRejected if there are none, if the order of their dates or their decimal mark is not known, or if
        two columns of times disagree.
        """
        if not self._blocks:
            raise BarFileRejected("The file has no rows of bars.")
        joined = {role: np.concatenate([block[role] for block in self._blocks]) for role in self._blocks[0]}
        self._blocks.clear()
        times = {role: reader.finish(joined[role]) for role, reader in self.times.items()}
        for reader, blocks in zip(self.again, self._repeated, strict=True):
            _check_agreement(times["time"], self.times["time"], reader.finish(np.concatenate(blocks)), reader)
        numbers = {role: reader.finish(joined[role]) for role, reader in self.numbers.items()}
        return BarTable(columns={**times, **numbers}, findings=self.findings)


def _letters_of(symbol: str) -> str:
    """Return a symbol without differences of spelling: BTC/USDT, btc_usdt and BTCUSDT are equal."""
    return re.sub(r"[\s/_.:-]", "", unicodedata.normalize("NFC", symbol)).upper()


def _check_agreement(times: NDArray[np.int64], reader: TimeReader, again: NDArray[np.int64], other: TimeReader) -> None:
    """Raise BarFileRejected if two columns of times differ by a second or more, or by a day if one has dates only."""
    tolerance_ms = _SECOND_MS if other.has_clock else DAY_MS
    wrong = np.flatnonzero((times // _SECOND_MS * _SECOND_MS - again // _SECOND_MS * _SECOND_MS) // tolerance_ms != 0)
    if not len(wrong):
        return
    row = int(wrong[0])
    apart = np.unique(times - again)
    is_offset = len(apart) <= 2 and (apart % _QUARTER_HOUR_MS == 0).all() and np.abs(apart).max() <= _MAX_OFFSET_MS
    raise BarFileRejected(
        "Row {row}: {column} is {got!r} and {other} is {again!r}, read as UTC unless {@timezone} is declared. {hint}.",
        field="timezone" if is_offset else "file",
        row=row + 1,
        column=reader.column,
        got=iso_time(int(times[row])),
        other=other.column,
        again=iso_time(int(again[row])),
        hint=Template(
            "Give {@timezone}, or remove one of both columns" if is_offset else "Remove the wrong column", {}
        ),
    )
