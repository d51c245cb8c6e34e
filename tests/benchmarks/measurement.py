"""One figure of a benchmark: what we take beside what a peer takes, or how much memory something needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """How long the same work takes us and a peer, in the same run.

    `units` says how much work in words ("1,000 bars"). Where a peer was run on less, `peer_seconds` is scaled up and
    `peer_name` says so. `target` is the promise in words, None where there is none.
    """

    name: str
    seconds: float
    units: str
    peer_name: str
    peer_seconds: float
    target: str | None = None

    @property
    def ratio(self) -> float:
        """How many times faster than the peer; below 1 where it is slower."""
        return self.peer_seconds / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """How much memory something takes; `units` says what it had to do."""

    name: str
    bytes: int
    units: str
    target: str | None = None


def best_of(work: Callable[[], object], *, repeats: int) -> float:
    """Return the seconds of the shortest of `repeats` runs, after one that is not counted.

    The shortest is the one that other programs on the machine disturbed least; the first may compile or load.
    """
    work()
    return min(time_once(work) for _ in range(repeats))


def best_of_both(work: Callable[[], object], peer: Callable[[], object], *, repeats: int) -> tuple[float, float]:
    """Return the seconds of the shortest run of each, taken in turns, after one of each that is not counted.

    In processor time of this thread: on a machine with other work, the longer one would be interrupted more often.
    """
    pairs = [(time_once(work, time.thread_time), time_once(peer, time.thread_time)) for _ in range(repeats + 1)][1:]
    return min(ours for ours, _ in pairs), min(theirs for _, theirs in pairs)


def time_once(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds of one run."""
    start = clock()
    work()
    return clock() - start
