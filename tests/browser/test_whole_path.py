"""The whole path of a newcomer: example, tear sheet, another parameter, comparison, own model, report from disk."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect
from sklearn.linear_model import LogisticRegression

from src.features.names import FEATURE_NAMES
from tests.browser.chromium import Visit
from tests.browser.sheets import drawn, wait_until

RESULT_PAGE = re.compile(r"/runs/[\w-]+$")
RUN_TIMEOUT_MS = 120_000


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    rows = pd.DataFrame(np.random.default_rng(3).normal(size=(300, 14)), columns=list(FEATURE_NAMES))
    path = tmp_path / "own model.joblib"
    joblib.dump(LogisticRegression().fit(rows, rows["Returns"] > 0), path)
    return path


def read_sheet(page: Page) -> str:
    """Wait for a tear sheet that is drawn; return its run's id."""
    page.wait_for_url(RESULT_PAGE, timeout=RUN_TIMEOUT_MS)
    wait_until(page, "Boolean(document.querySelector('.chart-sheet')?.timeChart?.visibleRange())")
    expect(page.locator(".doubts .verdict")).to_be_visible()
    assert len(drawn(page)["equity"]["points"]) > 100
    return page.url.rsplit("/", 1)[1]


def test_newcomer_goes_from_example_to_report(visit: Visit, model_file: Path, tmp_path: Path) -> None:
    page = visit.open("/")
    page.get_by_role("button", name="Run an example").click()
    first = read_sheet(page)

    page.get_by_role("link", name="Change and run").click()
    page.get_by_label("Fast").fill("10")
    page.get_by_role("button", name="Run backtest").click()
    page.wait_for_url(RESULT_PAGE, timeout=RUN_TIMEOUT_MS)
    second = read_sheet(page)
    assert second != first

    page.get_by_role("link", name="Compare", exact=True).click()
    page.get_by_label("Add a run").select_option(first)
    expect(page.locator(".differs")).to_have_count(1)
    assert page.locator(".differs td").all_inner_texts() == ["10", "20"]
    wait_until(page, "Object.keys(document.querySelector('.chart-compare').timeChart.drawn()).length === 2")

    page.get_by_role("link", name="New run").click()
    page.get_by_role("tab", name="Model file").click()
    trained_until = datetime.now(UTC) - timedelta(days=400)
    page.get_by_label("Trained until").fill(f"{trained_until:%Y-%m-%d}")
    page.locator("#model-file").set_input_files(model_file)
    expect(page.get_by_text(f"trained until {trained_until:%Y-%m-%d}")).to_be_visible()
    page.get_by_label("Source").select_option("simulated")
    page.locator("#market-limit").fill("800")
    page.get_by_role("button", name="Run backtest").click()
    read_sheet(page)
    expect(page.get_by_role("heading", name="Probability of the model")).to_be_visible()
    expect(page.get_by_role("heading", name="Out of sample")).to_be_visible()
    assert drawn(page, ".chart-small")["probability"]["levels"] == [0.5]
    assert page.evaluate("document.querySelector('.chart-sheet').timeChart.shaded().length") == 1

    equity = drawn(page)["equity"]["points"]
    with page.expect_download() as download:
        page.get_by_role("link", name="Export report").click()
    report = tmp_path / "report.html"
    download.value.save_as(report)
    page.context.set_offline(True)
    page.goto(report.as_uri())
    wait_until(page, "Boolean(document.querySelector('.chart-sheet')?.timeChart?.visibleRange())")
    assert drawn(page)["equity"]["points"] == equity
