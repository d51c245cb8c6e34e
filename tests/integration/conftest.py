"""Start the whole service against the loopback exchange, once for all tests that only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import AnyHttpUrl

from src.settings import Settings
from tests.conftest import SHARED_DATA
from tests.exchange import LoopbackExchange
from tests.exchange_series import read_series
from tests.market import random_bars
from tests.server import RunningService

REAL_FILE = SHARED_DATA / "BTCUSDT-1d.csv.gz"


def exchange_of(file: Path) -> LoopbackExchange:
    """Start an exchange with BTCUSDT daily bars: the real ones if they are there, else random ones."""
    from src.domain.intervals import INTERVALS

    day = INTERVALS["1d"]
    if file.exists():
        return LoopbackExchange([read_series(file, symbol="BTCUSDT", interval=day)])
    bars = random_bars(1500, seed=17)
    return LoopbackExchange(
        [type(bars)(**{name: getattr(bars, name) for name in bars.__slots__} | {"symbol": "BTCUSDT"})]
    )


def service_settings(exchange_url: str, storage: Path, **overrides: Any) -> Settings:
    """Return settings for the service of a test: its own storage and exchange, nothing of this machine."""
    given: dict[str, Any] = {
        "storage_dir": storage,
        "binance_api_url": AnyHttpUrl(exchange_url),
        "binance_fallback_url": None,
        "binance_archive_url": None,
        "binance_futures_url": AnyHttpUrl(exchange_url),
        "binance_timeout_s": 2.0,
        "binance_deadline_s": 5.0,
        "mongodb_uri": None,
        "_env_file": None,
    }
    return Settings(**(given | overrides))


@pytest.fixture(scope="session")
def exchange() -> Iterator[LoopbackExchange]:
    with exchange_of(REAL_FILE) as running:
        yield running


@pytest.fixture(scope="session")
def service(exchange: LoopbackExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running service."""
    settings = service_settings(exchange.url, tmp_path_factory.mktemp("storage"))
    with RunningService(settings) as running:
        yield running.url


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Callable[..., tuple[str, LoopbackExchange]]]:
    """Start a service and an exchange for one test, so that it may break them; settings as keyword arguments."""
    started: list[Any] = []

    def start(**overrides: Any) -> tuple[str, LoopbackExchange]:
        exchange = exchange_of(REAL_FILE)
        started.append(exchange.__enter__())
        running = RunningService(service_settings(exchange.url, tmp_path / "storage", **overrides))
        started.append(running.__enter__())
        return running.url, exchange

    yield start
    for one in reversed(started):
        one.__exit__(None, None, None)
