"""Apply the layer LIMITS: bounds on what a child may use (setrlimit). Soft equals hard, so no limit can be raised."""

from __future__ import annotations

import math
import os
import resource
from dataclasses import dataclass
from typing import Final

TASK_COUNT_STEP: Final = 16
"""Precision to which the tasks of a user are counted."""
_MAX_TASKS: Final = 1 << 22
"""The highest number of process ids that Linux has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The maximum that one child may use.

    `memory_bytes` is address space, so it includes the libraries that the zygote mapped. `threads` are added to the
    other tasks of its user; a user of its own has none. `file_bytes` is 0: no file may grow, memfds included, because
    the reply goes into a memfd that the server has already sized.
    """

    memory_bytes: int = 4 * 1024**3
    cpu_seconds: int = 60
    descriptors: int = 64
    threads: int = 64
    file_bytes: int = 0

    @staticmethod
    def for_deadline(deadline_s: float, memory_bytes: int) -> Limits:
        """Return limits for a child that is killed after `deadline_s`; the processor limit acts if the kill fails."""
        return Limits(memory_bytes=memory_bytes, cpu_seconds=math.ceil(deadline_s) * (os.cpu_count() or 1) + 1)


def apply(limits: Limits, *, has_own_uid: bool) -> None:
    """Set the limits on this process; raises OSError or ValueError if the kernel refuses them."""
    threads = limits.threads if has_own_uid else limits.threads + _tasks_of_this_user()
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    threads = threads if most == resource.RLIM_INFINITY else min(threads, most)
    for kind, value in _values(limits).items() | {(resource.RLIMIT_NPROC, threads)}:
        resource.setrlimit(kind, (value, value))


def list_unmet(limits: Limits, *, has_own_uid: bool) -> list[str]:
    """Name the limits that are not in force in this process."""
    found = [
        f"rlimit {kind} is {resource.getrlimit(kind)}, not {value}"
        for kind, value in _values(limits).items()
        if resource.getrlimit(kind) != (value, value)
    ]
    now, most = resource.getrlimit(resource.RLIMIT_NPROC)
    is_bounded = most <= limits.threads if has_own_uid else most != resource.RLIM_INFINITY
    if now != most or not is_bounded:
        found.append(f"rlimit {resource.RLIMIT_NPROC} is {(now, most)}")
    return found


def _values(limits: Limits) -> dict[int, int]:
    return {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_NOFILE: limits.descriptors,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }


def _tasks_of_this_user() -> int:
    """Return how many tasks the kernel counts for this user, rounded up by at most `TASK_COUNT_STEP`.

    The kernel does not publish the number, and /proc does not show the tasks of other containers, which count too. So
    this searches for the lowest limit under which one more task could be started.
    """
    before = resource.getrlimit(resource.RLIMIT_NPROC)
    most = _MAX_TASKS if before[1] == resource.RLIM_INFINITY else min(before[1], _MAX_TASKS)
    low, high = 0, min(4 * TASK_COUNT_STEP, most)
    try:
        while high < most and not _may_start_one(high, before[1]):
            low, high = high, min(2 * high, most)
        while high - low > TASK_COUNT_STEP:
            middle = (low + high) // 2
            low, high = (low, middle) if _may_start_one(middle, before[1]) else (middle, high)
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, before)
    return high


def _may_start_one(limit: int, most: int) -> bool:
    """Return whether this user may start one more task under a limit; tried with a program that does not exist."""
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, most))
    try:
        os.posix_spawn("/nonexistent", ["nonexistent"], {})
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
