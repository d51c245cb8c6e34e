"""Build the combinations of a sweep: a grid, values side by side, or seeded draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.errors import InvalidInput
from src.domain.signals import ParameterValue
from src.domain.sweeps import MAX_VALUES, SearchKind, SweepRequest
from src.sweeps.draws import draw_words
from src.sweeps.exclusions import Exclusions
from src.sweeps.parameters import Sweepable, apply_values, sweepable
from src.sweeps.space import SearchSpace, build_space

__all__ = ["Combinations", "Sweepable", "apply_values", "build_combinations", "count_combinations", "sweepable"]

Floats = NDArray[np.float64]

MAX_ATTEMPTS: Final = 1_000
"""How often a row is drawn again if its values are excluded. If 1 of 100 draws is allowed, 1 of 23,000 rows fails."""

MAX_DRAWS: Final = 50_000_000
"""The most draws for all rows of a sweep: about 5 s. They suffice for a million rows if 1 of 40 draws is allowed."""

MAX_VAIN_DRAWS: Final = 100_000
"""Draws without an allowed one after which a search gives up: fewer than 1 of 33,000 is allowed (95 % confidence)."""

ROWS_AT_ONCE: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combinations:
    """The rows of a sweep: `values` [k, p] of the parameters of `space`; a member of a closed list is its index there.

    `excluded` counts the combinations that a constraint, the strategy or the trading rules exclude. `warnings` give the
    reason if the client listed the combinations one by one.
    """

    space: SearchSpace
    values: Floats
    excluded: int
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", freeze(self.values, np.float64))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def names(self) -> tuple[str, ...]:
        """The public names of the parameters, in snake_case and the order of the request."""
        return self.space.names

    def plain(self, row: int) -> dict[str, ParameterValue]:
        """Return the values of a row as clients write them, by name."""
        return self.space.plain_of(self.values[row])

    def plain_of(self, values: Floats) -> dict[str, ParameterValue]:
        """Return other values [p] of these parameters as clients write them, by name."""
        return self.space.plain_of(values)


def build_combinations(request: SweepRequest, *, max_combinations: int) -> Combinations:
    """Return the combinations of a sweep by GRID, LIST or RANDOM, without those that are excluded.

    Raises InvalidInput if the request is wrong, asks for more than `max_combinations`, or leaves none; ValueError if
    the search is TPE, which draws batch by batch.
    """
    if request.search.kind is SearchKind.TPE:
        raise ValueError("TPE draws batch by batch, after it saw the rows before: see sweeps.tpe")
    space = build_space(request)
    count = _check_count(request, space, max_combinations)
    exclusions = Exclusions(space)
    warnings: tuple[str, ...] = ()
    if request.search.kind is SearchKind.RANDOM:
        values = draw_rows(space, exclusions, request.search.seed, np.arange(count))
    else:
        values = _build_grid(space, count) if request.search.kind is SearchKind.GRID else _build_list(space)
        allowed = exclusions.allow(values)
        if not allowed.all():
            if request.search.kind is SearchKind.LIST:
                warnings = _warn_of_excluded(space, values, allowed)
            values = values[allowed]
    if not len(values):
        raise exclusions.nothing_left(count)
    return Combinations(space=space, values=values, excluded=count - len(values), warnings=warnings)


def warn_of_excluded(request: SweepRequest) -> tuple[str, ...]:
    """Return how many of the combinations that a client listed are left out, and why; empty for other searches."""
    if request.search.kind is not SearchKind.LIST:
        return ()
    return build_combinations(request, max_combinations=MAX_VALUES).warnings


def _warn_of_excluded(space: SearchSpace, values: Floats, allowed: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return how many listed combinations are left out, and why the first of them is."""
    first = int(np.argmin(allowed))
    alone = Exclusions(space)
    alone.allow(values[first : first + 1])
    listed = ", ".join(f"{name} {value}" for name, value in space.plain_of(values[first]).items())
    return (
        f"{np.count_nonzero(~allowed)} of {len(values)} listed combinations are left out, and rows are numbered "
        f"without them. The first of them is number {first} ({listed}): {alone.reason}",
    )


def count_combinations(request: SweepRequest, *, max_combinations: int) -> int:
    """Return how many combinations a sweep has before any is excluded; none of them is built.

    Raises InvalidInput as `build_combinations`.
    """
    return _check_count(request, build_space(request), max_combinations)


def draw_rows(space: SearchSpace, exclusions: Exclusions, seed: int, rows: NDArray[np.int64]) -> Floats:
    """Return the draws [k, p] of these rows; each depends only on the seed and its row number.

    An excluded draw is drawn again; a row that is excluded `MAX_ATTEMPTS` times is left out. No row is returned if the
    first `MAX_VAIN_DRAWS` draws are all excluded. Raises InvalidInput if more than `MAX_DRAWS` are needed.
    """
    draws = _Draws(space, exclusions, seed, rows.size)
    parts = [draws.draw(rows[first : first + ROWS_AT_ONCE]) for first in range(0, rows.size, ROWS_AT_ONCE)]
    return np.concatenate(parts)


class _Draws:
    """Draws rows block by block, and counts the draws: without a bound, a space that allows nothing would take a
    thousand draws a row.
    """

    def __init__(self, space: SearchSpace, exclusions: Exclusions, seed: int, count: int) -> None:
        self._space: Final = space
        self._exclusions: Final = exclusions
        self._seed: Final = np.uint64(seed)
        self._count: Final = count
        self._drawn = 0
        self._found = 0

    def draw(self, rows: NDArray[np.int64]) -> Floats:
        """Return the draws [k, p] of some rows, k at most their number."""
        values = np.empty((rows.size, len(self._space.columns)))
        pending = np.arange(rows.size)
        for attempt in range(MAX_ATTEMPTS):
            if not pending.size or self._is_vain:
                break
            self._check_effort(pending.size)
            words = np.empty((pending.size, len(self._space.columns)), np.uint64)
            draw_words(self._seed, rows[pending], np.uint64(attempt), words)
            drawn = np.column_stack([column.draw(words[:, place]) for place, column in enumerate(self._space.columns)])
            allowed = self._exclusions.allow(drawn)
            self._drawn += pending.size
            self._found += int(np.count_nonzero(allowed))
            values[pending] = drawn
            pending = pending[~allowed]
        return np.delete(values, pending, axis=0) if pending.size else values

    @property
    def _is_vain(self) -> bool:
        return not self._found and self._drawn >= MAX_VAIN_DRAWS

    def _check_effort(self, more: int) -> None:
        """Raise InvalidInput if this many more draws would exceed `MAX_DRAWS`."""
        if self._drawn + more > MAX_DRAWS:
            raise InvalidInput(
                "{field}: {drawn:,} draws gave {found:,} of {count:,} combinations; the others are excluded. Sweep "
                "ranges of which more is allowed, or ask for fewer combinations ({@search.maxTrials}).",
                field="parameters", drawn=self._drawn, found=self._found, count=self._count,
            )  # fmt: skip


def _check_count(request: SweepRequest, space: SearchSpace, max_combinations: int) -> int:
    """Return the number of combinations; raises InvalidInput if it is over a maximum, or lists differ in length."""
    search, sizes = request.search, [0 if column.values is None else column.values.size for column in space.columns]
    if search.draws is not None:
        count, field = search.draws, "search.maxTrials"
    elif search.kind is SearchKind.GRID:
        count, field = math.prod(sizes), "parameters"
    else:
        count, field = sizes[0], "parameters"
        if len(set(sizes)) > 1:
            lengths = tuple(f"{name} {size}" for name, size in zip(space.names, sizes, strict=True))
            raise InvalidInput(
                "{field} differ in their number of values, and LIST takes them side by side: {lengths}.",
                field=field, lengths=lengths,
            )  # fmt: skip
    if search.draws is None and search.max_trials is not None and count > search.max_trials:
        raise InvalidInput(
            "{field} give {count:,} combinations. Maximum: {most:,} ({@search.maxTrials}).",
            field=field, count=count, most=search.max_trials,
        )  # fmt: skip
    if count > max_combinations:
        raise InvalidInput(
            "{field}: {count:,} combinations are too many. Maximum: {most:,}.",
            field=field, count=count, most=max_combinations,
        )  # fmt: skip
    return count


def _build_grid(space: SearchSpace, count: int) -> Floats:
    """Return all combinations; the last parameter changes fastest."""
    shape = tuple(column.listed.size for column in space.columns)
    values = np.empty((count, len(shape)))
    for place, column in enumerate(space.columns):
        across = [1] * len(shape)
        across[place] = -1
        values[:, place].reshape(shape)[...] = column.listed.reshape(across)
    return values


def _build_list(space: SearchSpace) -> Floats:
    return np.column_stack([column.listed for column in space.columns])
