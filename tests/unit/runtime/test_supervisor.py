"""Workers live while they are slow, are replaced when they die, and end without failing a request."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from src.runtime.supervisor import Supervisor
from tests.ports import unused_port
from tests.processes import has_ended, workers_of

ROOT = Path(__file__).parents[3]
LONG_S = 60.0


@dataclass
class Supervised:
    process: subprocess.Popen[bytes]
    port: int

    def get(self, path: str = "/", *, timeout: float = LONG_S) -> tuple[str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.read().decode(), {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()

    def workers(self) -> list[int]:
        return workers_of(self.process.pid)

    def serving_workers(self, count: int) -> list[int]:
        """Wait until so many workers answer; return their process ids."""
        seen: set[int] = set()
        deadline = time.monotonic() + LONG_S
        while len(seen & set(self.workers())) < count:
            assert time.monotonic() < deadline, f"only {seen} of {self.workers()} answer"
            try:
                seen.add(int(self.get()[0].split()[0]))
            except OSError:
                time.sleep(0.05)
        return sorted(seen & set(self.workers()))


@contextmanager
def supervised(
    *, workers: int = 2, drain_s: float = 0.0, graceful_s: int = 30, **variables: str
) -> Iterator[Supervised]:
    port = unused_port()
    command = [sys.executable, "-m", "tests.supervised", *map(str, (port, workers, drain_s, graceful_s))]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, stderr=subprocess.PIPE)
    try:
        yield Supervised(process, port)
    finally:
        process.kill()
        process.communicate()


def wait_until_ended(pids: list[int]) -> None:
    deadline = time.monotonic() + LONG_S
    while not all(map(has_ended, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


class EndingProcess:
    """A process that ends between two looks at it."""

    def __init__(self) -> None:
        self.sentinel, writer = os.pipe()
        os.close(writer)
        self._codes = iter([None])

    @property
    def exitcode(self) -> int | None:
        return next(self._codes, 0)


@pytest.mark.timeout(60)
def test_worker_ending_before_wait_is_noticed() -> None:
    supervisor = Supervisor(uvicorn.Config("tests.supervised:app", workers=1), drain_s=0, graceful_stop_s=0)
    process: Any = EndingProcess()
    supervisor._workers[0].process = process
    supervisor._wait_unless(lambda: False, 600)
    assert supervisor._living() == []


def test_stopped_worker_is_not_killed() -> None:
    with supervised() as service:
        pids = service.serving_workers(2)
        os.kill(pids[0], signal.SIGSTOP)
        time.sleep(3)  # uvicorn's own supervisor would kill after `timeout_worker_healthcheck`, 1 s here
        assert not has_ended(pids[0])
        os.kill(pids[0], signal.SIGCONT)
        assert service.serving_workers(2) == pids


def test_worker_stopped_while_it_starts_is_not_killed() -> None:
    with supervised(workers=1) as service:
        while not (pids := service.workers()):
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGSTOP)
        time.sleep(3)
        os.kill(pids[0], signal.SIGCONT)
        assert service.serving_workers(1) == pids


def test_dead_worker_is_replaced() -> None:
    with supervised() as service:
        pids = service.serving_workers(2)
        os.kill(pids[0], signal.SIGKILL)
        wait_until_ended(pids[:1])
        replaced = service.serving_workers(2)
        assert pids[1] in replaced
        assert pids[0] not in replaced


def test_application_that_refuses_to_start_ends_the_supervisor() -> None:
    with supervised(REFUSES_TO_START="1") as service:
        assert service.process.wait(LONG_S) == STARTUP_FAILURE


def test_draining_serves_and_closes_each_connection() -> None:
    with supervised(drain_s=60) as service:
        pids = service.serving_workers(2)
        kept = http.client.HTTPConnection("127.0.0.1", service.port, timeout=LONG_S)
        kept.request("GET", "/")
        assert kept.getresponse().read().endswith(b"serving")
        service.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + LONG_S
        answers: dict[int, str] = {}
        while set(answers.values()) != {"draining"} or set(answers) != set(pids):
            assert time.monotonic() < deadline
            body, headers = service.get()
            answers[int(body.split()[0])] = body.split()[1]
            assert body.endswith("serving") or headers["connection"] == "close"
        kept.request("GET", "/")
        response = kept.getresponse()
        assert response.read().endswith(b"draining")
        assert response.getheader("connection") == "close"


def test_second_signal_ends_draining_and_third_cuts_requests_off() -> None:
    with supervised(drain_s=600) as service:
        service.serving_workers(2)
        outcome: list[object] = []

        def ask() -> None:
            try:
                outcome.append(service.get("/slow/600")[0])
            except (OSError, http.client.HTTPException) as error:
                outcome.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        service.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert "draining" in service.get()[0]
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionRefusedError):
            while True:
                service.get()
        assert not outcome
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(LONG_S) == 0
        asking.join(LONG_S)
        assert isinstance(outcome[0], Exception) or outcome[0] == "Internal Server Error"


def test_request_under_way_finishes_after_the_drain() -> None:
    with supervised(drain_s=0.2) as service:
        service.serving_workers(2)
        bodies: list[str] = []
        asking = threading.Thread(target=lambda: bodies.append(service.get("/slow/4")[0]))
        asking.start()
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(LONG_S) == 0
        asking.join(LONG_S)
        assert len(bodies) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_new_connections_are_served_or_refused_but_never_reset(number: signal.Signals) -> None:
    """Connections come as fast as clients can make them, from before the signal until the port is closed."""
    with supervised(drain_s=1) as service:
        service.serving_workers(2)
        outcomes: Counter[str] = Counter()
        is_refused = threading.Event()

        def hammer() -> None:
            while not is_refused.is_set():
                try:
                    service.get()
                    outcomes["served"] += 1
                except ConnectionRefusedError:
                    outcomes["refused"] += 1
                    is_refused.set()
                except (OSError, http.client.HTTPException) as error:
                    outcomes[repr(error)] += 1

        threads = [threading.Thread(target=hammer) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        before = outcomes["served"]
        service.process.send_signal(number)
        assert service.process.wait(LONG_S) == 0
        for thread in threads:
            thread.join(LONG_S)
        assert set(outcomes) == {"served", "refused"}
        assert outcomes["served"] > before


def test_connection_that_has_not_asked_yet_is_served_after_the_port_is_closed() -> None:
    with supervised() as service:
        service.serving_workers(2)
        connections = [http.client.HTTPConnection("127.0.0.1", service.port, timeout=LONG_S) for _ in range(8)]
        for connection in connections:
            connection.connect()
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.4)  # beyond the handshakes' time
        for connection in connections:
            connection.request("GET", "/")
        assert {connection.getresponse().status for connection in connections} == {200}


def test_workers_end_when_the_supervisor_is_killed() -> None:
    with supervised() as service:
        pids = service.serving_workers(2)
        service.process.kill()
        service.process.wait(LONG_S)
        wait_until_ended(pids)
        socket.create_server(("127.0.0.1", service.port)).close()
