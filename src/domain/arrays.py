"""Make arrays read-only, for the frozen types of the domain, and keep them so when these are pickled."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def freeze(values: NDArray[Scalar], dtype: type[Scalar] | np.dtype[Scalar]) -> NDArray[Scalar]:
    """Return `values` as a read-only contiguous array of `dtype`; memory is shared if it is that already.

    numba would compile again for arrays with gaps between their elements: half a minute for the engine.
    """
    array: NDArray[Scalar] = np.ascontiguousarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def pickled(frozen: Any) -> tuple[object, ...]:
    """Return the `__reduce__` of a dataclass that freezes its arrays: unpickling calls its constructor.

    Otherwise pickle would set its fields to writable arrays, for which numba compiles again.
    """
    return _rebuild, (type(frozen), {each.name: getattr(frozen, each.name) for each in dataclasses.fields(frozen)})


def _rebuild(kind: type[Any], fields: dict[str, Any]) -> Any:
    return kind(**fields)
