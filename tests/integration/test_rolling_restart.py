"""Restart two services one after the other while clients use them: no request fails, and no job is lost."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.balancer import Balancer
from tests.everyday import EverydayClients, make_key
from tests.load import ProductionService
from tests.test_upload_api import make_model
from tests.thoroughness import often

pytestmark = pytest.mark.timeout(600)

USER = "roller"


def test_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    key = make_key(storage, USER)
    with ExitStack() as stack:
        options = {"WORKERS": "1", "DRAIN_S": "2", "AUTH": "keys"}
        services = [stack.enter_context(ProductionService(storage, **options)) for _ in range(2)]
        balancer = stack.enter_context(Balancer([service.port for service in services]))
        with EverydayClients(balancer.url, USER, key, make_model(tmp_path), pause_s=often(0.8, 0.1)) as clients:
            time.sleep(2)
            for service in services:
                before = balancer.connections[service.port]
                service.process.send_signal(signal.SIGTERM)
                assert service.process.wait(120) == 0
                service.__enter__()
                while service.port not in balancer.ready or balancer.connections[service.port] == before:
                    time.sleep(0.1)
            time.sleep(2)
        assert set(clients.wait_for_jobs()) == {"SUCCEEDED"}
    assert clients.faults == set()
    assert len(clients.outcomes) == 9, clients.outcomes
