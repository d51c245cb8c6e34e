"""Hostile files for a runner, and the processes that it has."""

from __future__ import annotations

import asyncio
from pathlib import Path

from src.sandbox.runner import SandboxedModelRunner
from tests.processes import children_of
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


def model_processes_of(runner: SandboxedModelRunner) -> list[int]:
    """Return the processes that run models now."""
    return [pid for link in list(runner._children._zygotes.values()) for pid in children_of(link.pid)]
