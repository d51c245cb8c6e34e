"""The form of a new sweep: its cost while one types, and what is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Visit
from tests.browser.states import HOSTILE, LONG, PHONE, assert_fits, assert_shown_as_text, open_all_details
from tests.browser.sweeps import PAIRS, read, wait_for_job

Opening = Callable[..., AbstractContextManager[Visit]]

SWEEP_PAGE = re.compile(r"/sweeps/[0-9a-f-]{36}$")
WALK_PAGE = re.compile(r"/walk-forwards/[0-9a-f-]{36}$")


def fill_range(page: Page, name: str, start: str, end: str, step: str = "") -> None:
    for part, text in (("from", start), ("to", end), ("step", step)):
        page.locator(f"#swept-{name}-{part}").fill(text)


def simulate(page: Page) -> None:
    page.get_by_label("Source").select_option("simulated")
    page.locator("#market-limit").fill("900")
    page.locator("#market-seed").fill("7")


def start_and_read(page: Page, service: str, button: str, address: re.Pattern[str], path: str) -> dict[str, Any]:
    """Start what the form says; return what the service read in it."""
    page.get_by_role("button", name=button).click()
    page.wait_for_url(address, timeout=60_000)
    found: dict[str, Any] = read(service, f"{path}/{page.url.rsplit('/', 1)[1]}")["settings"]
    return found


def test_cost_is_estimated_while_one_types(visit: Visit) -> None:
    page = visit.open("/sweeps/new")
    fill_range(page, "fast", "2", "101")
    fill_range(page, "slow", "2", "101")
    # The first estimate of a process loads the compiled code of sweeps.
    expect(page.locator(".estimate")).to_contain_text(f"{PAIRS:,}", timeout=120_000)
    expect(page.locator(".run-box")).to_contain_text(f"{PAIRS:,} trials will be counted")


def test_filled_in_sweep_is_sent(visit: Visit, service: str) -> None:
    page = visit.open("/sweeps/new")
    fill_range(page, "fast", "5", "15", "5")
    page.locator("#swept-slow-list").fill("30, 60")
    page.locator("#add-parameter").select_option("direction")
    page.locator("#swept-direction-list").fill("LONG")
    page.locator("#objective-metric").select_option("calmar_ratio")
    page.locator("#objective-min_trades").fill("2")
    page.get_by_role("button", name="Add a constraint").click()
    page.get_by_label("Left side of constraint 1").select_option("max_drawdown")
    page.get_by_label("Operator of constraint 1").select_option("AT_MOST")
    page.get_by_label("Right side of constraint 1").fill("60")
    page.locator("#trading-fees").fill("0.002")
    simulate(page)
    sent = start_and_read(page, service, "Start sweep", SWEEP_PAGE, "sweeps")
    fast, slow, direction = sent["parameters"]
    assert (fast["range"]["from"], fast["range"]["to"], fast["range"]["step"]) == (5, 15, 5)
    assert (slow["values"], direction["values"]) == ([30, 60], ["LONG"])
    assert sent["objective"] == {"metric": "calmar_ratio", "direction": "MAXIMIZE", "min_trades": 2}
    assert sent["constraints"] == [{"metric": "max_drawdown", "operator": "AT_MOST", "value": 60.0}]
    assert (sent["backtest"]["fees"], sent["backtest"]["seed"], sent["backtest"]["source"]) == (0.002, 7, "simulated")


def test_parameter_that_is_not_swept_keeps_its_value(visit: Visit, service: str) -> None:
    page = visit.open("/sweeps/new")
    page.get_by_label("Strategy").select_option("rsi")
    page.locator("#add-parameter").select_option("low")
    fill_range(page, "low", "20", "40", "10")
    page.locator("#strategy-length").fill("9")
    simulate(page)
    sent = start_and_read(page, service, "Start sweep", SWEEP_PAGE, "sweeps")
    assert sent["backtest"]["strategy"] == {"name": "rsi", "parameters": {"length": 9, "low": 30.0, "high": 70.0}}
    assert [item["name"] for item in sent["parameters"]] == ["low"]


def test_range_of_equal_ratios_is_sent(visit: Visit, service: str) -> None:
    page = visit.open("/sweeps/new")
    fill_range(page, "fast", "2", "16")
    page.locator("#swept-fast-scale").select_option("LOGARITHMIC")
    expect(page.locator("[data-name='fast']").get_by_label("Ratio")).to_be_visible()
    page.locator("#swept-fast-step").fill("2")
    page.locator("#swept-slow-list").fill("30")
    expect(page.locator("#swept-slow-scale")).to_have_count(0)
    simulate(page)
    sent = start_and_read(page, service, "Start sweep", SWEEP_PAGE, "sweeps")
    assert sent["parameters"][0]["range"] == {"from": 2.0, "to": 16.0, "step": 2.0, "scale": "LOGARITHMIC"}
    sweep_id = page.url.rsplit("/", 1)[1]
    wait_for_job(service, sweep_id, {"SUCCEEDED"})
    rows = read(service, f"sweeps/{sweep_id}/rows", sort_by="row")["items"]
    assert [row["fast"] for row in rows] == [2, 4, 8, 16]


def test_numbers_that_rules_name_are_swept(visit: Visit, service: str) -> None:
    page = visit.open("/sweeps/new")
    page.get_by_label("Strategy").select_option("rules")
    expect(page.locator("#add-parameter option[value='n']")).to_have_count(0)
    page.locator("#rule-buy").fill("rsi({n}) < {low}")
    page.locator("#rule-sell").fill("rsi({n}) > 60")
    page.locator("#rule-parameters").fill("n = 14, low = 30")
    expect(page.get_by_text("The rules can be traded")).to_be_visible()
    page.locator("#add-parameter").select_option("n")
    page.locator("#swept-n-list").fill("5, 9")
    page.locator("#add-parameter").select_option("low")
    fill_range(page, "low", "20", "40", "10")
    expect(page.get_by_role("button", name="Remove {low}")).to_be_visible()
    simulate(page)
    expect(page.locator(".estimate")).to_contain_text("Combinations6", timeout=120_000)
    sent = start_and_read(page, service, "Start sweep", SWEEP_PAGE, "sweeps")
    assert [(item["name"], item["values"]) for item in sent["parameters"]] == [("n", [5, 9]), ("low", None)]
    strategy = sent["backtest"]["strategy"]
    assert (strategy["name"], strategy["parameters"]["buy"]) == ("rules", "rsi({n}) < {low}")
    assert strategy["parameters"]["parameters"] == {"n": 14.0, "low": 30.0}
    sweep_id = page.url.rsplit("/", 1)[1]
    wait_for_job(service, sweep_id, {"SUCCEEDED"})
    rows = read(service, f"sweeps/{sweep_id}/rows", sort_by="row")["items"]
    assert [(row["n"], row["low"]) for row in rows] == [(n, low) for n in (5, 9) for low in (20, 30, 40)]


def test_sweep_without_any_rule_cannot_be_started(visit: Visit) -> None:
    page = visit.open("/sweeps/new")
    page.get_by_label("Strategy").select_option("rules")
    page.locator("#add-parameter").select_option("fees")
    fill_range(page, "fees", "0", "0.002", "0.001")
    expect(page.get_by_role("button", name="Start sweep")).to_be_disabled()
    page.get_by_role("button", name="Fill in an example").click()
    expect(page.get_by_role("button", name="Start sweep")).to_be_enabled()
    expect(page.locator("#add-parameter option[value='slow']")).to_have_text("{slow}")


def test_wrong_range_is_told_at_its_field(visit: Visit) -> None:
    page = visit.open("/sweeps/new")
    fill_range(page, "slow", "50", "20")
    page.get_by_role("button", name="Start sweep").click()
    wrong = page.locator("#swept-slow-to")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_be_focused()
    expect(page.locator("#swept-slow-to-error")).to_contain_text("To (20.0) must not be less than from (50.0).")
    expect(page.locator("#swept-fast-to")).not_to_have_attribute("aria-invalid", "true")


def test_walk_forward_is_sent_with_its_windows(visit: Visit, service: str) -> None:
    page = visit.open("/sweeps/new")
    page.get_by_label("Choose anew").check()
    page.locator("#windows-train_bars").fill("400")
    page.locator("#windows-test_bars").fill("100")
    page.locator("#windows-purge_bars").fill("5")
    simulate(page)
    sent = start_and_read(page, service, "Start walk-forward", WALK_PAGE, "walk-forwards")
    assert (sent["train_bars"], sent["test_bars"], sent["purge_bars"], sent["step_bars"]) == (400, 100, 5, 100)
    assert [item["name"] for item in sent["sweep"]["parameters"]] == ["fast", "slow"]


def test_sweep_that_is_refused_says_why(visit: Visit) -> None:
    page = visit.open("/sweeps/new")
    fill_range(page, "fast", "5", "three")
    expect(page.locator(".run-box .notice").first).to_contain_text("three")
    page.get_by_role("button", name="Start sweep").click()
    expect(page.get_by_role("alert")).to_contain_text("three")
    expect(page.get_by_role("button", name="Start sweep")).to_be_enabled()


def test_nothing_swept_cannot_be_started(visit: Visit) -> None:
    page = visit.open("/sweeps/new")
    page.get_by_role("button", name="Remove Fast").click()
    page.get_by_role("button", name="Remove Slow").click()
    expect(page.get_by_role("button", name="Start sweep")).to_be_disabled()
    expect(page.get_by_text("Choose what is swept")).to_be_visible()


def stored_model(name: str) -> dict[str, Any]:
    return {"filename": name, "model_name": name, "file_size": 5, "trained_to": None, "model": None}


def test_stored_model_is_swept_by_its_threshold(visit: Visit) -> None:
    sent: list[Any] = []
    visit.answer("/api/models/user/me", [stored_model("first.pkl")])
    visit.page.route("**/api/sweeps/estimate", lambda route: (sent.append(route.request.post_data_json), route.abort()))
    page = visit.open("/sweeps/new")
    page.get_by_label("Strategy").select_option("model")
    page.get_by_label("Model file").select_option("first.pkl")
    page.locator("#add-parameter").select_option("threshold")
    with page.expect_request("**/api/sweeps/estimate"):
        fill_range(page, "threshold", "0.4", "0.6", "0.05")
    expect(page.get_by_text("The service does not respond")).to_be_visible()
    assert sent[-1]["ml_backtest"]["model_path"] == "first.pkl"
    assert sent[-1]["parameters"] == [{"name": "threshold", "range": {"from": 0.4, "to": 0.6, "step": 0.05}}]


def test_hostile_names_are_shown_as_text(visit: Visit) -> None:
    visit.answer("/api/models/user/me", [stored_model(HOSTILE)])
    visit.answer("/api/data/user/me", [{"name": HOSTILE, "symbol": "BTCUSDT", "interval": "1d", "bars": 5}])
    page = visit.open("/sweeps/new")
    page.get_by_label("Strategy").select_option("model")
    expect(page.locator("#sweep-model")).to_contain_text(HOSTILE)
    page.get_by_label("Source").select_option(HOSTILE)
    assert_shown_as_text(page)


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1360, "height": 900}], ids=["phone", "desktop"])
def test_form_is_accessible_and_fits(visit_with: Opening, viewport: dict[str, int]) -> None:
    with visit_with(viewport=viewport) as visit:
        visit.answer("/api/models/user/me", [stored_model(LONG)])
        page = visit.open("/sweeps/new")
        page.get_by_label("Choose anew").check()
        page.locator("#add-parameter").select_option("direction")
        page.locator("#windows-train_bars").fill("400")
        page.locator("#windows-test_bars").fill("100")
        fill_range(page, "slow", "50", "20")
        page.get_by_role("button", name="Start walk-forward").click()
        expect(page.locator("#swept-slow-to-error")).to_be_visible()
        page.get_by_role("button", name="Add a constraint").click()
        open_all_details(page)
        assert visit.violations_in_both_schemes() == []
        assert_fits(page)


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1360, "height": 900}], ids=["phone", "desktop"])
def test_form_of_rules_is_accessible_and_fits(visit_with: Opening, viewport: dict[str, int]) -> None:
    with visit_with(viewport=viewport) as visit:
        page = visit.open("/sweeps/new")
        page.get_by_label("Strategy").select_option("rules")
        page.get_by_role("button", name="Fill in an example").click()
        page.locator("#rule-parameters").fill(f"fast = 12, slow = 26, {LONG} = 5")
        for name in ("fast", LONG):
            page.locator("#add-parameter").select_option(name)
        expect(page.locator(".swept")).to_have_count(2)
        open_all_details(page)
        assert visit.violations() == []
        assert_fits(page)
