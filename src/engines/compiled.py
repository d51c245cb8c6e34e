"""Compile the rules of the event-driven engine, and fingerprint their source."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from numba import njit

Rule = TypeVar("Rule", bound=Callable[..., object])


def compiled(rule: Rule) -> Rule:
    """Compile `rule` into the compiled code that calls it; the GIL is released.

    It is not cached on disk by itself, because the loop that calls it is cached with all its rules.
    """
    function: Rule = njit(nogil=True)(rule)
    return function


def compiled_arithmetic(rule: Rule) -> Rule:
    """Do the same as `compiled`; division by zero gives inf or NaN, as in numpy, so that loops become vector code."""
    function: Rule = njit(nogil=True, error_model="numpy")(rule)
    return function


def fingerprint(*modules: ModuleType) -> str:
    """Return the SHA-256 of the modules' source text."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()
