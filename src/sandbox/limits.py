"""Layer: bounds on what a child may use (setrlimit). Soft and hard are equal, so nothing can raise them again."""

from __future__ import annotations

import math
import os
import resource
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that one child may use.

    `memory_bytes` is address space, so it includes the libraries that the zygote mapped. `threads` counts tasks of
    the uid and is therefore only set for a child that has a uid of its own. `file_bytes` is 0: no file grows, memfds
    included, and the answer goes into one that the server has already sized.
    """

    memory_bytes: int = 4 * 1024**3
    cpu_seconds: int = 60
    descriptors: int = 64
    threads: int = 64
    file_bytes: int = 0

    @staticmethod
    def for_deadline(deadline_s: float, memory_bytes: int) -> Limits:
        """Return limits for a child that is killed after `deadline_s` anyway: they count where that kill fails."""
        return Limits(memory_bytes=memory_bytes, cpu_seconds=math.ceil(deadline_s) * (os.cpu_count() or 1) + 1)


def apply(limits: Limits, *, has_own_uid: bool) -> None:
    """Set the limits on this process; raises OSError or ValueError where the kernel refuses."""
    for kind, value in _values(limits, has_own_uid=has_own_uid).items():
        resource.setrlimit(kind, (value, value))


def unmet(limits: Limits, *, has_own_uid: bool) -> list[str]:
    """Name the limits that are not in force in this process."""
    return [
        f"rlimit {kind} is {resource.getrlimit(kind)}, not {value}"
        for kind, value in _values(limits, has_own_uid=has_own_uid).items()
        if resource.getrlimit(kind) != (value, value)
    ]


def _values(limits: Limits, *, has_own_uid: bool) -> dict[int, int]:
    values = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_NOFILE: limits.descriptors,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if has_own_uid:
        values[resource.RLIMIT_NPROC] = limits.threads
    return values
