"""Read the rows of a sweep from the chunks of its job, sort them, and cut pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import bad_value
from src.domain.sweeps import ROW_METRICS, SweepRequest, SweepRows
from src.sweeps.ranking import rank_rows
from src.sweeps.row_bytes import from_bytes

Floats = NDArray[np.float64]

RANK = "rank"
"""What sorts rows by the objective, those that can be the best first."""
ROW = "row"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepTable:
    """The rows of a sweep that are computed: their numbers [k] in rising order, values [k, p] and figures [k, m]."""

    numbers: NDArray[np.int64]
    values: Floats
    figures: Floats

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, places: NDArray[np.int64]) -> SweepTable:
        """Return the rows at these places, in this order."""
        return SweepTable(numbers=self.numbers[places], values=self.values[places], figures=self.figures[places])

    def figure(self, metric: str) -> Floats:
        """Return a metric of all rows [k]; NaN where it does not exist."""
        column: Floats = self.figures[:, ROW_METRICS.index(metric)]
        return column


async def read_table(chunks: AsyncIterator[bytes], parameters: int) -> SweepTable:
    """Return the rows of stored chunks, which come in the order of their rows."""
    return build_table([from_bytes(content) async for content in chunks], parameters)


def build_table(parts: list[SweepRows], parameters: int) -> SweepTable:
    """Return the rows of some parts, which are in the order of their rows."""
    if not parts:
        return SweepTable(
            numbers=np.empty(0, np.int64), values=np.empty((0, parameters)), figures=np.empty((0, len(ROW_METRICS)))
        )
    return SweepTable(
        numbers=np.concatenate([np.arange(part.first, part.first + len(part), dtype=np.int64) for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        figures=np.concatenate([part.figures for part in parts]),
    )


def sort_rows(table: SweepTable, request: SweepRequest, *, by: str, descending: bool) -> NDArray[np.int64]:
    """Return the places of the rows in a table, sorted by `rank`, `row`, a metric or a swept parameter.

    Rows without the figure come last either way, and equal ones in the order of their numbers. By `rank` only those
    rows are returned that can be the best. Raises InvalidInput for any other name.
    """
    if by == RANK:
        ranked = rank_rows(table.figures, request)
        return ranked[::-1] if descending else ranked
    keys = table.numbers.astype(np.float64) if by == ROW else _column(table, request, by)
    places = np.argsort(-keys if descending else keys, kind="stable")
    is_known = ~np.isnan(keys[places])
    return np.concatenate((places[is_known], places[~is_known]))


def _column(table: SweepTable, request: SweepRequest, name: str) -> Floats:
    names = [item.name for item in request.parameters]
    if name in names:
        column: Floats = table.values[:, names.index(name)]
        return column
    if name not in ROW_METRICS:
        raise bad_value("sortBy", got=name, allowed=(RANK, ROW, *names, *ROW_METRICS))
    return table.figure(name)
