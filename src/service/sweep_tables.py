"""Read the rows of a sweep from the chunks of its job, sort them, and cut pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput
from src.domain.parameters import to_snake_case
from src.domain.sweep_outcomes import SweepRows
from src.domain.sweeps import ROW_METRICS, SweepRequest
from src.sweeps.parameters import Sweepable, ValueKind
from src.sweeps.ranking import rank_rows
from src.sweeps.row_bytes import from_bytes
from src.sweeps.space import build_space

Floats = NDArray[np.float64]

RANK = "rank"
"""The sort key that puts the best rows first and leaves out those that cannot be the best."""
ROW = "row"


def column_name(parameter: str) -> str:
    """Return the name of a swept parameter's column; a rule's named number may have the name of another column."""
    return f"parameter_{parameter}" if parameter in (RANK, ROW, *ROW_METRICS) else parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptColumn:
    """A swept parameter of a table: if it has `words`, a closed list, its values are places in them."""

    name: str
    is_whole: bool
    words: tuple[str, ...] = ()

    @staticmethod
    def of(item: Sweepable) -> SweptColumn:
        return SweptColumn(
            name=item.name,
            is_whole=item.kind is ValueKind.WHOLE,
            words=tuple(member.value for member in item.choices),
        )


def read_columns(request: SweepRequest) -> tuple[SweptColumn, ...]:
    """Return the swept parameters of a request, in its order."""
    return tuple(SweptColumn.of(column.item) for column in build_space(request).columns)


def find_name(given: str, names: Sequence[str], *, field: str) -> str:
    """Return the name in snake_case that a client gave in either spelling; raises InvalidInput on `field`."""
    own = given if given in names else to_snake_case(given)
    if own in names:
        return own
    raise InvalidInput(
        "{field} is {got!r}. Allowed: {allowed}.",
        field=field, got=given, allowed=tuple(names) or "none, with one swept parameter",
    )  # fmt: skip


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
    """Return the places of the rows in a table, sorted by `rank`, `row`, a metric or a swept parameter's column.

    Rows without the figure always come last, and equal rows in the order of their numbers. `rank` returns only rows
    that can be the best. Raises InvalidInput for any other name.
    """
    if by == RANK:
        ranked = rank_rows(table.figures, request)
        return ranked[::-1] if descending else ranked
    names = tuple(column_name(item.name) for item in request.parameters)
    by = find_name(by, (RANK, ROW, *names, *ROW_METRICS), field="sortBy")
    keys = table.numbers.astype(np.float64) if by == ROW else _column(table, names, by)
    places = np.argsort(-keys if descending else keys, kind="stable")
    is_known = ~np.isnan(keys[places])
    return np.concatenate((places[is_known], places[~is_known]))


def _column(table: SweepTable, names: Sequence[str], name: str) -> Floats:
    if name in names:
        column: Floats = table.values[:, names.index(name)]
        return column
    return table.figure(name)
