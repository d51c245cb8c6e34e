"""The page of data: reports equal the API's, gaps are drawn at their places, files become datasets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.browser.chromium import Visit
from tests.browser.states import HOSTILE, LONG, PHONE, assert_fits, assert_shown_as_text, hostile, open_all_details

Opening = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture
def gappy_file(tmp_path: Path) -> Path:
    """Bars of 2024-01-01 to 2024-01-20, without the 5th, 6th and 13th day."""
    days = [day for day in range(1, 21) if day not in {5, 6, 13}]
    rows = [f"2024-01-{day:02},10{day},20{day},5{day},11{day},1\n" for day in days]
    path = tmp_path / "gappy.csv"
    path.write_text("Date,Open,High,Low,Close,Volume\n" + "".join(rows))
    return path


def share_of(rectangle: Locator) -> tuple[float, float]:
    """Return the start and the width of what is drawn, as shares of the time line."""
    return tuple(float((rectangle.get_attribute(name) or "").rstrip("%")) / 100 for name in ("x", "width"))  # type: ignore[return-value]


def ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


def test_upload_becomes_a_dataset_with_its_gaps(visit: Visit, service: str, gappy_file: Path) -> None:
    page = visit.open("/data")
    expect(page.get_by_text("me has no datasets yet.")).to_be_visible()
    page.locator("#bars-file").set_input_files(gappy_file)
    page.locator("#upload-symbol").fill("BTCUSDT")
    page.get_by_role("button", name="Store as a dataset").click()
    dataset = page.locator(".datasets > li")
    expect(dataset).to_contain_text("gappy")
    expect(dataset).to_contain_text("17 bars")
    [stored] = httpx.get(f"{service}/api/data/user/me").json()["data"]
    quality = stored["quality"]
    drawn = dataset.locator(".timeline-gap")
    expect(drawn).to_have_count(len(quality["gaps"]))
    start, end = ms(quality["first_open"]), ms(quality["last_close"])
    for index, gap in enumerate(quality["gaps"]):
        x, width = share_of(drawn.nth(index))
        assert start + x * (end - start) == pytest.approx(ms(gap["after"]), abs=1000)
        assert start + (x + width) * (end - start) == pytest.approx(ms(gap["next"]), abs=1000)
    expect(dataset.get_by_role("link", name="Use in a run")).to_have_attribute("href", "/new?source=gappy")
    page.get_by_role("button", name="Delete gappy").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("me has no datasets yet.")).to_be_visible()
    assert httpx.get(f"{service}/api/data/user/me").json()["data"] == []


def test_wrong_upload_is_named_at_its_field(visit: Visit, gappy_file: Path) -> None:
    page = visit.open("/data")
    page.locator("#bars-file").set_input_files(gappy_file)
    page.get_by_role("button", name="Store as a dataset").click()
    expect(page.locator("#upload-symbol-error")).to_contain_text("symbol is required")


def test_report_shows_the_figures_of_the_api(visit: Visit, service: str) -> None:
    page = visit.open("/data")
    page.locator("#check-limit").fill("500")
    page.get_by_role("button", name="Check these bars").click()
    query = {"symbol": "BTCUSDT", "interval": "1d", "limit": 500}
    expect(page.locator(".facts")).to_be_visible(timeout=60_000)
    report = httpx.get(f"{service}/api/data/quality", params=query).json()["data"]
    facts = dict(
        zip(page.locator(".facts dt").all_inner_texts(), page.locator(".facts dd").all_inner_texts(), strict=True)
    )
    assert facts["Bars"] == f"{report['present_bars']:,} of {report['expected_bars']:,}"
    assert facts["Missing"] == f"{report['missing_bars']:,}"
    assert facts["Without a trade"] == f"{report['zero_volume_bars']:,}"
    expect(page.locator(".timeline svg").first).to_have_attribute("data-gaps", str(len(report["gaps"])))
    page.reload()
    expect(page.locator(".facts")).to_be_visible()  # the address holds what was asked


def test_unknown_symbol_is_told(visit: Visit) -> None:
    page = visit.open("/data?symbol=NOSUCHCOIN")
    expect(page.locator(".field-error, .notice-error")).to_contain_text("NOSUCHCOIN")


def test_downloads_show_their_progress(visit: Visit) -> None:
    row = {"symbol": "BTCUSDT", "interval": "1m", "done_bars": 250, "expected_bars": 1000, "share": 0.25}
    visit.answer("/api/data/downloads", [row | {"ways": ["REST", "archive"], "started_at": "2026-01-01T00:00:00Z"}])
    page = visit.open("/data")
    expect(page.get_by_role("progressbar", name="Download of BTCUSDT 1m")).to_have_js_property("value", 0.25)
    expect(page.locator(".downloads")).to_contain_text("250 of 1,000 bars")
    expect(page.locator(".downloads")).to_contain_text("25 %")


def dataset(**changes: Any) -> dict[str, Any]:
    quality = {
        "first_open": "2020-01-01T00:00:00Z",
        "last_close": "2020-03-01T00:00:00Z",
        "missing_bars": 1,
        "gaps": [],
    }
    return {
        "name": "a",
        "symbol": "BTCUSDT",
        "interval": "1d",
        "bars": 60,
        "file_size": 5_000_000,
        "original_filename": "a.csv",
        "uploaded_at": "2026-01-01T00:00:00Z",
        "quality": quality,
        "warnings": ["w"],
    } | changes


def test_hostile_names_are_shown_as_text(visit: Visit) -> None:
    visit.answer("/api/data/user/me", [hostile(dataset())])
    visit.answer(
        "/api/data/downloads",
        [hostile({"symbol": "", "interval": "", "done_bars": 1, "expected_bars": 2, "share": 0.5, "ways": [""]})],
    )
    page = visit.open("/data")
    expect(page.locator(".datasets h3")).to_have_text(HOSTILE)
    expect(page.locator(".downloads strong")).to_contain_text(HOSTILE)
    assert_shown_as_text(page)


def test_lists_that_cannot_load_say_why(visit: Visit) -> None:
    visit.answer("/api/data/user/me", {"message": "The disk is gone.", "code": "STORE_UNAVAILABLE"}, status=503)
    page = visit.open("/data")
    expect(page.get_by_role("alert")).to_contain_text("The disk is gone.")
    expect(page.get_by_role("button", name="Check these bars")).to_be_enabled()


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1360, "height": 900}], ids=["phone", "desktop"])
def test_page_is_accessible_and_fits(visit_with: Opening, gappy_file: Path, viewport: dict[str, int]) -> None:
    with visit_with(viewport=viewport) as visit:
        many = [
            {"after": f"2020-01-{day:02}T00:00:00Z", "next": f"2020-01-{day + 2:02}T00:00:00Z", "missing_bars": 1}
            for day in range(1, 29)
        ]
        visit.answer(
            "/api/data/user/me",
            [dataset(), dataset(name=LONG, original_filename=LONG, quality=dataset()["quality"] | {"gaps": many})],
        )
        page = visit.open("/data?symbol=BTCUSDT&limit=50&source=simulated&seed=3")
        expect(page.locator(".facts")).to_be_visible()
        page.locator("#bars-file").set_input_files(gappy_file)
        open_all_details(page)
        assert visit.violations_in_both_schemes() == []
        assert_fits(page)
