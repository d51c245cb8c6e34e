"""The exported report, opened from disk: it draws what the page draws, and asks nothing of any host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import Visit, visiting
from tests.browser.sheets import SIMULATED, api, drawn, expected, run_backtest, values, wait_until

MAX_BYTES = 1_000_000


@pytest.fixture(scope="module")
def long_run(service: str) -> str:
    strategy = {"maCrossover": {"fast": 5, "slow": 20}}
    return run_backtest(service, **SIMULATED | {"interval": "1h"}, limit=30_000, strategy=strategy)


def open_file(visit: Visit, path: Path) -> Page:
    """Open a file from disk, with the network cut."""
    visit.page.context.set_offline(True)
    visit.page.goto(path.as_uri())
    wait_until(visit.page, "Boolean(document.querySelector('.chart-sheet')?.timeChart?.visibleRange())")
    return visit.page


def save(service: str, run: str, folder: Path, change: tuple[bytes, bytes] = (b"", b"")) -> Path:
    response = httpx.get(f"{service}/api/backtests/{run}/report.html", timeout=60)
    assert response.status_code == 200
    path = folder / "report.html"
    path.write_bytes(response.content.replace(*change) if change[0] else response.content)
    return path


def test_report_from_disk_draws_the_series_of_the_api(
    visit: Visit, service: str, long_run: str, tmp_path: Path
) -> None:
    path = save(service, long_run, tmp_path)
    assert path.stat().st_size <= MAX_BYTES
    page = open_file(visit, path)
    shown: dict[str, Any] = drawn(page)
    columns = api(service, f"{long_run}/series?points=2000")["columns"]
    for name in ("equity", "buy_and_hold", "drawdown", "close"):
        assert values(shown[name]["points"]) == expected(columns, name), name
    verdict = api(service, f"{long_run}?rows=false")["judgement"]["verdict"]
    for reason in verdict["reasons"]:
        expect(page.locator(".doubts")).to_contain_text(reason["text"])
    assert page.get_by_role("button", name="Run again").count() == 0
    assert visit.violations() == []


def test_report_runs_no_other_script(chromium: Browser, service: str, long_run: str, tmp_path: Path) -> None:
    path = save(service, long_run, tmp_path, (b'<main id="main"', b'<script>window.ran = 1</script><main id="main"'))
    with visiting(chromium, service) as visit:
        page = open_file(visit, path)
        assert page.evaluate("window.ran") is None
        assert any("Content Security Policy" in problem for problem in visit.problems)
        visit.problems.clear()


def test_report_link_of_page_saves_a_file(visit: Visit, long_run: str) -> None:
    page = visit.open(f"/runs/{long_run}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export report").click()
    assert download.value.suggested_filename == f"tear-sheet-{long_run}.html"
