"""The page of a portfolio and the form that starts one: what is drawn is what the API says."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Visit
from tests.browser.states import LONG, PHONE, assert_fits, assert_shown_as_text, hostile, open_all_details
from tests.browser.sweeps import read, run_job

Opening = Callable[..., AbstractContextManager[Visit]]
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
BODY: dict[str, Any] = {
    "symbols": SYMBOLS, "max_open": 2, "rank": "MOMENTUM", "rank_bars": 10, "wait_seconds": 0,
    "backtest": {"user_id": "me", "interval": "1d", "limit": 500, "source": "simulated", "seed": 7}
    | {"strategy": {"ma_crossover": {"fast": 5, "slow": 15}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def portfolio(service: str) -> str:
    return run_job(service, "portfolios", BODY)


def open_portfolio(visit: Visit, portfolio: str) -> Page:
    page = visit.open(f"/portfolios/{portfolio}")
    expect(page.locator(".chart-portfolio canvas").first).to_be_visible()
    return page


def number(text: str) -> float:
    return float(re.sub(r"[^\d.-]", "", text.replace("−", "-")))


def test_curves_are_those_of_the_api(visit: Visit, service: str, portfolio: str) -> None:
    rows = read(service, f"portfolios/{portfolio}/equity", points=2000)["items"]
    page = open_portfolio(visit, portfolio)
    drawn = page.evaluate("document.querySelector('.chart-portfolio').timeChart.drawn()")
    for name, pane in (("equity", 0), ("buy_and_hold", 0), ("drawdown", 1), ("open_positions", 2)):
        assert [point["value"] for point in drawn[name]["points"]] == [row[name] for row in rows], name
        assert (drawn[name]["pane"], drawn[name]["isLog"]) == (pane, False)
    page.get_by_role("button", name="Log scale").click()
    drawn = page.evaluate("document.querySelector('.chart-portfolio').timeChart.drawn()")
    assert [drawn[name]["isLog"] for name in ("equity", "drawdown", "open_positions")] == [True, False, False]


def test_verdict_stands_before_the_figures(visit: Visit, service: str, portfolio: str) -> None:
    conclusion = read(service, f"portfolios/{portfolio}")["conclusion"]
    page = open_portfolio(visit, portfolio)
    expect(page.locator(".sheet > section").first).to_have_class("doubts")
    expect(page.locator(".doubts")).to_have_attribute("data-level", conclusion["verdict"]["level"])
    for reason in conclusion["verdict"]["reasons"]:
        expect(page.locator(".doubts .reasons")).to_contain_text(reason["text"])
    assert conclusion["verdict"]["not_checked"]
    for item in conclusion["verdict"]["not_checked"]:
        expect(page.locator(".doubts .unchecked")).to_contain_text(item["why"])
    chance = min(conclusion["deflation"][name] for name in ("dsr", "dsr_dependent"))
    expect(page.locator(".deflation")).to_contain_text(f"with a probability of {chance * 100:.1f} %.")
    shown = page.locator('[data-figure="total_return"]')
    assert number(shown.locator(".kpi-value").inner_text()) == round(conclusion["metrics"]["total_return"], 1)
    expect(page.locator('[data-figure="refused_entries"]')).to_contain_text(str(conclusion["refused_entries"]))


def test_table_of_symbols_sorts_by_each_column(visit: Visit, service: str, portfolio: str) -> None:
    symbols = read(service, f"portfolios/{portfolio}")["conclusion"]["symbols"]
    page = open_portfolio(visit, portfolio)
    for share in symbols:
        row = page.locator(f'tr[data-symbol="{share["symbol"]}"]')
        assert number(row.locator('[data-name="profit"]').inner_text()) == pytest.approx(share["profit"], abs=0.006)
        assert row.locator('[data-name="refused_entries"]').inner_text() == str(share["refused_entries"])
    order = "all => all.map((row) => row.dataset.symbol)"
    assert page.locator("tr[data-symbol]").evaluate_all(order) == SYMBOLS
    by_profit = [share["symbol"] for share in sorted(symbols, key=lambda share: -share["profit"])]
    head = page.locator(".symbol-rows").get_by_role("button", name="Profit", exact=True)
    head.press("Enter")
    expect(page.locator('th[aria-sort="descending"]')).to_contain_text("Profit")
    assert page.locator("tr[data-symbol]").evaluate_all(order) == by_profit
    head.press("Enter")
    expect(page.locator('th[aria-sort="ascending"]')).to_contain_text("Profit")
    assert page.locator("tr[data-symbol]").evaluate_all(order) == by_profit[::-1]


def test_correlations_can_be_read_as_numbers(visit: Visit, service: str, portfolio: str) -> None:
    found = read(service, f"portfolios/{portfolio}")
    names = found["conclusion"]["correlations"]["symbols"]
    assert len(names) == 3
    found["conclusion"]["correlations"]["values"] = [1.0, -0.5, None, -0.5, 1.0, 0.25, None, 0.25, 1.0]
    visit.answer(f"/api/portfolios/{portfolio}", found)
    page = open_portfolio(visit, portfolio)
    texts = page.locator(".correlations tbody td").all_inner_texts()
    assert texts == ["1", "−0.50", "–", "−0.50", "1", "+0.25", "–", "+0.25", "1"]
    colors = page.locator(".correlations tbody td").evaluate_all("all => all.map((one) => one.style.background)")
    assert len(set(colors)) == 4


def test_running_portfolio_is_followed_to_its_end(visit: Visit, service: str, portfolio: str) -> None:
    found = read(service, f"portfolios/{portfolio}")
    early = found | {"conclusion": None, "job": found["job"] | {"state": "RUNNING", "ended_at": None, "done": 0}}
    answers = [early, found]
    address = f"/api/portfolios/{portfolio}"
    visit.page.route(
        f"{visit.url}{address}",
        lambda route: route.fulfill(json={"success": True, "message": "", "data": answers.pop(0)}),
    )
    page = open_portfolio(visit, portfolio)
    expect(page.locator(".page-head .job-state")).to_have_text("✓Done")
    assert answers == []


def test_form_starts_a_portfolio(visit: Visit, service: str) -> None:
    page = visit.open("/portfolios/new")
    page.locator("#portfolio-symbols").fill("BTCUSDT, ETHUSDT\nbtc/usdt")
    page.locator("#market-source").select_option("simulated")
    page.locator("#market-limit").fill("300")
    page.locator("#portfolio-max_open").fill("1")
    page.get_by_role("button", name="Run portfolio").click()
    expect(page.get_by_role("alert")).to_contain_text("'BTCUSDT', which is listed before")
    expect(page.locator("#portfolio-symbols")).to_be_focused()
    page.locator("#portfolio-symbols").fill("BTCUSDT  ETHUSDT\n")
    expect(page.locator("#portfolio-symbols-help")).to_contain_text("2 symbols.")
    page.get_by_role("button", name="Run portfolio").click()
    page.wait_for_url(re.compile(r"/portfolios/[0-9a-f-]{36}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("MA Crossover on 2 symbols 1d")
    expect(page.locator(".chart-portfolio canvas").first).to_be_visible()
    settings = read(service, f"portfolios/{page.url.rpartition('/')[2]}")["settings"]
    assert (settings["symbols"], settings["max_open"]) == (["BTCUSDT", "ETHUSDT"], 1)
    page.get_by_role("link", name="Jobs").click()
    page.get_by_role("link", name="Portfolio", exact=True).first.click()
    page.wait_for_url(re.compile(r"/portfolios/[0-9a-f-]{36}$"))


def test_form_names_the_defaults_of_portfolios(visit: Visit) -> None:
    page = visit.open("/portfolios/new")
    expect(page.locator("#trading-percent_size-help")).to_contain_text("if not given: the equity ÷ maxOpen")
    assert "vectorized" not in page.locator("#trading-fill-help").inner_text()


def test_missing_portfolio_is_told(visit: Visit) -> None:
    page = visit.open("/portfolios/none")
    expect(page.get_by_role("alert")).to_contain_text("none")


def test_hostile_texts_of_a_portfolio_are_shown_as_text(visit: Visit, service: str, portfolio: str) -> None:
    keep = frozenset({"id", "user_id", "kind", "state", "created_at", "ended_at", "start", "end", "level", "code"})
    found = hostile(read(service, f"portfolios/{portfolio}"), but=keep)
    found["conclusion"]["warnings"] = hostile(["w"])
    visit.answer(f"/api/portfolios/{portfolio}", found)
    assert_shown_as_text(open_portfolio(visit, portfolio))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, {"width": 1360, "height": 900}], ids=["phone", "desktop"])
def test_pages_are_accessible_and_fit(
    visit_with: Opening, service: str, portfolio: str, scheme: str, viewport: dict[str, int]
) -> None:
    found = read(service, f"portfolios/{portfolio}")
    found["conclusion"]["warnings"] = [LONG]
    with visit_with(color_scheme=scheme, viewport=viewport) as visit:
        visit.answer(f"/api/portfolios/{portfolio}", found)
        page = open_portfolio(visit, portfolio)
        open_all_details(page)
        assert visit.violations() == []
        assert_fits(page)
        page = visit.open("/portfolios/new")
        expect(page.locator("#portfolio-symbols")).to_be_visible()
        assert visit.violations() == []
        assert_fits(page)
