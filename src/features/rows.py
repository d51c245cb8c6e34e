"""Decide which rows a model predicts; both the sandbox's child and the server apply this rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def complete_rows(values: NDArray[np.float64], available: Sequence[str], columns: Sequence[str]) -> NDArray[np.bool_]:
    """Mark the rows of `values` [n, k] that have a value in all of `columns`; other columns may be missing.

    `available` names the columns of `values`.
    """
    is_complete = np.ones(len(values), dtype=np.bool_)
    for name in columns:
        is_complete &= np.isfinite(values[:, available.index(name)])
    return is_complete
