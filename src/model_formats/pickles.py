"""Read pickle and joblib files, including those with column names in pyarrow arrays, without importing pyarrow.

If pyarrow is installed, pandas keeps the column names of every frame in it, and an estimator that was given them
(`ColumnTransformer([(…, X.columns)])`) stores them in its file. pyarrow starts threads when it is imported. So the few
functions that such a pickle refers to are replaced: they build arrays of Python strings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import joblib
import joblib.numpy_pickle
import numpy as np
import pandas as pd
from pandas.arrays import StringArray

from src.model_formats.failures import refused

_OFFSETS: Final[Mapping[str, Any]] = {"string": "<i4", "large_string": "<i8"}


def load(file: Path) -> Any:
    """Return the object pickled in a file. This runs the file's code and raises anything that the code raises."""
    return joblib.load(file)


class PlainNames(StringArray):
    """Replaces pandas' `ArrowStringArray`: the same strings as Python objects."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        names = np.array(state.get("_pa_array", state.get("_data")), dtype=object)
        na_value = state["_dtype"].na_value
        names[[name is None for name in names]] = na_value
        super().__setstate__({"_ndarray": names, "_dtype": _plain_dtype(na_value=na_value)})


def read_strings(parts: Sequence[Any]) -> list[str | None]:
    """Read an array of strings from pyarrow's pickled parts: type, length, null count, offset, buffers.

    The buffers are those of Arrow's columnar format. Raises ModelRejected if it holds anything but strings.
    """
    kind, length, _, first, buffers, *_ = parts
    if kind not in _OFFSETS:
        raise refused("pickle_pyarrow")
    present, offsets, text = (memoryview(buffer or b"") for buffer in buffers)
    ends = np.frombuffer(offsets, _OFFSETS[kind])[first : first + length + 1]
    bits = np.unpackbits(np.frombuffer(present, np.uint8), bitorder="little")[first : first + length]
    strings = [bytes(text[start:end]).decode() for start, end in pairwise(ends.tolist())]
    return [string if not len(bits) or bits[place] else None for place, string in enumerate(strings)]


def _joined(chunks: Sequence[list[str | None]], _kind: object = None) -> list[str | None]:
    return [string for chunk in chunks for string in chunk]


def _plain_dtype(_storage: object = None, na_value: Any = pd.NA) -> Any:
    return pd.StringDtype("python", na_value=na_value)


def _same(value: Any) -> Any:
    return value


_STAND_INS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("pyarrow.lib", "_restore_array"): read_strings,
    ("pyarrow.lib", "chunked_array"): _joined,
    ("pyarrow.lib", "type_for_alias"): _same,
    ("pyarrow.lib", "py_buffer"): _same,
    ("pandas.arrays", "ArrowStringArray"): PlainNames,
    ("pandas.core.arrays.string_arrow", "ArrowStringArray"): PlainNames,
    ("pandas.core.arrays.string_arrow", "ArrowStringArrayNumpySemantics"): PlainNames,
    ("pandas", "StringDtype"): _plain_dtype,
    ("pandas.core.arrays.string_", "StringDtype"): _plain_dtype,
}


class NamesUnpickler(joblib.numpy_pickle.NumpyUnpickler):  # type: ignore[misc]
    """joblib's unpickler, with the replacements for pyarrow."""

    def find_class(self, module: str, name: str) -> Any:
        if (stand_in := _STAND_INS.get((module, name))) is not None:
            return stand_in
        if module.partition(".")[0] == "pyarrow":
            raise refused("pickle_pyarrow")
        return super().find_class(module, name)


# joblib has no parameter for it. The process that imports this module only opens models.
joblib.numpy_pickle.NumpyUnpickler = NamesUnpickler
