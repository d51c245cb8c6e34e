"""A client of a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backtesting_client import Client, Run
from tests.integration.conftest import exchange, own_service, service  # noqa: F401  (fixtures)

MARKET = {"source": "simulated", "seed": 7, "limit": 800}


@pytest.fixture
def bt(service: str) -> Iterator[Client]:  # noqa: F811
    """A client of the running service, as a user of its own."""
    with Client(service, user="client", progress=False) as client:
        yield client


@pytest.fixture(scope="session")
def rsi_run(service: str) -> Iterator[Run]:  # noqa: F811
    """One stored result on simulated bars."""
    with Client(service, user="client", progress=False) as client:
        yield client.run("rsi", "BTCUSDT", "1h", length=5, engine="EVENT_DRIVEN", stop_loss=0.05, **MARKET)
