"""Check the service as `run.py prod` starts it: two workers look like one, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from src.files.temporary_folders import PREFIX
from tests.load import ProductionService


@pytest.fixture(scope="module")
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory, temporary_folder: Path) -> Iterator[ProductionService]:
    with ProductionService(
        tmp_path_factory.mktemp("storage"), WORKERS="2", TMPDIR=str(temporary_folder), BINANCE_FALLBACK_URL="none"
    ) as service:
        yield service
    assert list(temporary_folder.iterdir()) == []


def count_of(service: ProductionService, line: str) -> float:
    # A connection of its own, so that any worker may answer.
    text = httpx.get(f"http://127.0.0.1:{service.port}/metrics", timeout=30).text
    return sum(float(found.rsplit(" ", 1)[1]) for found in text.splitlines() if found.startswith(line))


def test_any_worker_counts_for_all(production: ProductionService) -> None:
    assert len(production.workers()) == 2
    line = 'http_requests_total{method="GET",route="/health",status="200"}'
    before = count_of(production, line)
    for _ in range(30):
        assert httpx.get(f"http://127.0.0.1:{production.port}/health", timeout=30).status_code == 200
    assert [count_of(production, line) - before for _ in range(8)] == [30.0] * 8
    assert count_of(production, "http_requests_in_progress ") == 1.0


def test_result_is_read_from_any_worker(production: ProductionService) -> None:
    url = f"http://127.0.0.1:{production.port}/api/backtests"
    body = {"user_id": "me", "symbol": "BTCUSDT", "limit": 300, "source": "simulated"}
    ran = httpx.post(url, json=body, timeout=60).json()["data"]
    for _ in range(8):
        assert httpx.get(f"{url}/{ran['id']}", timeout=30).json()["data"] == ran


def test_workers_share_their_metrics(production: ProductionService, temporary_folder: Path) -> None:
    assert len(list(temporary_folder.glob(f"{PREFIX}metrics-*"))) == 1
