"""Runs side by side: curves from the server, and no "best" where the samples are small."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Visit
from tests.browser.sheets import SIMULATED, api, drawn, expected, run_backtest, values, wait_until
from tests.browser.states import HOSTILE, PHONE, assert_fits

Opening = Callable[..., AbstractContextManager[Visit]]
CHART = ".chart-compare"


@pytest.fixture(scope="module")
def runs(service: str) -> list[str]:
    """Two runs of other cash and fees with more than 20 trades, and one with too few."""
    cross = {"maCrossover": {"fast": 5, "slow": 15}}
    return [
        run_backtest(service, **SIMULATED, limit=1200, strategy=cross, init_cash=1000),
        run_backtest(service, **SIMULATED, limit=1200, strategy=cross, init_cash=50_000, fees=0.004),
        run_backtest(service, **SIMULATED, limit=120, strategy=cross),
    ]


def open_comparison(visit: Visit, ids: list[str]) -> Page:
    page = visit.open(f"/compare?ids={','.join(ids)}")
    wait_until(page, f"Boolean(document.querySelector({CHART!r})?.timeChart?.visibleRange())")
    return page


def test_curves_are_those_of_server_from_100(visit: Visit, service: str, runs: list[str]) -> None:
    shown = drawn(open_comparison(visit, runs[:2]), CHART)
    assert list(shown) == runs[:2]
    for run in runs[:2]:
        columns = api(service, f"{run}/series?columns=date,rebased,equity&points=1000")["columns"]
        cash = api(service, f"{run}?rows=false")["settings"]["init_cash"]
        assert values(shown[run]["points"]) == expected(columns, "rebased")
        assert columns["rebased"][-1] == pytest.approx(columns["equity"][-1] / cash * 100)


def test_shorter_run_has_the_times_of_the_longer(visit: Visit, service: str, runs: list[str]) -> None:
    shown = drawn(open_comparison(visit, [runs[0], runs[2]]), CHART)
    long, short = (values(shown[run]["points"]) for run in (runs[0], runs[2]))
    own = expected(api(service, f"{runs[2]}/series?columns=date,rebased&points=1000")["columns"], "rebased")
    assert (short[0], short[-1]) == (own[0], own[-1])
    assert len(short) < len(own), "the longer run is drawn with fewer points for each day"
    assert {time for time, _ in short[1:-1]} <= {time for time, _ in long}
    known = dict(own)
    assert all(known[time] == value for time, value in short), "each is a value of the run at its own time"


def row(page: Page, label: str) -> list[str]:
    found: list[str] = page.locator(f".compare tr:has(th:text-is({label!r})) td").all_inner_texts()
    return found


def change(visit: Visit, service: str, run: str, **changes: Any) -> Any:
    """Let the service say something else of a run, and return what it then says."""
    result = api(service, f"{run}?rows=false") | changes
    visit.answer(f"/api/backtests/{run}?rows=false", result)
    return result


def test_metrics_stand_side_by_side_and_best_is_marked(visit: Visit, service: str, runs: list[str]) -> None:
    results = [change(visit, service, run, verdict_level="NO_OBJECTION") for run in runs[:2]]
    page = open_comparison(visit, runs[:2])
    returns = [result["metrics"]["total_return"] for result in results]
    assert returns[0] > returns[1]
    texts = row(page, "Total return")
    assert "★" in texts[0]
    assert "★" not in texts[1]
    for text, value in zip(texts, returns, strict=True):
        assert f"{value:+.2f}".replace("-", "−") in text.replace(",", "")
    # Of drawdowns the smaller one is better.
    drawdowns = [result["metrics"]["max_drawdown"] for result in results]
    assert ["★" in text for text in row(page, "Max drawdown")] == [value == min(drawdowns) for value in drawdowns]
    assert "★" not in "".join(row(page, "Closed trades"))


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("DISPROVED", "disproved"),
        ("DOUBTFUL", "doubtful"),
        ("UNDERPOWERED", "luck not excluded"),
        ("TOO_LITTLE_DATA", "too little data"),
        (None, "not judged"),
    ],
)
def test_run_that_is_not_believed_is_never_best(
    visit: Visit, service: str, runs: list[str], level: str | None, words: str
) -> None:
    change(visit, service, runs[0], verdict_level=level)
    change(visit, service, runs[1], verdict_level="NO_OBJECTION")
    page = open_comparison(visit, runs[:2])
    expect(page.get_by_text(f"A row is without one if its best is not believed: run 1 ({words}).")).to_be_visible()
    assert "★" not in "".join(row(page, "Total return")), "nor is the second best marked in its place"
    assert page.locator(".compare td:nth-of-type(1) .star").count() == 0


def test_best_is_not_marked_if_no_run_is_believed(visit: Visit, service: str, runs: list[str]) -> None:
    change(visit, service, runs[0], verdict_level="DOUBTFUL")
    change(visit, service, runs[1], verdict_level="DISPROVED")
    page = open_comparison(visit, runs[:2])
    text = "No figure is marked as best: not believed are run 1 (doubtful), run 2 (disproved)."
    expect(page.get_by_text(text)).to_be_visible()
    assert page.locator(".star").count() == 0


def test_best_is_not_marked_if_a_model_saw_bars_of_its_run(visit: Visit, service: str, runs: list[str]) -> None:
    result = api(service, f"{runs[0]}?rows=false")
    training = {"trained_from": None, "trained_to": result["metrics"]["end"], "bars_seen": 700}
    judgement = result["judgement"] | {"leaks": (result["judgement"]["leaks"] or {}) | {"training": training}}
    for run in runs[:2]:
        change(visit, service, run, verdict_level="NO_OBJECTION", judgement=judgement)
    page = open_comparison(visit, runs[:2])
    expect(page.get_by_text("run 1 (its model was trained on these bars)")).to_be_visible()
    assert page.locator(".star").count() == 0


def test_legend_tells_runs_of_one_name_apart(visit: Visit, runs: list[str]) -> None:
    page = open_comparison(visit, runs[:2])
    title = "MA Crossover · BTCUSDT · 1d"
    assert [text.strip() for text in page.locator(".chart-legend li").all_inner_texts()] == [
        f"1. {title} · starting cash 1000 · fees 0.001",
        f"2. {title} · starting cash 50000 · fees 0.004",
    ]


def test_settings_that_differ_are_listed(visit: Visit, runs: list[str]) -> None:
    page = open_comparison(visit, runs[:2])
    names = page.locator(".differs th").all_inner_texts()
    assert names == ["Starting cash", "Fees"]


def test_runs_are_added_and_removed(visit: Visit, runs: list[str]) -> None:
    page = open_comparison(visit, runs[:1])
    page.get_by_label("Add a run").select_option(runs[1])
    wait_until(
        page,
        "new URL(location).searchParams.get('ids').split(',').length === 2",
    )
    expect(page.get_by_role("button", name="Remove run 2")).to_be_visible()
    page.get_by_role("button", name="Remove run 1").click()
    expect(page.get_by_role("button", name="Remove run 2")).to_have_count(0)
    assert page.url.endswith(f"ids={runs[1]}")


def test_without_runs_page_says_what_to_do(visit: Visit) -> None:
    page = visit.open("/compare")
    expect(page.get_by_role("heading", name="Nothing to compare yet")).to_be_visible()
    assert visit.violations() == []


def test_unknown_run_hides_no_other(visit: Visit, runs: list[str]) -> None:
    page = open_comparison(visit, [runs[0], "no-such-run", runs[1]])
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Run no-such-run is not shown")
    assert list(drawn(page, CHART)) == runs[:2]
    assert visit.violations() == []
    alert.get_by_role("button", name="Leave out").click()
    expect(alert).to_have_count(0)
    expect(page.get_by_role("link", name="MA Crossover · BTCUSDT · 1d")).to_have_count(2)
    assert "no-such-run" not in page.url


def test_more_runs_than_colors_are_counted(visit: Visit, runs: list[str]) -> None:
    page = open_comparison(visit, [*runs, "a", "b", "c", "d"])
    expect(page.get_by_role("status").filter(has_text="Only the first 6 of 7 runs are shown.")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(3)


def test_curves_stand_in_a_table(visit: Visit, service: str, runs: list[str]) -> None:
    page = open_comparison(visit, runs[:2])
    page.get_by_text("Curves as a table").click()
    cells = page.locator(".twin tbody tr").last.locator("th, td").all_inner_texts()
    last: list[Any] = [api(service, f"{run}/series?columns=date,rebased&points=1000")["columns"] for run in runs[:2]]
    assert cells[0] == last[0]["date"][-1][:10]
    for text, columns in zip(cells[1:], last, strict=True):
        assert float(text.replace(",", "")) == pytest.approx(columns["rebased"][-1], abs=0.00501)


def test_comparison_fits_a_phone_and_shows_names_as_text(visit_with: Opening, service: str, runs: list[str]) -> None:
    result = api(service, f"{runs[0]}?rows=false")
    result["strategy"]["name"] = HOSTILE
    with visit_with(viewport=PHONE) as visit:
        visit.answer(f"/api/backtests/{runs[0]}?*", result)
        page = open_comparison(visit, runs)
        assert visit.violations_in_both_schemes() == []
        assert_fits(page)
        assert HOSTILE in page.locator("#main").inner_text()
        assert page.evaluate("window.ran") is None
        assert page.locator("#main img, #main script").count() == 0
