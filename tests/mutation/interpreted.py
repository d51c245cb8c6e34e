"""Run our compiled functions as plain Python.

A mutant of the event-driven engine would be compiled anew, 8 s of processor time each. `NUMBA_DISABLE_JIT=1` is not
enough: compiled code reads fields of records as attributes (`book.cash`), which numpy allows for record arrays only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np

COMPILED: Final = ("src.judgement.", "src.indicators.")
"""Modules that stay compiled: their tests draw a thousand resamples each, or read a million bars. Only a mutant of a
file with compiled loops is compiled anew; for all others the workspace has them in its cache."""

_numba_njit = numba.njit


def install() -> None:
    """Let functions of `src` that are decorated with `njit` from now on run as they are written."""
    numba.njit = _njit


def _njit(*arguments: Any, **options: Any) -> Any:
    if len(arguments) == 1 and callable(arguments[0]):
        return _decorate(arguments[0], (), options)
    return lambda function: _decorate(function, arguments, options)


def _decorate(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Callable[..., Any]:
    if not function.__module__.startswith("src.") or function.__module__.startswith(COMPILED):
        return _numba_njit(*arguments, **options)(function)  # type: ignore[no-any-return]

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        return function(*map(_with_attributes, given), **named)

    return call


def _with_attributes(value: Any) -> Any:
    """Return an array of records as one whose fields are attributes, on the same memory; anything else as it is.

    So are the arrays of a named tuple.
    """
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_with_attributes, value))
    if isinstance(value, np.ndarray) and value.dtype.names and not isinstance(value, np.recarray):
        return value.view(np.recarray)
    return value
