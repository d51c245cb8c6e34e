"""Read of other processes what Linux says; one that ends meanwhile has ended, which is no error."""

from __future__ import annotations

import contextlib
from pathlib import Path


def has_ended(pid: int) -> bool:
    """Return whether there is no such process, or only its exit code is left."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:  # not found, or gone between opening and reading
        return True


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, by any of its threads, and that have not ended."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, children.read_text().split())
    return found


def family(pid: int) -> list[int]:
    """Return a process, its children, their children and so on."""
    return [pid, *(one for child in children_of(pid) for one in family(child))]


def command_of(pid: int) -> bytes:
    """Return the words that a process was started with, each with a NUL after it; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def workers_of(supervisor: int) -> list[int]:
    """Return the workers of a service; model files are opened in other processes."""
    return [pid for pid in children_of(supervisor) if b"spawn_main" in command_of(pid)]
