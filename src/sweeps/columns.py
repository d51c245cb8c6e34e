"""The values of one swept parameter: a finite list, or a range without a step from which values are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, bad_value
from src.domain.sweeps import MAX_VALUES, Scale, SearchKind, SweptParameter, ValueRange
from src.sweeps.draws import Words, to_fractions, to_places
from src.sweeps.parameters import Sweepable, ValueKind

Floats = NDArray[np.float64]

DIGITS: Final = 12
"""Significant digits of values, so that the third of 0.1, 0.2, … is 0.3 and not 0.30000000000000004."""

ROUNDING: Final = 1e-9
"""The fraction of a step by which rounding may make a range miss its end and still include it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """One swept parameter; exactly one of `values` [count] and `range` is there.

    A range has no step, so only draws can take values from it.
    """

    item: Sweepable
    values: Floats | None
    range: ValueRange | None

    @property
    def is_whole(self) -> bool:
        return self.item.kind is ValueKind.WHOLE

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        if self.range is not None:
            return self.range.start, self.range.end
        return float(self.listed.min()), float(self.listed.max())

    def draw(self, words: Words) -> Floats:
        """Return a value for each 64 random bits: uniform over the list or the range, or over its logarithm."""
        if self.range is None:
            values = self.listed
            chosen: Floats = values[to_places(words, np.uint64(values.size)).astype(np.int64)]
            return chosen
        low, high = self.range.start, self.range.end
        if self.is_whole and self.range.scale is Scale.LINEAR:
            whole: Floats = low + to_places(words, np.uint64(int(high - low) + 1))
            return whole
        if self.range.scale is Scale.LINEAR:
            drawn = low + to_fractions(words) * (high - low)
        else:
            # Each whole number has the share of the logarithms up to the next whole number.
            end = high + 1 if self.is_whole else high
            drawn = low * np.exp(to_fractions(words) * math.log(end / low))
        return np.clip(np.floor(drawn) if self.is_whole else round_values(drawn), low, high)

    @property
    def listed(self) -> Floats:
        """The finite list; ValueError if there is a range, which only draws can use."""
        if self.values is None:
            raise ValueError(f"{self.item.name} has no finite list of values")
        return self.values


def build_column(swept: SweptParameter, item: Sweepable, kind: SearchKind, *, place: int) -> Column:
    """Return the values of the parameter at `place` of the request; raises InvalidInput."""
    field = f"parameters.{place}"
    if swept.range is not None:
        return _build_range(swept.range, item, kind, field=f"{field}.range")
    given = swept.values or ()
    values = np.array([item.number(value, field=f"{field}.values") for value in given])
    if item.kind is ValueKind.NUMBER:
        values = round_values(values)
    if kind in (SearchKind.GRID, SearchKind.TPE) and (twice := _find_repeated(values)) is not None:
        raise InvalidInput(
            "{field} has {got!r} twice for {name}, to 12 significant digits.",
            field=f"{field}.values", got=item.plain(twice), name=item.name,
        )  # fmt: skip
    return Column(item=item, values=values, range=None)


def round_values(values: Floats) -> Floats:
    """Return the values with 12 significant digits."""
    size = np.abs(values)
    # A power of ten up to 10²² is exact, so that the quotient is the double nearest to the decimal number.
    exponents = DIGITS - 1 - np.floor(np.log10(size, out=np.zeros_like(size), where=size > 0))
    up, down = 10.0 ** np.clip(exponents, 0, 300), 10.0 ** np.clip(-exponents, 0, 300)
    rounded: Floats = np.rint(values * up / down) / up * down
    return rounded + 0.0  # −0 as 0


def _build_range(given: ValueRange, item: Sweepable, kind: SearchKind, *, field: str) -> Column:
    if item.kind is ValueKind.CHOICE:
        raise InvalidInput(
            "{field}: {name} is a closed list. Give {@values} of it: {allowed}.",
            field=field, name=item.name, allowed=item.allowed,
        )  # fmt: skip
    for name, value in (("from", given.start), ("to", given.end)):
        item.number(value, field=f"{field}.{name}")
    is_linear = given.scale is Scale.LINEAR
    if item.kind is ValueKind.WHOLE and is_linear and given.step is not None and given.step != math.floor(given.step):
        raise bad_value(f"{field}.step", got=given.step, allowed=f"a whole number, as {item.name} is one")
    if given.step is not None:
        return Column(item=item, values=_list_range(given, given.step, item, field=field), range=None)
    if kind in (SearchKind.RANDOM, SearchKind.TPE):
        return Column(item=item, values=None, range=given)
    if item.kind is ValueKind.WHOLE and is_linear:
        return Column(item=item, values=_list_range(given, 1.0, item, field=field), range=None)
    what = "distance" if is_linear else "ratio, over 1,"
    raise InvalidInput(
        "{field} is required for {name} with {kind}: the {what} of neighbors. Only RANDOM and TPE draw from a range "
        "without a step.",
        field=f"{field}.step", name=item.name, kind=kind.value, what=what,
    )  # fmt: skip


def _list_range(given: ValueRange, step: float, item: Sweepable, *, field: str) -> Floats:
    """Return the values of a range with a step; whole ones of a logarithmic range are rounded, without repetitions."""
    is_linear = given.scale is Scale.LINEAR
    steps = (given.end - given.start) / step if is_linear else math.log(given.end / given.start) / math.log(step)
    if not steps < MAX_VALUES:
        raise InvalidInput(
            "{field} has {count:.12g} values of {name}. Maximum: {most}.",
            field=field, count=math.floor(steps) + 1 if math.isfinite(steps) else steps, name=item.name,
            most=MAX_VALUES,
        )  # fmt: skip
    numbers = np.arange(math.floor(steps + ROUNDING) + 1, dtype=np.float64)
    values = given.start + numbers * step if is_linear else given.start * step**numbers
    rounded = np.rint(values) if item.kind is ValueKind.WHOLE else round_values(values)
    # Rounding may move the last value beyond the end, or make values of tiny steps equal.
    return np.unique(np.clip(rounded, given.start, given.end))


def _find_repeated(values: Floats | Sequence[float]) -> float | None:
    found, counts = np.unique(values, return_counts=True)
    return float(found[np.argmax(counts > 1)]) if (counts > 1).any() else None
