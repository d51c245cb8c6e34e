"""The form of a new run: made from the service's descriptions, checked by it, and sent as the user filled it in."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect
from sklearn.linear_model import LogisticRegression

from src.features.names import FEATURE_NAMES
from tests.browser.chromium import Visit
from tests.browser.states import HOSTILE, LONG, PHONE, assert_fits, assert_shown_as_text, hostile, open_all_details

Opening = Callable[..., AbstractContextManager[Visit]]

RESULT_PAGE = re.compile(r"/runs/[\w-]+$")
HOSTILE_FILE = "<img src=x onerror=alert(1)>.pkl"
KINDS = ["Model file", "Strategy", "Rules"]


@pytest.fixture(scope="module")
def catalog(service: str) -> dict[str, Any]:
    return httpx.get(f"{service}/api/strategies").json()["data"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / HOSTILE_FILE
    rows = pd.DataFrame(np.random.default_rng(3).normal(size=(200, 14)), columns=list(FEATURE_NAMES))
    joblib.dump(LogisticRegression().fit(rows, rows.iloc[:, 0] > 0), path)
    return path


def simulate(page: Page, *, bars: int = 600) -> None:
    page.get_by_label("Source").select_option("simulated")
    page.locator("#market-limit").fill(str(bars))
    page.get_by_label("Seed").fill("7")


def run_and_read(page: Page, service: str) -> dict[str, Any]:
    """Run what the form says; return the stored result."""
    page.get_by_role("button", name="Run backtest").click()
    page.wait_for_url(RESULT_PAGE, timeout=120_000)
    return httpx.get(f"{service}/api/backtests/{page.url.rsplit('/', 1)[1]}").json()["data"]


def test_every_preset_has_the_fields_of_the_catalog(visit: Visit, catalog: dict[str, Any]) -> None:
    page = visit.open("/new")
    for strategy in catalog["strategies"]:
        if strategy["name"] in {"model", "rules"}:
            continue
        page.locator("#preset").select_option(strategy["name"])
        expect(page.locator("#preset-help")).to_have_text(strategy["meaning"])
        names = page.locator("[id^=strategy-]:is(input, select)").evaluate_all("all => all.map(one => one.id)")
        assert names == [f"strategy-{parameter['name']}" for parameter in strategy["parameters"]]


def test_changed_parameters_and_costs_are_sent(visit: Visit, service: str) -> None:
    page = visit.open("/new")
    page.locator("#preset").select_option("ema_crossover")
    page.get_by_label("Fast").fill("8")
    page.get_by_label("Fees").fill("0.002")
    simulate(page)
    result = run_and_read(page, service)
    assert result["strategy"]["name"] == "EMA Crossover"
    settings = result["settings"]
    assert (settings["fast"], settings["slow"], settings["fees"]) == (8, 50, 0.002)
    assert (settings["source"], settings["seed"], settings["limit"]) == ("simulated", 7, 600)


def test_strategy_without_parameters_runs(visit: Visit, service: str) -> None:
    page = visit.open("/new?strategy=buy_and_hold")
    simulate(page)
    assert run_and_read(page, service)["strategy"]["name"] == "Buy and Hold"


@pytest.mark.parametrize(
    ("label", "text", "message"),
    [
        ("Fast", "60", "Fast (60) must be less than slow (50)."),
        ("Fast", "abc", "Fast is 'abc'. Allowed: a whole number."),
        ("Fees", "2", "Fees is 2.0. Allowed: 0 ≤ x < 1."),
        ("Starting cash", "0", "Starting cash is 0.0. Allowed: x > 0."),
        ("Symbol", "", "Symbol is required."),
    ],
)
def test_wrong_value_is_named_at_its_field(visit: Visit, label: str, text: str, message: str) -> None:
    page = visit.open("/new")
    simulate(page)
    page.get_by_label(label, exact=False).first.fill(text)
    page.get_by_role("button", name="Run backtest").click()
    error = page.locator(".field-error")
    expect(error).to_have_count(1)
    expect(error).to_contain_text(message.split(".", maxsplit=1)[0])
    field = page.locator(".has-error input")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")


def test_rules_are_checked_while_one_types(visit: Visit, service: str) -> None:
    page = visit.open("/new")
    page.get_by_role("tab", name="Rules").click()
    buy = page.locator("#rule-buy")
    buy.fill("rsii(14) < 30")
    expect(page.locator("#rule-buy-error")).to_contain_text("Unknown name 'rsii'. Did you mean rsi?")
    expect(page.locator("#rule-buy-error pre")).to_contain_text("^")
    expect(buy).to_have_attribute("aria-invalid", "true")
    buy.fill("rsi({n}) < 30")
    expect(page.locator("#panel-rules")).to_contain_text("n")
    page.get_by_label("Parameters").fill("n = 10")
    page.locator("#rule-sell").fill("rsi({n}) > 60")
    expect(page.get_by_text("The rules can be traded")).to_be_visible()
    simulate(page)
    result = run_and_read(page, service)
    assert result["settings"]["buy"] == "rsi({n}) < 30"
    assert result["settings"]["parameters"] == {"n": 10}


def test_example_rules_can_be_traded(visit: Visit) -> None:
    page = visit.open("/new")
    page.get_by_role("tab", name="Rules").click()
    page.get_by_role("button", name="Fill in an example").click()
    expect(page.get_by_text("The rules can be traded")).to_be_visible()


def test_training_is_asked_before_the_model_file(visit: Visit, service: str, model_file: Path) -> None:
    page = visit.open("/new")
    page.get_by_role("tab", name="Model file").click()
    expect(page.locator("#model-file")).to_be_disabled()
    expect(page.get_by_role("button", name="Run backtest")).to_be_disabled()
    page.get_by_label("Trained until").fill("2023-12-31")
    expect(page.locator("#model-file")).to_be_enabled()
    page.locator("#model-file").set_input_files(model_file)
    chosen = page.locator(".stored-model:has(:checked)")
    expect(chosen).to_contain_text("<img src=x onerror=alert(1)>", timeout=60_000)
    expect(chosen).to_contain_text("trained until 2023-12-31")
    expect(chosen).to_contain_text("14 features")
    assert page.locator("#main img").count() == 0
    [stored] = httpx.get(f"{service}/api/models/user/me").json()["data"]
    assert stored["trained_to"] == "2023-12-31T23:59:59.999Z"
    simulate(page)
    result = run_and_read(page, service)
    assert result["model_sha256"] == stored["sha256"]
    assert result["strategy"]["trained_to"] == "2023-12-31T23:59:59.999Z"


def test_unknown_training_window_is_an_answer(visit: Visit) -> None:
    page = visit.open("/new")
    page.get_by_role("tab", name="Model file").click()
    page.get_by_label("I do not know").check()
    expect(page.get_by_text("The verdict will say that the training window is unknown.")).to_be_visible()
    expect(page.locator("#model-file")).to_be_enabled()


def test_file_that_is_no_model_is_refused_with_its_reason(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    page = visit.open("/new")
    page.get_by_role("tab", name="Model file").click()
    page.get_by_label("I do not know").check()
    page.locator("#model-file").set_input_files(tmp_path / "notes.txt")
    expect(page.get_by_role("alert")).to_contain_text("notes.txt")
    expect(page.get_by_role("button", name="Run backtest")).to_be_disabled()


def test_earlier_run_fills_in_the_form(visit: Visit, service: str) -> None:
    body = {"user_id": "me", "symbol": "ETHUSDT", "source": "simulated", "seed": 5, "interval": "4h", "limit": 700}
    body |= {"fees": 0.003, "engine": "EVENT_DRIVEN", "stop_loss": 0.05, "strategy": {"rsi": {"length": 9}}}
    earlier = httpx.post(f"{service}/api/backtests", json=body, timeout=120).json()["data"]
    page = visit.open(f"/new?from={earlier['id']}")
    expect(page.get_by_label("Length")).to_have_value("9")
    expect(page.locator("#trading-stop_loss")).to_have_value("0.05")
    page.get_by_label("Length").fill("21")
    result = run_and_read(page, service)
    assert result["settings"] == earlier["settings"] | {"length": 21}
    assert (result["symbol"], result["interval"], result["engine"]) == ("ETHUSDT", "4h", "EVENT_DRIVEN")
    assert result["metrics"]["start"] == earlier["metrics"]["start"]


@pytest.mark.parametrize(
    ("start", "end", "kind"),
    [("2024-01-01", "2024-06-30", "date"), ("2024-01-01T06:00:00Z", "2024-06-30T06:00:00Z", "text")],
)
def test_earlier_range_is_kept_to_the_instant(visit: Visit, service: str, start: str, end: str, kind: str) -> None:
    body = {"user_id": "me", "symbol": "BTCUSDT", "source": "simulated", "seed": 5, "interval": "6h"}
    body |= {"start_date": start, "end_date": end, "strategy": {"rsi": {}}}
    earlier = httpx.post(f"{service}/api/backtests", json=body, timeout=120).json()["data"]
    page = visit.open(f"/new?from={earlier['id']}")
    for label, value in (("Start date", start), ("End date", end)):
        expect(page.get_by_label(label)).to_have_value(value)
        expect(page.get_by_label(label)).to_have_attribute("type", kind)
    assert run_and_read(page, service)["data_fingerprint"] == earlier["data_fingerprint"]


def test_rules_that_call_a_model_ask_for_it(visit: Visit, service: str, model_file: Path) -> None:
    with model_file.open("rb") as file:
        form = {"user_id": "me", "model_name": "second", "trained_to": "2023-12-31"}
        upload = httpx.post(f"{service}/api/models/upload", data=form, files={"file": file}, timeout=60)
    filename = upload.json()["data"]["filename"]
    page = visit.open("/new")
    page.get_by_role("tab", name="Rules").click()
    expect(page.locator("#rule-model_path")).to_have_count(0)
    page.locator("#rule-buy").fill("model() >= 0.5")
    page.locator("#rule-sell").fill("model() < 0.5")
    page.locator("#rule-model_path").select_option(filename)
    simulate(page)
    assert run_and_read(page, service)["strategy"]["model_path"].endswith(filename)


def test_tabs_are_moved_by_arrows(visit: Visit) -> None:
    page = visit.open("/new")
    page.get_by_role("tab", name="Strategy").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Rules")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Rules")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Model file")).to_be_focused()


def test_run_is_canceled(visit: Visit) -> None:
    visit.page.route("**/api/backtests", lambda route: None)
    page = visit.open("/new")
    page.get_by_role("button", name="Run backtest").click()
    expect(page.get_by_role("button", name="Running")).to_be_disabled()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Run backtest")).to_be_enabled()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_running_shows_downloads(visit: Visit) -> None:
    row = {"symbol": "BTCUSDT", "interval": "1m", "done_bars": 250, "expected_bars": 1000, "share": 0.25}
    visit.answer("/api/data/downloads", [row | {"ways": ["REST"], "started_at": "2026-01-01T00:00:00Z"}])
    visit.page.route("**/api/backtests", lambda route: None)
    page = visit.open("/new")
    page.get_by_role("button", name="Run backtest").click()
    expect(page.get_by_role("progressbar", name="Download of BTCUSDT 1m")).to_have_js_property("value", 0.25)


def test_form_that_cannot_load_says_why(visit: Visit) -> None:
    visit.answer("/api/strategies", {"message": HOSTILE, "code": "BUSY"}, status=503)
    page = visit.open("/new")
    expect(page.get_by_role("alert")).to_contain_text(HOSTILE)
    assert page.evaluate("window.ran") is None


def test_hostile_names_are_shown_as_text(visit: Visit, service: str) -> None:
    dataset = {"name": HOSTILE, "symbol": "BTCUSDT", "interval": "1d", "bars": 5}
    model = {"filename": HOSTILE, "model_name": HOSTILE, "file_size": 5, "trained_to": None}
    visit.answer("/api/data/user/me", [dataset])
    visit.answer(
        "/api/models/user/me", [model | {"model": {"format": HOSTILE, "n_features": None, "warnings": [HOSTILE]}}]
    )
    catalog = httpx.get(f"{service}/api/strategies").json()["data"]
    keep = frozenset({"name", "type", "choices"})
    visit.answer("/api/strategies", hostile(catalog, but=keep))
    page = visit.open("/new")
    expect(page.locator("#preset-help")).to_have_text(HOSTILE)
    assert_shown_as_text(page)
    page.get_by_role("tab", name="Model file").click()
    page.get_by_role("radio").check()
    expect(page.locator(".stored-model")).to_contain_text(HOSTILE)
    assert_shown_as_text(page)


def test_long_names_fit_a_phone(visit_with: Opening) -> None:
    model = {"filename": LONG, "model_name": LONG, "file_size": 5, "trained_to": None, "model": None}
    with visit_with(viewport=PHONE) as visit:
        visit.answer("/api/models/user/me", [model])
        visit.answer("/api/data/user/me", [{"name": LONG, "symbol": "BTCUSDT", "interval": "1d", "bars": 5}])
        page = visit.open("/new")
        page.get_by_role("tab", name="Model file").click()
        expect(page.locator(".stored-model")).to_contain_text(LONG)
        assert_fits(page)


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1360, "height": 900}], ids=["phone", "desktop"])
def test_form_is_accessible_and_fits(visit_with: Opening, viewport: dict[str, int]) -> None:
    with visit_with(viewport=viewport) as visit:
        page = visit.open("/new")
        for kind in KINDS:
            page.get_by_role("tab", name=kind).click()
            if kind == "Rules":
                page.locator("#rule-buy").fill("rsii(14) < 30")
                expect(page.locator("#rule-buy-error")).to_be_visible()
            open_all_details(page)
            assert visit.violations_in_both_schemes() == []
            assert_fits(page)
