"""Processes that run jobs until they are killed: a server that has imported everything forks them.

Starting a Python process with all libraries takes seconds; a fork takes milliseconds and dies as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.bars.clock import SystemClock
from src.domain.jobs import JobKind
from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from tests.jobs import ChunkTask, open_job_store

ROOT = Path(__file__).parents[1]


class JobWorkers:
    """Starts workers on the store `place`, and kills them."""

    def __init__(self, server: subprocess.Popen[str], place: str, folder: Path) -> None:
        self._server = server
        self._place = place
        self._folder = folder
        self._pids: list[int] = []

    def start(self, *, lease_ms: int, pause_s: float) -> int:
        """Start a process that takes jobs at once, whose chunks take `pause_s`; return its id."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        log = str(self._folder / f"worker-{len(self._pids)}.log")
        self._server.stdin.write(json.dumps([self._place, lease_ms, pause_s, log]) + "\n")
        self._server.stdin.flush()
        self._pids.append(int(self._server.stdout.readline()))
        return self._pids[-1]

    def log(self, pid: int) -> str:
        """Return what a worker has logged so far."""
        path = self._folder / f"worker-{self._pids.index(pid)}.log"
        return path.read_text() if path.exists() else ""

    def kill(self, pid: int) -> None:
        """Kill a worker that runs."""
        os.kill(pid, signal.SIGKILL)
        self._pids[self._pids.index(pid)] = -pid

    def kill_all(self) -> None:
        for pid in [pid for pid in self._pids if pid > 0]:
            self.kill(pid)


@contextmanager
def running_workers(place: str, folder: Path) -> Iterator[JobWorkers]:
    command = [sys.executable, "-m", "tests.job_worker"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        workers = JobWorkers(server, place, folder)
        try:
            yield workers
        finally:
            workers.kill_all()
            server.kill()


async def work(place: str, lease_ms: int, pause_s: float) -> None:
    store, _ = open_job_store(place)
    tasks = {JobKind.SWEEP: ChunkTask(pause_s=pause_s)}
    timing = JobTiming(lease_ms=lease_ms, poll_s=0.05, look_s=0.1)
    await JobRunner(store, SystemClock(), tasks, workers=1, threads=1, timing=timing).start()
    await asyncio.Event().wait()


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a killed child leaves no zombie
    for line in sys.stdin:
        place, lease_ms, pause_s, log = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            logging.basicConfig(level=logging.INFO, filename=log)
            asyncio.run(work(place, lease_ms, pause_s))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
