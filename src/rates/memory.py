"""Keep the counts of the library `limits` in this process, within bounded memory.

The library's own `MemoryStorage` keeps a list for each sender that it has ever seen (17 MB for 100,000 of them), reads
all of them repeatedly in a thread, and then takes 50 µs per use.

Rules, in order: 1. a use is counted in its sender's window, with its time; 2. a window has at most about `MAX_STEPS` ×
2 times: uses close to each other form one step, which leaves the window when the last of them does; 3. an empty window
is forgotten when others are used; 4. beyond `max_senders` the least recently used window is forgotten.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from limits.storage import MovingWindowSupport, Storage

MAX_SENDERS: Final = 100_000
"""Senders of one limit: about 50 MB."""
MAX_STEPS: Final = 64
FORGOTTEN_AT_ONCE: Final = 16
"""Maximum number of windows that one use forgets, so that no request removes thousands."""


class _Step:
    """Uses close to each other: the times of the first and the last of them, and how many."""

    __slots__ = ("amount", "first_s", "last_s")

    def __init__(self, now_s: float, amount: int) -> None:
        self.first_s = self.last_s = now_s
        self.amount = amount


class _Window:
    """The uses of one sender in the latest `length_s` seconds, oldest first."""

    __slots__ = ("_length_s", "steps", "total")

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self.steps: list[_Step] = []  # at most about 130; a deque takes 600 bytes even for one
        self.total = 0

    def forget_old(self, now_s: float) -> None:
        while self.steps and self.steps[0].last_s <= now_s - self._length_s:
            self.total -= self.steps.pop(0).amount

    def add(self, now_s: float, amount: int) -> None:
        self.total += amount
        last = self.steps[-1] if len(self.steps) >= MAX_STEPS else None
        if last is not None and now_s - last.first_s < self._length_s / MAX_STEPS:
            last.last_s = now_s
            last.amount += amount
        else:
            self.steps.append(_Step(now_s, amount))

    def take_back(self, amount: int) -> None:
        """Forget the latest uses."""
        while amount > 0 and self.steps:
            last = self.steps[-1]
            taken = min(amount, last.amount)
            last.amount -= taken
            self.total -= taken
            amount -= taken
            if last.amount == 0:
                self.steps.pop()

    def count_since(self, since_s: float) -> tuple[float, int]:
        """Return the time of the oldest step after `since_s` (`since_s` if none), and the uses after `since_s`."""
        count, oldest_s = 0, None
        for step in reversed(self.steps):
            if step.last_s <= since_s:
                break
            count, oldest_s = count + step.amount, step.last_s
        return (since_s if oldest_s is None else oldest_s), count


class BoundedMemory(Storage, MovingWindowSupport):
    """The counts of one process, for the library's strategies; safe to share between threads.

    Times are of `now`, a monotonic clock in seconds.
    """

    STORAGE_SCHEME: list[str] | None = None

    def __init__(self, *, now: Callable[[], float] = time.monotonic, max_senders: int = MAX_SENDERS) -> None:
        super().__init__()
        self._now = now
        self._max_senders = max_senders
        self._lock = threading.Lock()
        self._windows: dict[int, OrderedDict[str, _Window]] = {}
        """By their length in seconds; the senders in the order of their last use."""

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))

    @property
    def base_exceptions(self) -> type[Exception]:
        return ArithmeticError  # never raised: a dict cannot be unreachable

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a use and return True, unless the window would then hold more than `limit`."""
        with self._lock:
            now_s = self._now()
            window = self._find(key, expiry, now_s)
            if window.total + amount > limit:
                return False
            window.add(now_s, amount)
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        """Return when the oldest use in the window was, and how many there are."""
        with self._lock:
            now_s = self._now()
            window = self._windows[expiry].get(key) if expiry in self._windows else None
            if window is not None:
                window.forget_old(now_s)
                if window.steps:
                    return window.steps[0].last_s, window.total
            return now_s, 0

    def count_latest(self, key: str, expiry: int, seconds: float) -> tuple[float, int]:
        """Return the time of the oldest use in the latest `seconds` of a window, and the number of uses in them."""
        with self._lock:
            now_s = self._now()
            window = self._windows[expiry].get(key) if expiry in self._windows else None
            return (now_s, 0) if window is None else window.count_since(now_s - seconds)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count a use, also over the limit, and return the uses in the window."""
        with self._lock:
            now_s = self._now()
            window = self._find(key, expiry, now_s)
            window.add(now_s, amount)
            return window.total

    def take_back(self, key: str, expiry: int, amount: int) -> None:
        """Forget the latest uses of a sender."""
        with self._lock:
            window = self._windows[expiry].get(key) if expiry in self._windows else None
            if window is not None:
                window.take_back(amount)

    def get(self, key: str) -> int:
        """Return the uses in a sender's window."""
        with self._lock:
            now_s, found = self._now(), 0
            for length_s, windows in self._windows.items():
                if key in windows:
                    found += windows[key].count_since(now_s - length_s)[1]
            return found

    def get_expiry(self, key: str) -> float:
        """Return when the last use of a sender leaves its window; now if there is none."""
        with self._lock:
            ends = [
                windows[key].steps[-1].last_s + length_s
                for length_s, windows in self._windows.items()
                if key in windows and windows[key].steps
            ]
            return max(ends, default=self._now())

    def check(self) -> bool:
        """Return True: this memory can always be reached."""
        return True

    def clear(self, key: str) -> None:
        """Forget a sender."""
        with self._lock:
            for windows in self._windows.values():
                windows.pop(key, None)

    def reset(self) -> int | None:
        """Forget all senders, and return how many there were."""
        with self._lock:
            count = len(self)
            self._windows.clear()
            return count

    def _find(self, key: str, length_s: int, now_s: float) -> _Window:
        """Return a sender's window without expired uses; forget empty windows, and those beyond the limit."""
        windows = self._windows.setdefault(length_s, OrderedDict())
        window = windows.get(key)
        if window is None:
            window = windows[key] = _Window(length_s)
        windows.move_to_end(key)
        window.forget_old(now_s)
        for _ in range(FORGOTTEN_AT_ONCE):
            oldest = next(iter(windows))
            steps = windows[oldest].steps
            is_empty = not steps or steps[-1].last_s <= now_s - length_s
            if oldest == key or not (is_empty or len(windows) > self._max_senders):
                break
            del windows[oldest]
        return window
