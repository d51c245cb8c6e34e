"""The list of runs: what it shows equals the API's figures, in every state, by keyboard and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.chromium import Visit
from tests.browser.states import LONG, PHONE, assert_fits, assert_shown_as_text, hostile

Opening = Callable[..., AbstractContextManager[Visit]]

RULES = {"rules": {"buy": "rsi({n}) < 30", "sell": "rsi({n}) > 60", "parameters": {"n": 14}}}
SERIES = "/api/backtests/*/series*"


def run(service: str, user: str, **fields: Any) -> dict[str, Any]:
    body = {"user_id": user, "symbol": "BTCUSDT", "source": "simulated", "seed": 7, "limit": 600, **fields}
    response = httpx.post(f"{service}/api/backtests", json=body, timeout=120)
    response.raise_for_status()
    return response.json()["data"]


@pytest.fixture(scope="module")
def runs(service: str) -> list[dict[str, Any]]:
    """Three runs of the user `ada`, newest first."""
    run(service, "ada", strategy={"ma_crossover": {"fast": 5, "slow": 20}})
    run(service, "ada", symbol="ETHUSDT", seed=8, strategy=RULES)
    run(service, "ada", seed=9, interval="1h", strategy={"buy_and_hold": True})
    response = httpx.get(f"{service}/api/backtests", params={"user_id": "ada"})
    return response.json()["data"]["items"]


def as_user(visit: Visit, user: str) -> None:
    visit.page.add_init_script(f"localStorage.setItem('user_id', '{user}')")


def signed(value: float) -> str:
    return f"{value:+,.2f} %".replace("-", "−")


def test_empty_list_runs_an_example_with_one_click(visit: Visit, service: str) -> None:
    page = visit.open("/")
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    assert visit.violations() == []
    page.get_by_role("button", name="Run an example").click()
    page.wait_for_url(re.compile(r"/runs/[\w-]+$"), timeout=120_000)
    [stored] = httpx.get(f"{service}/api/backtests", params={"user_id": "me"}).json()["data"]["items"]
    assert page.url.endswith(stored["id"])
    assert stored["settings"]["source"] == "simulated"


def test_rows_show_the_figures_of_the_api(visit: Visit, runs: list[dict[str, Any]]) -> None:
    as_user(visit, "ada")
    page = visit.open("/")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(len(runs))
    for index, stored in enumerate(runs):
        row, metrics = rows.nth(index), stored["metrics"]
        expect(row.locator("td[data-label=Return]")).to_have_text(signed(stored["total_return"]))
        held = row.locator("td[data-label='Buy and hold, no costs']")
        expect(held).to_have_text(signed(metrics["buy_and_hold_return"]))
        expect(row.locator("td[data-label=Sharpe]")).to_have_text(f"{stored['sharpe_ratio']:.2f}".replace("-", "−"))
        expect(row.locator("td[data-label=Drawdown]")).to_have_text(f"{stored['max_drawdown']:.1f} %")
        expect(row.locator("td[data-label=Trades]")).to_have_text(str(stored["total_trades"]))
        expect(row.get_by_role("link")).to_have_attribute("href", f"/runs/{stored['id']}")
        expect(row).to_contain_text(f"{stored['symbol']} {stored['interval']}")


def test_verdict_stands_before_the_return_in_words(visit: Visit, runs: list[dict[str, Any]]) -> None:
    as_user(visit, "ada")
    page = visit.open("/")
    row = page.locator("tbody tr").first
    verdict, figure = row.locator(".verdict"), row.locator("td[data-label=Return]")
    expect(verdict).to_contain_text(re.compile("Disproved|Too little data|Luck not excluded|Doubtful|No objection"))
    assert verdict.bounding_box()["x"] < figure.bounding_box()["x"]


def test_parameters_are_named_by_the_catalog(visit: Visit, runs: list[dict[str, Any]]) -> None:
    as_user(visit, "ada")
    page = visit.open("/")
    expect(page.locator("tbody tr").nth(2)).to_contain_text("fast 5 · slow 20")
    expect(page.locator("tbody tr").nth(1)).to_contain_text("buy rsi({n}) < 30")


def test_filters_narrow_the_list_and_stay_in_the_address(visit: Visit, runs: list[dict[str, Any]]) -> None:
    as_user(visit, "ada")
    page = visit.open("/")
    page.get_by_label("Symbol").fill("ETHUSDT")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Symbol")).to_have_value("ETHUSDT")
    page.get_by_label("Symbol").fill("")
    expect(page.locator("tbody tr")).to_have_count(3)
    levels = [stored["verdict_level"] for stored in runs]
    page.get_by_label("Verdict").select_option(levels[0])
    expect(page.locator("tbody tr")).to_have_count(levels.count(levels[0]))


def test_filter_typed_while_runs_load_is_kept(visit: Visit, runs: list[dict[str, Any]]) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    as_user(visit, "ada")
    visit.page.route("**/api/backtests?*", hold, times=1)
    page = visit.open("/")
    page.get_by_label("Symbol").fill("ETHUSDT")
    assert held
    held[0].continue_()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Symbol")).to_have_value("ETHUSDT")


def test_symbol_without_runs_is_named(visit: Visit, runs: list[dict[str, Any]]) -> None:
    as_user(visit, "ada")
    page = visit.open("/?symbol=XRPUSDT")
    expect(page.get_by_text("ada has no stored backtest on XRPUSDT.")).to_be_visible()


def test_two_runs_are_chosen_by_keyboard_and_compared(visit: Visit, runs: list[dict[str, Any]]) -> None:
    as_user(visit, "ada")
    page = visit.open("/")
    for index in (0, 1):
        page.get_by_role("checkbox").nth(index).focus()
        page.keyboard.press("Space")
    link = page.get_by_role("link", name="Compare")
    expect(link).to_have_attribute("href", f"/compare?ids={runs[0]['id']},{runs[1]['id']}")


def test_chosen_run_is_deleted_after_a_question(visit: Visit, service: str) -> None:
    stored = run(service, "bob")
    as_user(visit, "bob")
    page = visit.open("/")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.get_by_role("button", name="Delete").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    assert httpx.get(f"{service}/api/backtests/{stored['id']}").status_code == 404


def test_more_runs_are_loaded_on_demand(visit: Visit, runs: list[dict[str, Any]]) -> None:
    pages = [
        {"items": runs[:2], "next_cursor": "c", "warnings": []},
        {"items": runs[2:], "next_cursor": None, "warnings": []},
    ]
    visit.answer("/api/backtests?user_id=me&first=50", pages[0])
    visit.answer("/api/backtests?user_id=me&first=50&after=c", pages[1])
    page = visit.open("/")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Load more").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.get_by_role("button", name="Load more")).to_have_count(0)


def test_error_is_shown_and_tried_again(visit: Visit) -> None:
    problem = {
        "message": "The store does not respond.",
        "code": "STORE_UNAVAILABLE",
        "type": "/errors/STORE_UNAVAILABLE",
    }
    visit.answer("/api/backtests?*", problem, status=503)
    page = visit.open("/")
    expect(page.get_by_role("alert")).to_contain_text("The store does not respond.")
    expect(page.get_by_role("link", name="What STORE_UNAVAILABLE means")).to_be_visible()
    assert visit.violations() == []
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_service_that_is_gone_is_said_so(visit: Visit) -> None:
    visit.page.route("**/api/backtests?*", lambda route: route.abort())
    page = visit.open("/")
    expect(page.get_by_role("alert")).to_contain_text("The service does not respond")


def test_loading_is_announced(visit: Visit) -> None:
    held: list[Route] = []
    visit.page.route("**/api/backtests?*", lambda route: held.append(route))  # noqa: PLW0108  (a built-in takes no mark)
    page = visit.open("/")
    expect(page.get_by_role("status").first).to_contain_text("Loading runs")
    held[0].continue_()
    expect(page.get_by_role("heading", name="No runs yet").or_(page.locator("tbody tr").first)).to_be_visible()


def drawn_values(page: Page) -> list[tuple[float, float]]:
    points = page.locator(".spark-line").first.get_attribute("points") or ""
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]


def test_equity_curve_draws_the_values_of_the_api(visit: Visit, runs: list[dict[str, Any]]) -> None:
    equity = [10_000.0, 10_500.0, 9_000.0, 12_000.0]
    visit.answer(SERIES, {"columns": {"equity": equity}, "total": 4, "bars_per_point": 1})
    as_user(visit, "ada")
    page = visit.open("/")
    expect(page.locator(".spark svg").first).to_have_attribute("aria-label", "Equity from 10,000 to 12,000")
    points = drawn_values(page)
    assert [x for x, _ in points] == [0.0, 40.0, 80.0, 120.0]
    heights = [y for _, y in points]
    read_back = [9_000 + (heights[2] - y) / (heights[2] - heights[3]) * 3_000 for y in heights]
    assert read_back == pytest.approx(equity, abs=10)


def test_list_is_whole_without_its_curves(visit: Visit, runs: list[dict[str, Any]]) -> None:
    visit.answer(SERIES, {"message": "no", "code": "INTERNAL_ERROR"}, status=500)
    as_user(visit, "ada")
    page = visit.open("/")
    expect(page.locator("tbody tr")).to_have_count(len(runs))
    expect(page.locator(".spark svg")).to_have_count(0)


@pytest.mark.parametrize("width", [1161, 1280])
def test_all_columns_are_inside_the_card_on_a_desktop(
    visit_with: Opening, runs: list[dict[str, Any]], width: int
) -> None:
    first = runs[0] | {"origin": LONG, "symbol": "1000SATSUSDT", "total_return": 123_456.78, "total_trades": 12_345}
    first["metrics"] = first["metrics"] | {"buy_and_hold_return": 123_456.78, "bars": 2_000_000}
    second = runs[1] | {"strategy": runs[1]["strategy"] | {"name": LONG}}
    with visit_with(viewport={"width": width, "height": 900}) as visit:
        visit.answer("/api/backtests?*", {"items": [first, second], "next_cursor": None, "warnings": []})
        page = visit.open("/")
        expect(page.locator("tbody tr")).to_have_count(2)
        expect(page.locator("thead")).to_be_visible()
        inner, outer = page.locator(".table-wrap").evaluate("(wrap) => [wrap.scrollWidth, wrap.clientWidth]")
        assert inner <= outer


def test_hostile_texts_are_shown_as_text(visit: Visit, runs: list[dict[str, Any]]) -> None:
    visit.answer("/api/backtests?*", {"items": hostile(runs), "next_cursor": None, "warnings": hostile(["a"])})
    page = visit.open("/")
    expect(page.locator("tbody tr")).to_have_count(len(runs))
    assert_shown_as_text(page)


def test_long_texts_and_large_figures_fit_a_phone(visit_with: Opening, runs: list[dict[str, Any]]) -> None:
    stored = runs[0] | {
        "symbol": LONG,
        "origin": LONG,
        "total_return": 1.5e14,
        "sharpe_ratio": None,
        "verdict_level": None,
    }
    stored["strategy"] = stored["strategy"] | {"name": LONG}
    with visit_with(viewport=PHONE) as visit:
        visit.answer("/api/backtests?*", {"items": [stored], "next_cursor": None, "warnings": [LONG]})
        page = visit.open("/")
        expect(page.locator("td[data-label=Return]")).to_have_text("+1.50e14 %")
        expect(page.locator("td[data-label=Sharpe]")).to_have_text("–")
        expect(page.locator(".verdict")).to_contain_text("Not judged")
        assert_fits(page)


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1360, "height": 900}], ids=["phone", "desktop"])
def test_list_is_accessible_and_fits(visit_with: Opening, runs: list[dict[str, Any]], viewport: dict[str, int]) -> None:
    with visit_with(viewport=viewport) as visit:
        as_user(visit, "ada")
        page = visit.open("/")
        expect(page.locator("tbody tr")).to_have_count(len(runs))
        page.get_by_role("checkbox").first.check()
        assert visit.violations_in_both_schemes() == []
        assert_fits(page)


def test_numbers_of_a_rule_stand_before_its_text(visit: Visit, runs: list[dict[str, Any]]) -> None:
    as_user(visit, "ada")
    page = visit.open("/")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="Rules"))
    expect(row.locator(".cell-strategy .clip")).to_have_text("n = 14 · buy rsi({n}) < 30 · sell rsi({n}) > 60")
