"""Use a service for a long time, and say whether its memory, descriptors, threads and files grow.

    python -m tests.soak --minutes 30

Five users with API keys run backtests, models and sweeps on many simulated markets, in a service of two workers with
quotas that they reach within minutes. Each line is one look: what of the whole family of processes is in use. The exit
code is 1 if a request failed, a sweep did not end well, or the last third uses more than the second one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from tests.everyday import EverydayClients, make_key
from tests.load import ProductionService
from tests.processes import family
from tests.test_upload_api import make_model

USERS = 5
PAUSE_S = 1.0
MARKETS = 40
QUOTAS = {
    "MAX_RESULTS_PER_USER": "100", "MAX_RESULT_MB_PER_USER": "5", "MAX_JOBS_PER_USER": "10", "MAX_JOB_MB_PER_USER": "5",
    "MAX_LEDGER_MB_PER_USER": "2", "MAX_LEDGER_MB": "8",
}  # fmt: skip
GROWTH = {"memory_mb": 0.05, "descriptors": 0.02, "threads": 0.02, "disk_mb": 0.10}
"""Shares by which the median of the last third may exceed that of the second one: sandbox children come and go."""


class Look(NamedTuple):
    """What the service uses at a time: minutes, MB (PSS), counts, and MB of files."""

    minutes: float
    memory_mb: float
    descriptors: int
    threads: int
    disk_mb: float
    requests: int


def look(pid: int, storage: Path, minutes: float, requests: int) -> Look:
    """Measure the family of a process; children that end meanwhile are left out."""
    memory, descriptors, threads = 0, 0, 0
    for one in family(pid):
        folder = Path(f"/proc/{one}")
        with suppress(OSError):
            [pss] = [line for line in (folder / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:")]
            memory += int(pss.split()[1])
            descriptors += len(list((folder / "fd").iterdir()))
            threads += len(list((folder / "task").iterdir()))
    disk = 0
    for path in storage.rglob("*"):
        with suppress(OSError):
            disk += path.stat().st_size
    return Look(minutes, memory / 1024, descriptors, threads, disk / 1e6, requests)


def judge(looks: Sequence[Look]) -> list[str]:
    """Return a sentence for each figure whose last third is higher than its second one by more than `GROWTH`."""
    third = len(looks) // 3
    found = []
    for name, share in GROWTH.items():
        before, after = (
            statistics.median(getattr(one, name) for one in part)
            for part in (looks[third : 2 * third], looks[2 * third :])
        )
        if after > before * (1 + share):
            found.append(f"{name} grew from {before:.1f} to {after:.1f}")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Run the soak and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: %(default)g)")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks (default: %(default)g)")
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, ExitStack() as stack:
        storage = Path(folder) / "storage"
        users = {f"user{number}": make_key(storage, f"user{number}") for number in range(USERS)}
        model = make_model(Path(folder))
        service = stack.enter_context(
            ProductionService(storage, WORKERS="2", AUTH="keys", PRELOAD_MODELS="true", **QUOTAS)
        )
        url = f"http://127.0.0.1:{service.port}"
        with ExitStack() as using:
            clients = [
                using.enter_context(EverydayClients(url, user, key, model, pause_s=PAUSE_S, markets=MARKETS))
                for user, key in users.items()
            ]
            looks, began = [], time.monotonic()
            print("".join(f"{name:>12}" for name in Look._fields))
            while (seconds := time.monotonic() - began) < given.minutes * 60:
                requests = sum(one.outcomes.total() for one in clients)
                looks.append(look(service.process.pid, storage, seconds / 60, requests))
                print("".join(f"{value:12.1f}" for value in looks[-1]), flush=True)
                time.sleep(given.every)
        outcomes = sum((one.outcomes for one in clients), Counter[str]())
        jobs = sum((one.wait_for_jobs() for one in clients), Counter[str]())
    faults = {outcome for one in clients for outcome in one.faults}
    grown = judge(looks)
    print(*(f"{count:8d}  {outcome}" for outcome, count in outcomes.most_common()), sep="\n")
    print(f"sweeps: {dict(jobs)}", *(f"FAULT: {fault}" for fault in sorted(faults)), *grown, sep="\n")
    return 1 if faults or grown or set(jobs) - {"SUCCEEDED", "deleted"} else 0


if __name__ == "__main__":
    sys.exit(main())
