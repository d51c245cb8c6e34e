"""The log and the metrics port of the service as `run.py prod` starts it, with two workers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.load import ROOT, ProductionService
from tests.ports import unused_port


class LoggedService(ProductionService):
    """A service whose standard output and error go to a file."""

    def __init__(self, storage: Path, log: Path, **variables: str) -> None:
        super().__init__(storage, **variables)
        self._log = log

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "service.log"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[tuple[list[float], list[dict[str, Any]]]]:
    """The counts of 20 requests as eight connections to the metrics port read them, and the whole log afterwards."""
    port = unused_port()
    settings = {"WORKERS": "2", "LOG_FORMAT": "json", "LOG_LEVEL": "INFO", "METRICS_PORT": str(port)}
    with LoggedService(tmp_path_factory.mktemp("storage"), log, **settings) as service:
        assert len(service.workers()) == 2
        for number in range(20):
            headers = {"X-Request-ID": f"call-{number}"}
            httpx.get(f"http://127.0.0.1:{service.port}/errors/BUSY?secret=hunter2", headers=headers, timeout=30)
        texts = [httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text for _ in range(8)]
    line = 'http_requests_total{method="GET",route="/errors/{code}",status="200"} '
    counts = [float(found.rpartition(" ")[2]) for text in texts for found in text.splitlines() if line in found]
    yield counts, [json.loads(text) for text in log.read_text().splitlines()]


def test_metrics_port_answers_for_all_workers(seen: tuple[list[float], list[dict[str, Any]]]) -> None:
    assert seen[0] == [20.0] * 8


def test_every_line_of_all_processes_is_json(seen: tuple[list[float], list[dict[str, Any]]]) -> None:
    lines = seen[1]
    messages = [line["message"] for line in lines if line["logger"] == "uvicorn.error"]
    assert len({message for message in messages if message.startswith("Started server process")}) == 2
    assert "stopping: signal=SIGTERM" in messages  # of the supervisor
    assert all({"time", "level", "logger"} <= line.keys() for line in lines)


def test_each_request_is_logged_once_without_its_query(seen: tuple[list[float], list[dict[str, Any]]]) -> None:
    lines = [line for line in seen[1] if line.get("request_id", "").startswith("call-")]
    assert sorted(line["request_id"] for line in lines) == sorted(f"call-{number}" for number in range(20))
    assert {(line["event"], line["route"], line["status"]) for line in lines} == {("request", "/errors/{code}", 200)}
    assert "hunter2" not in json.dumps(seen[1])


def test_taken_metrics_port_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = ProductionService(tmp_path, METRICS_PORT=str(port))
        done = subprocess.run(
            [sys.executable, "-m", "src.serve"],
            cwd=ROOT, env=service._environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"METRICS_PORT is {port}. Allowed: a port that no other program uses, or 0" in done.stderr


def test_metrics_port_of_the_service_itself_is_refused(tmp_path: Path) -> None:
    service = ProductionService(tmp_path)
    environment = {**service._environment, "METRICS_PORT": str(service.port)}
    done = subprocess.run(
        [sys.executable, "-m", "src.serve"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"METRICS_PORT is '{service.port}'. Allowed: another port than PORT, or 0." in done.stderr
