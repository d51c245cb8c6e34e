"""The pages of a service that asks who its users are: a key is typed once, and kept nowhere that scripts can read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, expect

from src.domain.identity import AuthMode
from src.settings import Settings
from src.wiring.identity import build_key_file
from tests.browser.chromium import Visit, visiting
from tests.exchange import LoopbackExchange
from tests.integration.conftest import service_settings
from tests.server import RunningService

RUN = {"symbol": "BTCUSDT", "interval": "1h", "source": "simulated", "seed": 7, "limit": 300}


class Locked(NamedTuple):
    url: str
    key: str
    key_id: str
    settings: Settings


@pytest.fixture(scope="module")
def locked(exchange: LoopbackExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """A service with AUTH=keys, a key of ada, and one stored run of hers."""
    folder: Path = tmp_path_factory.mktemp("locked")
    settings = service_settings(exchange.url, folder, auth=AuthMode.KEYS)
    with RunningService(settings) as running:
        key, text = make_key(settings)
        made = httpx.post(f"{running.url}/api/backtests", json=RUN, headers={"X-API-Key": text}, timeout=60)
        assert made.status_code == 200, made.text
        yield Locked(running.url, text, key, settings)


def make_key(settings: Settings) -> tuple[str, str]:
    file = build_key_file(settings)
    key, text = file.create("ada", name="", now_ms=1, expires_ms=None)
    file.close()
    return key.id, text


@pytest.fixture
def visit(chromium: Browser, locked: Locked) -> Iterator[Visit]:
    with visiting(chromium, locked.url) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/", "/new", "/jobs", "/data", "/compare"])
def test_every_page_asks_for_a_key(visit: Visit, path: str) -> None:
    page = visit.open(path)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("API key")).to_have_attribute("type", "password")
    expect(page.get_by_role("button", name="User")).to_have_count(0)


def test_key_opens_the_pages_and_is_kept_nowhere(visit: Visit, locked: Locked) -> None:
    page = visit.open("/")
    page.get_by_label("API key").fill(locked.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="User: ada")).to_be_visible()
    expect(page.get_by_text("BTCUSDT").first).to_be_visible()
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert locked.key not in kept
    assert "backtesting_session" not in kept
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["value"] == locked.key) == (True, "Strict", False)
    page.goto(f"{locked.url}/new")
    expect(page.get_by_role("button", name="User: ada")).to_be_visible()
    page.get_by_role("button", name="User: ada").click()
    expect(page.get_by_label("User id")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.context.cookies() == []


def test_wrong_key_is_explained(visit: Visit) -> None:
    page = visit.open("/")
    page.get_by_label("API key").fill("bt_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The API key is unknown.")).to_be_visible()
    expect(page.get_by_label("API key")).to_have_value("")


def test_revoked_key_ends_the_session_of_an_open_page(visit: Visit, locked: Locked) -> None:
    key_id, text = make_key(locked.settings)
    page = visit.open("/jobs")
    page.get_by_label("API key").fill(text)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="User: ada")).to_be_visible()
    file = build_key_file(locked.settings)
    assert file.revoke(key_id, now_ms=2)
    file.close()
    page.goto(f"{locked.url}/jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_gateway_that_names_the_user_needs_no_sign_in(
    chromium: Browser, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    settings = service_settings(exchange.url, tmp_path, auth=AuthMode.HEADER, auth_header="X-User")
    with RunningService(settings) as running:
        with visiting(chromium, running.url, extra_http_headers={"X-User": "ada"}) as behind:
            page = behind.open("/")
            expect(page.get_by_role("button", name="User: ada")).to_be_visible()
            page.get_by_role("button", name="User: ada").click()
            expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
        with visiting(chromium, running.url) as past:
            expect(past.open("/").get_by_role("heading", name="Not signed in")).to_be_visible()
