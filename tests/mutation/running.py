"""Run a room's own tests on one mutant after the other, each in a process of its own.

Every process starts as a copy (`fork`) of this one, which has imported the libraries already but nothing of `src`. It
works in a workspace: a copy of the project, so that programs which a test starts see the mutant too.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Final, NoReturn

import pytest

from tests.mutation import interpreted
from tests.mutation.operators import Mutant

ROOT: Final = Path(__file__).parents[2]
LIBRARIES: Final = ("hypothesis", "numba", "numpy", "pandas", "pytest_asyncio")
MAX_MEMORY_BYTES: Final = 8 << 30
"""Of address space; a mutant that asks for endless memory fails."""

PYTEST_OPTIONS: Final = (
    *("-x", "-q", "-p", "no:cacheprovider"),
    # The libraries above were imported before pytest could rewrite their assertions.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    # Compiled code overflows and divides in silence; numpy warns of it in plain Python.
    *("-W", "ignore::RuntimeWarning"),
)


class Outcome(Enum):
    KILLED = "killed"
    SURVIVED = "survived"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the tests under way."""

    process: ForkProcess
    workspace: Workspace
    mutant: Mutant
    deadline: float


class Workspace:
    """A copy of the project in which one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output.txt"
        folder.mkdir()
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)

    def start(self, tests: Sequence[str], mutant: Mutant | None = None) -> ForkProcess:
        """Start the tests on the mutant, or on the source as it is."""
        if mutant is not None:
            (self.folder / mutant.path).write_bytes(mutant.apply((ROOT / mutant.path).read_bytes()))
        process = multiprocessing.get_context("fork").Process(
            target=_test, args=(self, tests, os.getpid()), daemon=True
        )
        process.start()
        return process

    def restore(self, mutant: Mutant) -> None:
        """Put the source back as it is."""
        shutil.copy(ROOT / mutant.path, self.folder / mutant.path)


def prepare() -> None:
    """Import what every run needs; to be called once, before the first run."""
    for name in LIBRARIES:
        importlib.import_module(name)
    interpreted.install()
    # A mutant can have the size and the time of the source before it: Python would take its stale compiled file.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True


def run_unchanged(workspace: Workspace, tests: Sequence[str]) -> float:
    """Run the tests on the source as it is; return the seconds that they take.

    Raises RuntimeError with what pytest wrote if they do not pass.
    """
    started = time.monotonic()
    process = workspace.start(tests)
    try:
        process.join()
    finally:
        if process.is_alive():
            _end(process)
    if process.exitcode != 0:
        raise RuntimeError(f"The tests fail without a mutant:\n{workspace.output.read_text(errors='replace')}")
    return time.monotonic() - started


def run_mutants(
    mutants: Sequence[Mutant], workspaces: Sequence[Workspace], tests: Sequence[str], limit_s: float
) -> Iterator[tuple[Mutant, Outcome]]:
    """Test the mutants, as many at once as there are workspaces; yield each with its outcome as it ends."""
    waiting, free = list(reversed(mutants)), list(workspaces)
    running: list[Run] = []
    try:
        while waiting or running:
            while waiting and free:
                mutant, workspace = waiting.pop(), free.pop()
                process = workspace.start(tests, mutant)
                running.append(Run(process, workspace, mutant, time.monotonic() + limit_s))
            soonest = min(run.deadline for run in running)
            wait([run.process.sentinel for run in running], timeout=max(0.0, soonest - time.monotonic()))
            for run in [run for run in running if not run.process.is_alive() or time.monotonic() > run.deadline]:
                outcome = _outcome(run)
                running.remove(run)
                run.workspace.restore(run.mutant)
                free.append(run.workspace)
                yield run.mutant, outcome
    finally:
        for run in running:
            _end(run.process)


def _outcome(run: Run) -> Outcome:
    if run.process.is_alive():
        _end(run.process)
        return Outcome.TIMED_OUT
    return Outcome.SURVIVED if run.process.exitcode == 0 else Outcome.KILLED


def _end(process: ForkProcess) -> None:
    """Kill the process and those that its tests started."""
    assert process.pid is not None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()  # it has not made its group yet
    process.join()


def _test(workspace: Workspace, tests: Sequence[str], parent: int) -> NoReturn:
    """Run pytest in the workspace, and end this process with its exit code."""
    _end_with(parent)
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    output = os.open(workspace.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(workspace.folder)
    os.environ["THOROUGH"] = "1"  # the tests at their best, not a third of their examples
    for name in [name for name in sys.modules if name.split(".")[0] in {"src", "tests"}]:
        del sys.modules[name]
    sys.path[:] = [str(workspace.folder), *(entry for entry in sys.path if Path(entry).resolve() != ROOT.resolve())]
    code = int(pytest.main([*PYTEST_OPTIONS, f"--rootdir={workspace.folder}", *tests]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that a mutant left running would hold back an ordinary end.
    os._exit(code)


def _end_with(parent: int) -> None:
    """Let the system kill this process when its parent ends, however that ends (Linux only)."""
    if sys.platform == "linux":
        parent_death_signal = 1  # linux/prctl.h
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
