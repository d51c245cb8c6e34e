"""Hostile files for a runner, and the processes that it has."""

from __future__ import annotations

import asyncio
from pathlib import Path

from src.sandbox.runner import SandboxedModelRunner
from tests.security.hostile import pickle_of

COLUMNS = ["column_0", "column_1"]
DEADLINE_S = 2.0


def hostile(folder: Path, source: str) -> Path:
    path = folder / "hostile.pkl"
    path.write_bytes(pickle_of(source))
    return path


async def until(holds: object) -> None:
    for _ in range(300):
        if holds():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


def children_of(runner: SandboxedModelRunner) -> list[int]:
    found = []
    for link in list(runner._children._zygotes.values()):
        listed = Path(f"/proc/{link.pid}/task/{link.pid}/children")
        if listed.exists():
            found += [int(pid) for pid in listed.read_text().split()]
    return found
