"""Kill the processes of a service at random moments of a sweep or a walk-forward, and compare what becomes of it.

`python -m tests.kills --store sqlite --job sweep --kills 20` prints each kill and what was compared. The service is a
real one of two workers; the one that has the job is killed with SIGKILL.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
from pymongo import MongoClient

from src.domain.trial_states import TrialLedgerState
from src.ports.stores import TrialLedger
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_ledger import MongoTrialLedger
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from src.wiring.stores import RESULTS_FILE
from tests.load import ProductionService
from tests.mongo_server import backend_uri
from tests.sweeps_served import data_of, start, wait

KILLS_PER_JOB: Final = 7
PATIENCE_S: Final = 240.0
KEPT: Final = 4

# The range is fixed: jobs before and after the turn of an hour would have other newest bars.
SWEEP: Final[Mapping[str, Any]] = {
    "backtest": {
        "symbol": "BTCUSDT", "interval": "1h", "limit": 3_000, "end_date": "2024-06-30", "source": "simulated",
        "seed": 5, "engine": "EVENT_DRIVEN",
    },
    "parameters": [
        {"name": "fast", "range": {"from": 3, "to": 22}},
        {"name": "slow", "range": {"from": 30, "to": 69, "step": 4}},
        {"name": "stopLoss", "values": [0.02, 0.05, 0.1]},
    ],
    "keep_best": KEPT,
}  # fmt: skip
WALK_FORWARD: Final[Mapping[str, Any]] = {
    "sweep": {**SWEEP, "parameters": SWEEP["parameters"][:2]},
    "trainBars": 750,
    "testBars": 150,
}
PATHS: Final = {"sweep": "sweeps", "walk-forward": "walk-forwards"}
NOT_COMPARED: Final = frozenset({"id", "result_id", "backtest_id", "created_at", "user_id", "timings", "ledger"})
"""What differs between equal runs: names and times."""


@dataclass(kw_only=True)
class Place:
    """Where the service keeps what it stores: a folder, and a database if it is MongoDB's."""

    folder: Path
    uri: str = ""
    name: str = ""

    @classmethod
    def of(cls, store: str, folder: Path) -> Place:
        if store == "sqlite":
            return cls(folder=folder)
        uri = os.environ.get("MONGODB_TEST_URI") or backend_uri()
        return cls(folder=folder, uri=uri, name=f"test_{uuid.uuid4().hex}")

    @property
    def file(self) -> Path:
        return self.folder / RESULTS_FILE

    def holder(self, job_id: str) -> int | None:
        """Return the process that has a job."""
        found: Any
        if self.uri:
            with MongoClient[dict[str, Any]](self.uri) as client:
                row = client[self.name]["jobs"].find_one({"_id": job_id}) or {}
                found = row.get("lease_holder")
        else:
            with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30)) as file:
                [found] = file.execute("SELECT lease_holder FROM jobs WHERE id = ?", [job_id]).fetchone()
        return None if found is None else int(str(found).rpartition(":")[2])

    async def ledger(self, user_id: str) -> TrialLedgerState:
        """Return the trials of a user on the one market; the service need not run."""
        database = MongoDatabase(self.uri, self.name) if self.uri else SqliteDatabase(self.file)
        ledger: TrialLedger = (
            MongoTrialLedger(database) if isinstance(database, MongoDatabase) else SqliteTrialLedger(database)
        )
        try:
            found = await ledger.next_ledger(None, user_id=user_id)
            assert found is not None
            return await ledger.state(user_id=user_id, symbol=found[1])
        finally:
            await database.close()


@dataclass(kw_only=True)
class Report:
    """What was killed, when, and what became of it."""

    moments: list[str] = field(default_factory=list)
    jobs: int = 0
    resumed: int = 0
    trials: int = 0


@contextmanager
def serving(place: Place) -> Iterator[tuple[ProductionService, str]]:
    given = {"MONGODB_URI": place.uri, "MONGODB_DATABASE": place.name} if place.uri else {}
    limits = {"WORKERS": "2", "JOB_THREADS": "1", "JOB_WORKERS": "1", "LOG_LEVEL": "ERROR"}
    command = ("-m", "tests.short_leases")
    with ProductionService(place.folder, command=command, **given, **limits) as service:
        yield service, f"http://127.0.0.1:{service.port}"


def ask(url: str, **params: Any) -> Any:
    """Read from the service; a request that a killed worker had is sent again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return data_of(httpx.get(url, params=params, timeout=60))
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def describe(job: Mapping[str, Any]) -> str:
    stage = job["stage"]
    at = f"{job['done']} of {job['total']}"
    return at if stage is None else f"{stage['name']} {stage['done']} of {stage['total']}"


def body_of(kind: str, user_id: str) -> dict[str, Any]:
    sweep = {**SWEEP, "backtest": {**SWEEP["backtest"], "user_id": user_id}}
    if kind == "sweep":
        return sweep
    return {**WALK_FORWARD, "sweep": {**WALK_FORWARD["sweep"], "backtest": sweep["backtest"]}}


def read_job(url: str, job_id: str) -> dict[str, Any]:
    return dict(ask(f"{url}/api/jobs/{job_id}"))


def kill_holder(place: Place, url: str, job_id: str, delay_s: float) -> dict[str, Any] | None:
    """Kill the process that has the job some time after it has begun; None if the job has ended before."""
    deadline = time.monotonic() + PATIENCE_S
    while (pid := place.holder(job_id)) is None:
        job = read_job(url, job_id)
        if job["ended_at"] is not None:
            return None
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    time.sleep(delay_s)
    job = read_job(url, job_id)
    if job["ended_at"] is not None:
        return None
    pid = place.holder(job_id) or pid
    os.kill(pid, signal.SIGKILL)
    while place.holder(job_id) == pid:  # until the lease has expired
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job


def scrub(value: Any) -> Any:
    """Return a response without what differs between equal runs."""
    if isinstance(value, dict):
        return {name: scrub(each) for name, each in value.items() if name not in NOT_COMPARED}
    return [scrub(each) for each in value] if isinstance(value, list) else value


def find_differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield where two responses differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            yield from find_differences(one.get(name), other.get(name), f"{path}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from find_differences(left, right, f"{path}[{number}]")
    elif one != other:
        yield f"{path}: {str(one)[:80]} / {str(other)[:80]}"


def picture(url: str, kind: str, job_id: str) -> dict[str, Any]:
    """Return all that a finished job shows: figures are JSON with 17 digits, so equal ones are equal to the bit."""
    found = ask(f"{url}/api/{PATHS[kind]}/{job_id}")
    conclusion = found["conclusion"]
    kept = [each["result_id"] for each in conclusion["best"]] if kind == "sweep" else [conclusion["result_id"]]
    shown: dict[str, Any] = {name: scrub(found[name]) for name in found if name not in ("job", "settings")}
    shown["results"] = [scrub(ask(f"{url}/api/backtests/{result_id}")) for result_id in kept]
    if kind == "sweep":
        shown["rows"] = ask(f"{url}/api/sweeps/{job_id}/rows", sort_by="row", first=10_000)["items"]
    return shown


def run_campaign(kind: str, place: Place, kills: int, *, seed: int = 14) -> Report:
    """Kill workers so often, and check each job that they had against an undisturbed one."""
    report, moments, users = Report(), random.Random(seed), ["calm"]
    with serving(place) as (_, url):
        calm_id = start(url, f"/api/{PATHS[kind]}", body_of(kind, "calm"))
        calm = wait(url, calm_id)
        expected, most_s = picture(url, kind, calm_id), _seconds(calm) / 3
        assert calm["attempt"] == 1
        while len(report.moments) < kills:
            users.append(f"killed-{len(users)}")
            job_id = start(url, f"/api/{PATHS[kind]}", body_of(kind, users[-1]))
            of_this_job = 0
            while of_this_job < KILLS_PER_JOB and len(report.moments) < kills:
                killed = kill_holder(place, url, job_id, moments.uniform(0.0, most_s))
                if killed is None:
                    break
                of_this_job += 1
                report.moments.append(describe(killed))
            done = _wait_to_success(url, job_id, users[-1])
            # On a busy machine a lease may expire without a kill too.
            report.jobs += 1
            report.resumed += done["attempt"] <= of_this_job
            differing = list(find_differences(expected, picture(url, kind, job_id)))
            assert not differing, f"{differing[:20]} after kills at {report.moments[-of_this_job:]}"
            assert len(ask(f"{url}/api/backtests", user_id=users[-1])["items"]) == len(expected["results"])
    states = [asyncio.run(place.ledger(user)) for user in users]
    assert states[0].runs > 0
    assert {(state.runs, state.total.to_bytes(), state.active.to_bytes()) for state in states} == {
        (states[0].runs, states[0].total.to_bytes(), states[0].active.to_bytes())
    }
    report.trials = states[0].runs
    return report


def _seconds(job: Mapping[str, Any]) -> float:
    """Return how long a job took."""
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "ended_at"))
    return (ended - began).total_seconds()


def _wait_to_success(url: str, job_id: str, user_id: str) -> dict[str, Any]:
    """Wait until a job has succeeded; resume it if it was killed too often in a row within one long step."""
    deadline = time.monotonic() + PATIENCE_S
    while (job := read_job(url, job_id))["state"] != "SUCCEEDED":
        assert time.monotonic() < deadline, job
        if job["state"] == "FAILED":
            assert job["error"]["message"].startswith("The process that ran it ended 4 times in a row"), job
            resumed = httpx.post(f"{url}/api/jobs/{job_id}/resume", params={"user_id": user_id}, timeout=60)
            assert resumed.status_code == 202, resumed.text
        time.sleep(0.1)
    return job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "mongo"), default="sqlite")
    parser.add_argument("--job", choices=tuple(PATHS), default="sweep")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=14)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.monotonic()
        report = run_campaign(given.job, Place.of(given.store, Path(folder)), given.kills, seed=given.seed)
    jobs, took_s = report.jobs, time.monotonic() - began_s
    print(f"{given.job} on {given.store}: {len(report.moments)} kills of {jobs} jobs in {took_s:.0f} s")
    print(f"each equal to the undisturbed one, {report.trials} trials each; {report.resumed} resumed by their user")
    print("killed at:", "; ".join(report.moments))


if __name__ == "__main__":
    main()
