"""How the rules of the event-driven engine are compiled."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from numba import njit

Rule = TypeVar("Rule", bound=Callable[..., object])


def compiled(rule: Rule) -> Rule:
    """Compile `rule` into whatever compiled code calls it; the GIL is released.

    Not cached on disk by itself: the loop that calls it is, with all that it is made of.
    """
    function: Rule = njit(nogil=True)(rule)
    return function


def fingerprint(*modules: ModuleType) -> str:
    """Return the SHA-256 of the modules' source text."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()
