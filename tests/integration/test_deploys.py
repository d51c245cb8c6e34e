"""Check the whole service while it is stopped or killed: no request fails, and nothing stays behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

from src.files.temporary_folders import PREFIX
from tests.load import START_S, STOP_S, ProductionService
from tests.processes import family
from tests.unit.runtime.test_supervisor import wait_until_ended

RUN = {"user_id": "me", "symbol": "BTCUSDT", "engine": "VECTORIZED"}
SHORT = {**RUN, "fetch_input": {"limit": 300, "interval": "1h", "source": "simulated", "seed": 1}}
LONG = {
    **RUN,
    "engine": "EVENT_DRIVEN",
    "fetch_input": {"limit": 600_000, "interval": "1m", "source": "simulated", "seed": 1},
}


def test_stop_under_load_fails_no_request(tmp_path: Path) -> None:
    with ProductionService(tmp_path, WORKERS="2", DRAIN_S="2") as service:
        url = f"http://127.0.0.1:{service.port}"
        outcomes: Counter[str] = Counter()
        is_refused = threading.Event()
        long_runs: list[int] = []

        def run_long() -> None:
            long_runs.append(httpx.post(f"{url}/api/backtests", json=LONG, timeout=120).status_code)

        def hammer(*, is_kept_open: bool) -> None:
            client = httpx.Client(base_url=url, timeout=60)
            while not is_refused.is_set():
                if not is_kept_open:
                    client.close()
                    client = httpx.Client(base_url=url, timeout=60, verify=False)
                try:
                    response = client.post("/api/backtests", json=SHORT)
                    outcomes[str(response.status_code)] += 1
                except httpx.ConnectError:
                    is_refused.set()
                except httpx.HTTPError as error:
                    outcomes[repr(error)] += 1
            client.close()

        threads = [threading.Thread(target=hammer, kwargs={"is_kept_open": number % 2 == 0}) for number in range(4)]
        threads.append(threading.Thread(target=run_long))
        for thread in threads:
            thread.start()
        time.sleep(1)
        service.process.send_signal(signal.SIGTERM)
        while service.is_ready():
            pass
        assert not is_refused.is_set()
        service.process.wait(120)
        for thread in threads:
            thread.join(120)
    assert long_runs == [200]
    assert set(outcomes) == {"200"}


def test_killed_supervisor_leaves_neither_port_nor_folders(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    storage = tmp_path / "storage"
    with ProductionService(storage, WORKERS="2", TMPDIR=str(temporary)) as service:
        everybody = family(service.process.pid)
        assert len(everybody) >= 3
        service.process.kill()
        service.process.wait(STOP_S)
        wait_until_ended(everybody[1:])
        socket.create_server(("127.0.0.1", service.port)).close()
    left = set(temporary.iterdir())
    assert any(folder.name.startswith(f"{PREFIX}metrics-") for folder in left)
    with ProductionService(storage, WORKERS="1", TMPDIR=str(temporary)):
        assert left.isdisjoint(temporary.iterdir())
    assert list(temporary.iterdir()) == []


def test_killed_processes_leave_no_folders_after_restart(tmp_path: Path) -> None:
    with ProductionService(tmp_path / "storage", WORKERS="1", TMPDIR=str(tmp_path), PRELOAD_MODELS="true") as service:
        everybody = family(service.process.pid)
        service.process.kill()
        for pid in everybody[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until_ended(everybody[1:])
    assert len(list(tmp_path.glob(f"{PREFIX}*"))) >= 2
    with ProductionService(tmp_path / "storage", WORKERS="1", TMPDIR=str(tmp_path)):
        pass
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


def test_reloading_service_ends_with_its_supervisor(tmp_path: Path) -> None:
    with ProductionService(tmp_path, command=("-m", "src.serve", "--reload")) as service:
        everybody = family(service.process.pid)
        service.process.kill()
        service.process.wait(STOP_S)
        wait_until_ended(everybody[1:])
        socket.create_server(("127.0.0.1", service.port)).close()


def test_interrupted_service_does_not_drain(tmp_path: Path) -> None:
    with ProductionService(tmp_path, WORKERS="1", DRAIN_S="300") as service:
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(START_S) == 0
