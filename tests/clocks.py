"""Time that tests move by hand."""

from __future__ import annotations


class FixedClock:
    """A time of day that stands still."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms


class MovingClock:
    """A time of day that is what a test says, now."""

    def __init__(self, moment_ms: int) -> None:
        self.moment_ms = moment_ms

    def now_ms(self) -> int:
        return self.moment_ms


class Stopwatch:
    """A monotonic clock that moves only where somebody sleeps on it."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
