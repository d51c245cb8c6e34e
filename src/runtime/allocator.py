"""How the C library keeps freed memory: not for itself."""

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
    """Have memory that is freed go back to the system; return whether this C library can be told so.

    glibc gives each thread a heap of its own and, once large arrays have been freed, keeps the next ones of their size
    in these heaps. Candles of many sizes in many threads leave holes everywhere: after some thousand requests a worker
    had twice the memory that it needed, and more with each thousand. With large arrays mapped one by one it stays
    where it was. 1,500 requests of 500 to 60,000 bars in 8 threads made a process grow by 41 MB, and by 100 MB without
    (`python -m tests.start_up allocator`). An operator's own `MALLOC_…` variables count for more.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # not glibc
        return False
    return all(mallopt(parameter, value) for parameter, value in _SETTINGS.items())
