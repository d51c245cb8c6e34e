"""Run a member of the cluster that computes sweeps, or make its certificates: `run.py cluster`.

Scheduler and workers read the settings that the service reads: DASK_SCHEDULER, DASK_TLS_CA, DASK_TLS_CERT,
DASK_TLS_KEY; workers have JOB_THREADS threads.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import src.runtime.compile_cache  # noqa: F401  (before anything that imports numba)
from src.concurrency.cores import available_cores
from src.domain.errors import ServiceError
from src.observing.logs import configure_logging
from src.runtime.cluster_certificates import CA_FILE, CERTIFICATE_FILE, DEFAULT_DAYS, KEY_FILE, make_certificates
from src.settings import Settings, SettingsError, read_settings
from src.wiring.cluster import build_cluster_access, missing_dask

Member = Callable[[asyncio.Event], Awaitable[None]]


def find_member(name: str, settings: Settings) -> Member:
    """Return what runs the scheduler or a worker until an event is set; raises SettingsError, MissingLibrary."""
    access = build_cluster_access(settings)
    if access is None:
        raise SettingsError("DASK_SCHEDULER is required: tls://host:port of the cluster's scheduler.")
    try:
        from src.jobs.dask_processes import run_scheduler, run_worker  # noqa: PLC0415  (certificates need no Dask)
    except ModuleNotFoundError as error:
        raise missing_dask(error) from error
    if access.certificates is None:
        print(
            f"WARNING: no encryption at {access.scheduler}: whoever reaches it can execute code here", file=sys.stderr
        )
    if name == "scheduler":
        return lambda stop: run_scheduler(access, stop)
    return lambda stop: run_worker(access, settings.job_threads or available_cores(), stop)


async def run_until_told(member: Member) -> None:
    """Run a member until SIGTERM or SIGINT."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await member(stop)


def main(words: Sequence[str]) -> int:
    """Run the command; return 0 after a signal, 2 if it cannot start."""
    parser = argparse.ArgumentParser(prog="run.py cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("scheduler", help="distribute chunks of sweeps to workers")
    commands.add_parser("worker", help="compute chunks of sweeps with JOB_THREADS threads")
    making = commands.add_parser("certificates", help="make the certificates of all members")
    making.add_argument("folder", type=Path)
    making.add_argument("--days", type=int, default=DEFAULT_DAYS, help=f"days of validity (default {DEFAULT_DAYS})")
    options = parser.parse_args(words)
    try:
        if options.command == "certificates":
            return _make(options.folder, options.days)
        settings = read_settings()
        configure_logging(settings.log_format, settings.log_level)
        asyncio.run(run_until_told(find_member(options.command, settings)))
    except (SettingsError, ServiceError, OSError) as error:
        print(f"[cluster] {error}", file=sys.stderr)
        return 2
    return 0


def _make(folder: Path, days: int) -> int:
    make_certificates(folder, now=datetime.datetime.now(datetime.UTC), days=days)
    for name, file in (("CA", CA_FILE), ("CERT", CERTIFICATE_FILE), ("KEY", KEY_FILE)):
        print(f"DASK_TLS_{name}={(folder / file).resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
