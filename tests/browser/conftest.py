"""A service and a Chromium for the tests of one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import Visit, chromium_path, running_chromium, visiting
from tests.exchange import LoopbackExchange
from tests.integration.conftest import REAL_FILE, exchange_of, service_settings
from tests.server import RunningService


@pytest.fixture(scope="module")
def exchange() -> Iterator[LoopbackExchange]:
    with exchange_of(REAL_FILE) as running:
        yield running


@pytest.fixture(scope="module")
def service(exchange: LoopbackExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a service with nothing stored."""
    with RunningService(service_settings(exchange.url, tmp_path_factory.mktemp("storage"))) as running:
        yield running.url


# Of a module, because Playwright keeps an event loop running in this thread: asynchronous tests of other modules, which
# may follow in this process, could not start theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail("Chromium is not installed, and REQUIRE_CHROMIUM is set")
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with running_chromium(path) as browser:
        yield browser


@pytest.fixture
def visit(chromium: Browser, service: str) -> Iterator[Visit]:
    """A window of a user who is here for the first time."""
    with visiting(chromium, service) as opened:
        yield opened


@pytest.fixture
def visit_with(chromium: Browser, service: str) -> Callable[..., AbstractContextManager[Visit]]:
    """Open a window with options: color_scheme, viewport, …"""
    opening: Callable[..., Any] = partial(visiting, chromium, service)
    return opening
