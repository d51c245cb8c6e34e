"""Describe an indicator and compute it; `registry.py` has all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.bars import Bars
from src.domain.errors import InvalidInput, bad_pair, bad_value
from src.domain.parameters import Parameter

Series = NDArray[np.float64]

BAR_COLUMNS: Final = ("open", "high", "low", "close", "volume", "time")
"""What an indicator may read; "time" is the bar's open time in milliseconds UTC, exact as float64."""

MAX_MAGNITUDE: Final = 1e100
"""Larger numbers count as missing, so that products of two columns and squares do not overflow."""

NEGLIGIBLE: Final = 1e-12
"""The weight below which the first values are ignored: 1/100 of the promised 1e-10, because they may be many times
larger than later values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A number that an indicator takes."""

    parameter: Parameter
    default: float
    is_whole: bool

    def check(self, value: float) -> None:
        """Raise InvalidInput if the value is not a number, is out of bounds, or is not whole where it must be."""
        bounds = self.parameter.bounds
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        is_allowed = is_number and (bounds is None or value in bounds)
        if is_allowed and not (self.is_whole and value != math.floor(value)):
            return
        unit = f" ({self.parameter.unit})" if self.parameter.unit else ""
        kind = "a whole number, " if self.is_whole else ""
        raise bad_value(self.parameter.field, got=value, allowed=f"{kind}{bounds}{unit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """A named function of bar columns, whose value at bar t depends on bars ≤ t only.

    Parameters
    ----------
    name
        The name in rules. Stored rules hold it: it is never renamed.
    unit
        "price" (the unit of the series that it reads), "percent", "0…100", "standard deviations", …
    formula
        Plain text; x is the series, n the length, x[1] the value one bar before.
    source
        Author and title that the formula is from.
    columns
        The columns that it reads, of `BAR_COLUMNS`, in the order of `compute`.
    takes_series
        Whether any other series may stand in the place of its only column, as in `sma(volume, 20)`.
    function
        Takes the columns as float64 [n] (NaN if missing, contiguous) and all arguments; returns a new array [n].
    count_lookback, count_memory
        Take all arguments; see `lookback` and `memory`.
    ascending
        Names of two arguments of which the first must be less than the second.
    memory_ms
        Further time that must be known before the first bar, whatever the interval: a day for `vwap`.
    """

    name: str
    meaning: str
    unit: str
    formula: str
    source: str
    columns: tuple[str, ...]
    takes_series: bool
    arguments: tuple[Argument, ...]
    function: Callable[..., Series]
    count_lookback: Callable[..., int]
    count_memory: Callable[..., int | None]
    ascending: tuple[str, str] | None = None
    memory_ms: int = 0

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The least and the greatest value, for a unit such as "0…100"; None if there are none."""
        least, dots, greatest = self.unit.partition("…")
        return (float(least), float(greatest)) if dots else None

    def check(self, values: Sequence[float]) -> None:
        """Raise InvalidInput as `complete`."""
        self.complete(values)

    def complete(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return all arguments, whole ones as ints, missing ones with their defaults.

        Raises InvalidInput if there are too many values, or one is not allowed.
        """
        if len(values) > len(self.arguments):
            text = "{name} takes at most {most} numbers, {got} are given."
            raise InvalidInput(text, name=self.name, most=len(self.arguments), got=len(values))
        given = (*values, *(argument.default for argument in self.arguments[len(values) :]))
        for argument, value in zip(self.arguments, given, strict=True):
            argument.check(value)
        complete = tuple(
            int(value) if argument.is_whole else float(value)
            for argument, value in zip(self.arguments, given, strict=True)
        )
        if self.ascending is not None:
            by_name = {a.parameter.name: v for a, v in zip(self.arguments, complete, strict=True)}
            low, high = self.ascending
            if by_name[low] >= by_name[high]:
                raise bad_pair(low, got=by_name[low], rule="less than", other=high, value=by_name[high])
        return complete

    def lookback(self, *values: float) -> int:
        """Return the number of bars before the first value, if no input is missing."""
        return self.count_lookback(*self.complete(values))

    def memory(self, *values: float) -> int | None:
        """Return the further bars after which the start of the history changes values by less than 1e-10 of them.

        0 if only the last `lookback` + 1 bars count, None if the start always counts. If the value is a difference of
        two averages near 0 (macd), the change is relative to the averages.
        """
        return self.count_memory(*self.complete(values))

    def compute(self, columns: Sequence[NDArray[np.float64]], *values: float) -> Series:
        """Return the indicator [n], NaN if missing: never infinite; the columns [n] are not changed.

        A NaN, an infinity or a number beyond `MAX_MAGNITUDE` in a column makes the bar a missing bar. After it, the
        indicator starts again as if the history began there.

        Raises InvalidInput as `check`; ValueError if the columns are not as many as `self.columns` or differ in length.
        """
        complete = self.complete(values)
        inputs = [_to_series(column) for column in columns]
        if len(inputs) != len(self.columns) or any(item.shape != inputs[0].shape for item in inputs):
            shapes = [item.shape for item in inputs]
            raise ValueError(f"{self.name} reads {len(self.columns)} columns of one length, got shapes {shapes}")
        with np.errstate(all="ignore"):
            result = self.function(*_only_complete_rows(inputs), *complete)
        is_infinite = np.isinf(result)
        if is_infinite.any():
            result[is_infinite] = np.nan
        return result


def read_columns(bars: Bars, names: Sequence[str]) -> list[Series]:
    """Return columns of bars by their names in `BAR_COLUMNS`."""
    return [
        bars.open_time_ms.astype(np.float64) if name == "time" else np.asarray(getattr(bars, name)) for name in names
    ]


def _to_series(column: NDArray[np.float64]) -> Series:
    """Return a contiguous float64 array; a copy only if it must be."""
    series: Series = np.ascontiguousarray(column, dtype=np.float64)
    if np.ndim(column) != 1:
        raise ValueError(f"a column has one dimension, got shape {np.shape(column)}")
    return series


def _only_complete_rows(columns: list[Series]) -> list[Series]:
    """Return the columns with NaN in all of them at bars at which one is missing, all read-only.

    numba compiles a function again for writable arrays, so the warm-up would miss half of the functions.
    """
    if not all(map(_is_complete, columns)):
        is_present = np.logical_and.reduce([np.abs(column) <= MAX_MAGNITUDE for column in columns])
        columns = [np.where(is_present, column, np.nan) for column in columns]
    return [freeze(column, np.float64) for column in columns]


def _is_complete(column: Series) -> bool:
    """Return whether no value is missing: two passes without a copy, several times as fast as marking each bar."""
    # Minimum and maximum are NaN if any value is NaN, and then the comparison fails.
    least, greatest = np.minimum.reduce(column, initial=0.0), np.maximum.reduce(column, initial=0.0)
    return bool(least >= -MAX_MAGNITUDE and greatest <= MAX_MAGNITUDE)


def bars_to_forget(weight: float) -> int:
    """Return the bars after which a mean that gives `weight` to each new value has forgotten its first value.

    (1 − weight)^bars ≤ `NEGLIGIBLE`.
    """
    return 0 if weight >= 1 else math.ceil(math.log(NEGLIGIBLE) / math.log1p(-weight))
