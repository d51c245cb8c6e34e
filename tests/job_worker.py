"""A process that runs jobs until it is killed: `python -m tests.job_worker PLACE LEASE_MS PAUSE_S`.

It waits for a line on its standard input before it takes the first one, so that it can be started ahead.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

from src.bars.clock import SystemClock
from src.domain.jobs import JobKind
from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from tests.jobs import ChunkTask, open_job_store

ROOT = Path(__file__).parents[1]


def start_worker(place: str, *, lease_ms: int, pause_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.job_worker", place, str(lease_ms), str(pause_s)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


async def main(place: str, lease_ms: str, pause_s: str) -> None:
    logging.basicConfig(level=logging.INFO)
    store, _ = open_job_store(place)
    tasks = {JobKind.SWEEP: ChunkTask(pause_s=float(pause_s))}
    timing = JobTiming(lease_ms=int(lease_ms), poll_s=0.05, look_s=0.1)
    runner = JobRunner(store, SystemClock(), tasks, workers=1, threads=1, timing=timing)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await runner.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
