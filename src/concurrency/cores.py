"""Count the cores that this process may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

CGROUP_CPU_LIMIT: Final = Path("/sys/fs/cgroup/cpu.max")


def available_cores(limit: Path = CGROUP_CPU_LIMIT) -> int:
    """Count the cores that this process may use, a container's CPU quota included; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max": no quota
        return cores
