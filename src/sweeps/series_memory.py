"""Cache indicators that many rows of a sweep read, within a limit of bytes; safe to share between threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

MAX_BYTES: Final = 64 * 2**20


class SeriesCache:
    """Series by the key that determines them; the least recently read are dropped first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Series] = OrderedDict()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """The bytes of the series that are kept."""
        return self._bytes

    def recall(self, key: Hashable, compute: Callable[[], Series]) -> Series:
        """Return the series of this key; two threads may compute it at the same time."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        computed = compute()
        computed.flags.writeable = False
        with self._lock:
            if key not in self._kept and computed.nbytes <= self._max_bytes:
                self._kept[key] = computed
                self._bytes += computed.nbytes
            while self._bytes > self._max_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return computed


class SeriesView:
    """The part of a cache for one length of history: a `domain.strategy.SeriesMemory`."""

    def __init__(self, cache: SeriesCache, history: int) -> None:
        self._cache = cache
        self._history = history

    def recall(self, key: Hashable, compute: Callable[[], Series]) -> Series:
        """Return the series of this key for bars that begin with this much history."""
        return self._cache.recall((self._history, key), compute)
