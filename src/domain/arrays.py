"""Make arrays read-only, for the frozen types of the domain."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def freeze(values: NDArray[Scalar], dtype: type[Scalar] | np.dtype[Scalar]) -> NDArray[Scalar]:
    """Return `values` as a read-only array of `dtype`; memory is shared, and copied only to change the dtype."""
    array: NDArray[Scalar] = np.asarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array
