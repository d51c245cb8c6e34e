"""Load TA-Lib's functions in C, without its Python package.

`import talib` loads pandas, which nothing else needs while the service starts: 0.35 s of processor time and 40 MB in
each worker. Its functions then test each argument for pandas types. The package's own extension module is linked with
TA-Lib, so this module finds the functions through it. They get the same inputs as from `talib`, and release the GIL.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Final

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

_PACKAGE: Final = "talib"
_EXTENSION: Final = "talib._ta_lib"
_SUCCESS: Final = 0


class TalibFunction:
    """A function of TA-Lib from columns to one series.

    Parameters
    ----------
    name
        As in TA-Lib: `RSI` is `TA_RSI` there.
    columns
        How many series it reads.
    has_length
        Whether it takes a number of bars (`timeperiod` in `talib`).
    """

    def __init__(self, name: str, columns: int, *, has_length: bool = True) -> None:
        self._name = name
        options = [ctypes.c_int] if has_length else []
        self._compute = getattr(_LIBRARY, f"TA_{name}")
        self._compute.argtypes = [
            ctypes.c_int, ctypes.c_int, *[ctypes.c_void_p] * columns, *options, *[ctypes.c_void_p] * 3,
        ]  # fmt: skip
        self._lookback = getattr(_LIBRARY, f"TA_{name}_Lookback")
        self._lookback.argtypes = options

    def __call__(self, columns: Sequence[Series], *options: int) -> Series:
        """Return the series [n]; NaN for the bars before the first value.

        `columns` are of one length n ≥ 1 and hold no NaN. Raises ValueError if TA-Lib refuses `options`.
        """
        n = columns[0].size
        inputs = [np.ascontiguousarray(column, dtype=np.float64) for column in columns]
        result = np.empty(n)
        before = min(n, max(0, self._lookback(*options)))
        result[:before] = np.nan
        begun, written = ctypes.c_int(), ctypes.c_int()
        code = self._compute(
            0, n - 1, *map(_address_of, inputs), *options,
            ctypes.addressof(begun), ctypes.addressof(written), _address_of(result) + before * result.itemsize,
        )  # fmt: skip
        if code != _SUCCESS:
            raise ValueError(f"TA-Lib refuses {self._name}{options}: return code {code}")
        return result


def _address_of(array: Series) -> int:
    # `array.ctypes.data` takes twice as long.
    address: int = array.__array_interface__["data"][0]
    return address


def _load_library() -> ctypes.CDLL:
    """Return the library, ready for calls; raises ImportError if it is not at its place in the package."""
    package = find_spec(_PACKAGE)
    found = None if package is None else PathFinder.find_spec(_EXTENSION, package.submodule_search_locations)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named {_EXTENSION!r}", name=_EXTENSION)
    library = ctypes.CDLL(found.origin)
    if library.TA_Initialize() != _SUCCESS:
        raise ImportError(f"TA-Lib does not start: {found.origin}", name=_EXTENSION)
    return library


_LIBRARY: Final = _load_library()
