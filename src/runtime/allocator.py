"""Tune glibc's malloc to return freed memory to the operating system."""

from __future__ import annotations

import ctypes
import os
from typing import Final

# Parameters of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8

_SETTINGS: Final = {_ARENA_MAX: 2, _MMAP_THRESHOLD: 512 * 1024, _TRIM_THRESHOLD: 8 * 1024 * 1024}


def return_freed_memory() -> bool:
    """Have malloc return freed memory to the system; return whether this C library supports it.

    By default glibc gives each thread a heap and keeps large arrays in these heaps once one was freed. Bars of many
    sizes in many threads fragment them: after some thousand requests a worker had twice the memory that it needed, and
    more with each thousand. With these settings large arrays are mapped one by one: 1,500 requests of 500 to 60,000
    bars in 8 threads made a process grow by 41 MB instead of 100 MB (`python -m tests.start_up allocator`). An
    operator's own `MALLOC_…` variables take precedence.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # not glibc
        return False
    return all(mallopt(parameter, value) for parameter, value in _SETTINGS.items())
