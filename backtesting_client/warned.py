"""Pass warnings of the service on to Python's `warnings`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import Final

_PACKAGE: Final = __name__.partition(".")[0]


class BacktestingWarning(UserWarning):
    """A sentence of the service about the rows that it returned: a cut range, missing bars, and the like."""


def warn(sentences: Iterable[str]) -> None:
    """Warn of each sentence once, at the line that called this package."""
    level = _level_of_caller()
    for sentence in dict.fromkeys(sentences):
        warnings.warn(sentence, BacktestingWarning, stacklevel=level + 1)


def _level_of_caller() -> int:
    """Return how many frames above `warn` the first one outside this package is."""
    frame, level = sys._getframe(1), 0
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame, level = frame.f_back, level + 1
    return level
