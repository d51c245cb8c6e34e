"""Make arrays read-only, for the frozen types of the domain."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def freeze(values: NDArray[Scalar], dtype: type[Scalar] | np.dtype[Scalar]) -> NDArray[Scalar]:
    """Return `values` as a read-only contiguous array of `dtype`; memory is shared if it is that already.

    Compiled code would be compiled anew for arrays with gaps between their elements: half a minute for the engine.
    """
    array: NDArray[Scalar] = np.ascontiguousarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array
