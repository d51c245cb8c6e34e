"""The page of a sweep: the heat map's drawn values equal the API's, words for its checks, rows that lead to runs."""

from __future__ import annotations

import csv
import io
import re
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Visit
from tests.browser.sheets import wait_until
from tests.browser.states import HOSTILE, LONG, PHONE, assert_fits, assert_shown_as_text, hostile, open_all_details
from tests.browser.sweeps import PAIRS, drawn, moving_averages, pixels, point_at, read, run_job, small_sweep, start

Opening = Callable[..., AbstractContextManager[Visit]]

MAP = {"x": "fast", "y": "slow"}
ROWS = ".sweep-rows tbody tr"
RESULT_PAGE = re.compile(r"/runs/[\w-]+$")


@pytest.fixture(scope="module")
def sweep(service: str) -> str:
    """A sweep of a few rows that has ended."""
    return run_job(service, "sweeps", small_sweep())


def open_sweep(visit: Visit, sweep: str) -> Page:
    page = visit.open(f"/sweeps/{sweep}")
    wait_until(page, "Boolean(document.querySelector('.heat-canvas')?.heatMap?.drawn())")
    return page


def test_pairs_of_moving_averages_fill_the_map(visit: Visit, service: str) -> None:
    sweep = start(service, "sweeps", moving_averages())
    page = visit.open(f"/sweeps/{sweep}")
    expect(page.locator(".page-head .job-state")).to_have_text("✓Done", timeout=180_000)
    expect(page.locator(".job-progress").first).to_contain_text(f"{PAIRS:,} of {PAIRS:,} rows")
    expect(page.locator(".evidence-sentence")).to_contain_text("best row")
    wait_until(page, "document.querySelector('.heat-canvas')?.heatMap.drawn().x.length === 99")
    found = read(service, f"sweeps/{sweep}/heat-map", **MAP)
    shown = drawn(page)
    assert (shown["x"], shown["y"]) == (found["x"]["values"], found["y"]["values"])
    assert shown["cells"] == found["cells"]
    assert sum(value is not None for row in shown["cells"] for value in row) == PAIRS


@pytest.mark.parametrize("reduce", ["BEST", "MEAN", "MEDIAN"])
def test_chosen_metric_is_drawn(visit: Visit, service: str, sweep: str, reduce: str) -> None:
    page = open_sweep(visit, sweep)
    page.get_by_label("Metric").select_option("max_drawdown")
    page.get_by_label("Of a cell's rows").select_option(reduce)
    page.get_by_label("Across").select_option("slow")
    found = read(service, f"sweeps/{sweep}/heat-map", x="slow", y="fast", metric="max_drawdown", reduce=reduce)
    wait_until(page, f"document.querySelector('.heat-canvas').heatMap.drawn().x.length === {len(found['x']['values'])}")
    legend = page.locator(".heat-legend")
    known = [value for row in found["cells"] for value in row if value is not None]
    expect(legend).to_have_attribute("data-high", str(max(known)))
    assert drawn(page)["cells"] == found["cells"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_rise_with_values(visit_with: Opening, sweep: str, scheme: str) -> None:
    with visit_with(color_scheme=scheme) as visit:
        page = open_sweep(visit, sweep)
        cells, best = drawn(page)["cells"], drawn(page)["best"]
        colors = pixels(page)
        places = [(column, row) for row, line in enumerate(cells) for column, value in enumerate(line)]
        known = sorted(
            (cells[row][column], colors[row][column]) for column, row in places if cells[row][column] is not None
        )
        assert len({tuple(color) for _, color in known}) > len(known) / 2
        blueness = [color[2] - color[0] for _, color in known]
        assert blueness == sorted(blueness)
        assert cells[best[1]][best[0]] == known[-1][0]


def test_cell_without_a_row_is_left_empty(visit: Visit, service: str) -> None:
    excluded = [{"left": "slow", "operator": "AT_MOST", "right": 100}]
    body = small_sweep(constraints=[*excluded, {"left": "slow", "operator": "NOT_EQUAL", "right": 50}])
    body["parameters"] = [{"name": "fast", "values": [10, 40]}, {"name": "slow", "values": [20, 60]}]
    page = open_sweep(visit, run_job(service, "sweeps", body))
    assert drawn(page)["cells"][0][1] is None  # a fast mean of 40 under a slow one of 20
    assert pixels(page)[0][1][3] == 0


def test_hover_and_keys_show_the_numbers_of_a_cell(visit: Visit, service: str, sweep: str) -> None:
    page = open_sweep(visit, sweep)
    cells = read(service, f"sweeps/{sweep}/heat-map", **MAP)["cells"]
    cell = page.locator("#heat-cell")
    page.mouse.move(**point_at(page, 1, 2))
    expect(cell).to_contain_text("Fast 10, slow 80")
    expect(cell).to_contain_text(f"{cells[2][1]:.2f}".replace("-", "−"))
    page.locator(".heat-canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(cell).to_contain_text("Fast 20, slow 80")
    page.keyboard.press("ArrowDown")
    expect(cell).to_contain_text("Fast 20, slow 50")
    expect(cell).to_contain_text(f"{cells[1][2]:.2f}".replace("-", "−"))


def test_enter_on_the_best_cell_opens_its_run(visit: Visit, service: str, sweep: str) -> None:
    best = read(service, f"sweeps/{sweep}")["conclusion"]["best"][0]
    page = open_sweep(visit, sweep)
    expect(page.locator("#heat-cell a")).to_be_visible()
    page.locator(".heat-canvas").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_url(RESULT_PAGE)
    assert page.url.endswith(best["result_id"])


def test_click_on_the_best_cell_opens_its_run(visit: Visit, service: str, sweep: str) -> None:
    best = read(service, f"sweeps/{sweep}")["conclusion"]["best"][0]
    page = open_sweep(visit, sweep)
    expect(page.locator("#heat-cell a")).to_be_visible()
    page.mouse.click(**point_at(page, *drawn(page)["best"]))
    page.wait_for_url(RESULT_PAGE)
    assert page.url.endswith(best["result_id"])


def other_cell(service: str, sweep: str) -> tuple[int, int, int]:
    """Return a cell, as column and row of the map, whose row is none of the best ones, and the row's number."""
    kept = {one["row"] for one in read(service, f"sweeps/{sweep}")["conclusion"]["best"]}
    rows = read(service, f"sweeps/{sweep}/heat-map", **MAP)["best_rows"]
    return next((x, y, row) for y, line in enumerate(rows) for x, row in enumerate(line) if row not in {*kept, None})


@pytest.mark.parametrize("by", ["click", "Enter"])
def test_any_cell_of_the_map_is_run(visit: Visit, service: str, by: str) -> None:
    sweep = run_job(service, "sweeps", small_sweep())
    column, line, row = other_cell(service, sweep)
    page = open_sweep(visit, sweep)
    point = point_at(page, column, line)
    page.mouse.move(**point)
    expect(page.locator("#heat-cell")).to_contain_text("click or press Enter to run it")
    assert visit.violations() == []
    if by == "click":
        page.mouse.click(**point)
    else:
        page.locator(".heat-canvas").press("Enter")
    page.wait_for_url(RESULT_PAGE)
    assert page.url.rpartition("/")[2] == str(uuid.uuid5(uuid.UUID(sweep), str(row)))
    expect(page.get_by_role("heading", level=1)).to_contain_text("MA Crossover")


def test_cell_that_cannot_be_run_says_why(visit: Visit, service: str, sweep: str) -> None:
    visit.answer("/api/sweeps/*/rows/*/run?*", {"message": "The bars have changed.", "code": "CONFLICT"}, status=409)
    column, line, _ = other_cell(service, sweep)
    page = open_sweep(visit, sweep)
    page.mouse.click(**point_at(page, column, line))
    expect(page.get_by_role("alert")).to_contain_text("The bars have changed.")
    expect(page.locator("#heat-cell")).to_contain_text("click or press Enter to run it")


def test_stranger_runs_no_cell(visit: Visit, service: str, sweep: str) -> None:
    column, line, _ = other_cell(service, sweep)
    found = read(service, f"sweeps/{sweep}")
    found["job"]["user_id"] = "another"
    visit.answer(f"/api/sweeps/{sweep}", found)
    page = open_sweep(visit, sweep)
    page.mouse.click(**point_at(page, column, line))
    expect(page.locator(".heat-canvas")).to_have_attribute("aria-label", re.compile("if it is stored"))
    expect(page.locator("#heat-cell")).not_to_contain_text("to run it")
    assert page.url.endswith(sweep)


def test_best_row_leads_to_its_tear_sheet(visit: Visit, service: str, sweep: str) -> None:
    best = read(service, f"sweeps/{sweep}")["conclusion"]["best"]
    page = open_sweep(visit, sweep)
    links = page.locator(".best-rows a")
    expect(links).to_have_count(len(best))
    links.first.click()
    page.wait_for_url(RESULT_PAGE)
    assert page.url.endswith(best[0]["result_id"])
    expect(page.get_by_role("heading", level=1)).to_contain_text("MA Crossover")


def test_deleted_best_row_is_no_link_and_is_run_again(visit: Visit, service: str) -> None:
    sweep = run_job(service, "sweeps", small_sweep())
    [best, other] = read(service, f"sweeps/{sweep}")["conclusion"]["best"]
    for kept in (best, other):
        httpx.delete(f"{service}/api/backtests/{kept['result_id']}", params={"user_id": "me"}).raise_for_status()
    page = open_sweep(visit, sweep)
    expect(page.locator(".best-rows li")).to_have_count(2)
    expect(page.locator(".best-rows li").first).to_contain_text("its run was deleted")
    expect(page.locator(".best-rows a, #heat-cell a")).to_have_count(0)
    assert visit.violations() == []
    page.locator(f".best-rows [data-row='{best['row']}']").get_by_role("button").click()
    page.wait_for_url(RESULT_PAGE)
    assert page.url.endswith(best["result_id"])
    expect(page.get_by_role("heading", level=1)).to_contain_text("MA Crossover")
    page = open_sweep(visit, sweep)
    expect(page.locator(".best-rows a")).to_have_count(1)


def test_run_again_that_fails_says_why(visit: Visit, service: str, sweep: str) -> None:
    found = read(service, f"sweeps/{sweep}")
    found["conclusion"]["best"][0]["is_stored"] = False
    visit.answer(f"/api/sweeps/{sweep}", found)
    visit.answer("/api/sweeps/*/rows/*/run?*", {"message": "The bars have changed.", "code": "CONFLICT"}, status=409)
    page = open_sweep(visit, sweep)
    page.locator(".best-rows").get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("The bars have changed.")
    expect(page.locator(".best-rows").get_by_role("button")).to_be_enabled()


def test_neighbors_of_the_best_are_numbers(visit: Visit, sweep: str) -> None:
    page = open_sweep(visit, sweep)
    found = drawn(page)
    column, row = found["best"]
    shown = page.locator(".neighbors td.strong")
    expect(shown).to_contain_text(f"{found['cells'][row][column]:.2f}")


def test_rows_are_sorted_by_the_service(visit: Visit, service: str, sweep: str) -> None:
    page = open_sweep(visit, sweep)
    for descending, order in ((True, "descending"), (False, "ascending")):
        page.get_by_role("button", name="Total fees").click()
        expect(page.locator("th", has=page.get_by_role("button", name="Total fees"))).to_have_attribute(
            "aria-sort", order
        )
        expected = read(service, f"sweeps/{sweep}/rows", sort_by="total_fees", descending=descending)["items"]
        # The head tells the order at once, and the rows follow: the first row may be the same in both orders.
        numbers = ",".join(str(row["row"]) for row in expected)
        wait_until(page, f"[...document.querySelectorAll('{ROWS}')].map((row) => row.dataset.row).join() === '{numbers}'")


def test_rows_are_offered_as_files(visit: Visit, service: str, sweep: str) -> None:
    page = open_sweep(visit, sweep)
    address = page.get_by_role("link", name="CSV").get_attribute("href")
    table = list(csv.DictReader(io.StringIO(httpx.get(f"{service}{address}").text)))
    assert len(table) == read(service, f"sweeps/{sweep}/rows", sort_by="row")["total"]
    assert (table[0]["row"], table[0]["fast"], table[0]["slow"]) == ("0", "5", "30")
    parquet = httpx.get(f"{service}{page.get_by_role('link', name='Parquet').get_attribute('href')}")
    assert parquet.content[:4] == b"PAR1"


def test_sweep_of_one_parameter_has_rows_only(visit: Visit, service: str) -> None:
    body = small_sweep(parameters=[{"name": "slow", "values": [30, 50, 80]}])
    page = visit.open(f"/sweeps/{run_job(service, 'sweeps', body)}")
    expect(page.get_by_text("A heat map needs two swept parameters")).to_be_visible()
    expect(page.locator(".sweep-rows tbody tr")).to_have_count(3)


JUDGED: dict[str, Any] = {
    "overfitting": {"pbo": 0.1, "pbo_noise_low": 0.4, "pbo_noise_high": 0.6, "probability_of_loss": 0.1}
    | {"degradation_slope": None, "rows": 12, "blocks": 8},
    "superiority": {"p_value": 0.01, "lower": 0.01, "upper": 0.02, "superior_rows": 3, "rows": 12, "block_length": 5},
}
DEFLATED = {"dsr": 0.99, "dsr_dependent": 0.97, "trials": 12, "trials_effective": 3.0, "sharpe_hurdle": 0.5}


@pytest.mark.parametrize(
    ("overfitting", "superiority", "deflation", "level", "words"),
    [
        ({}, {}, {}, "NO_OBJECTION", "No check objects to the best row, which does not mean"),
        ({"pbo": 0.45}, {}, {}, "DOUBTFUL", "Do not believe the best row: its choice is as overfitted"),
        ({}, {"p_value": 0.3}, {}, "DOUBTFUL", "it does not beat buying and holding by more than chance"),
        ({}, {}, {"dsr_dependent": 0.6}, "DOUBTFUL", "after 12 trials its Sharpe ratio is not told from luck"),
    ],
)
def test_checks_become_one_sentence(
    visit: Visit, service: str, sweep: str, overfitting: Any, superiority: Any, deflation: Any, level: str, words: str
) -> None:
    found = read(service, f"sweeps/{sweep}")
    found["conclusion"] |= {
        "overfitting": JUDGED["overfitting"] | overfitting,
        "superiority": JUDGED["superiority"] | superiority,
    }
    found["deflation"] = DEFLATED | deflation
    best = found["conclusion"]["best"][0]["result_id"]
    run = read(service, f"backtests/{best}", rows=False)
    visit.answer(f"/api/sweeps/{sweep}", found)
    visit.answer(f"/api/backtests/{best}?rows=false", run | {"verdict_level": "NO_OBJECTION"})
    page = open_sweep(visit, sweep)
    expect(page.locator(".evidence-sentence")).to_contain_text(words)
    expect(page.locator(".evidence")).to_have_attribute("data-level", level)


def test_untested_best_row_is_not_believed(visit: Visit, service: str, sweep: str) -> None:
    found = read(service, f"sweeps/{sweep}")
    found["conclusion"] |= {"overfitting": None, "superiority": None, "stability": None}
    found["deflation"] = None
    visit.answer(f"/api/sweeps/{sweep}", found)
    visit.answer("/api/backtests/*", {"message": "gone", "code": "RESULT_NOT_FOUND"}, status=404)
    page = open_sweep(visit, sweep)
    expect(page.locator(".evidence-sentence")).to_have_text(
        "Nothing could test the best row, so do not believe it yet."
    )


def test_missing_sweep_is_told(visit: Visit) -> None:
    page = visit.open("/sweeps/none")
    expect(page.get_by_role("alert")).to_contain_text("none")


def test_hostile_names_are_shown_as_text(visit: Visit, service: str, sweep: str) -> None:
    keep = frozenset({"id", "user_id", "kind", "state", "metric", "direction", "name", "created_at", "ended_at"})
    found = read(service, f"sweeps/{sweep}")
    found["job"]["error"] = {"code": "X", "message": "why"}
    visit.answer(f"/api/sweeps/{sweep}", hostile(found, but=keep))
    rows = read(service, f"sweeps/{sweep}/rows")
    rows["items"] = [row | {"fast": HOSTILE} for row in rows["items"]]
    visit.answer(f"/api/sweeps/{sweep}/rows?*", rows)
    page = visit.open(f"/sweeps/{sweep}")
    expect(page.locator(".sweep-rows tbody")).to_contain_text(HOSTILE)
    assert_shown_as_text(page)


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1360, "height": 900}], ids=["phone", "desktop"])
def test_page_is_accessible_and_fits(visit_with: Opening, service: str, sweep: str, viewport: dict[str, int]) -> None:
    found = read(service, f"sweeps/{sweep}")
    found["settings"]["backtest"]["source"] = LONG
    found["conclusion"]["warnings"] = [LONG]
    with visit_with(viewport=viewport) as visit:
        visit.answer(f"/api/sweeps/{sweep}", found)
        page = open_sweep(visit, sweep)
        expect(page.locator(".sweep-rows")).to_be_visible()
        open_all_details(page)
        assert visit.violations_in_both_schemes() == []
        assert_fits(page)


def test_failed_sweep_promises_no_rows(visit: Visit, service: str, sweep: str) -> None:
    found = read(service, f"sweeps/{sweep}")
    found["job"] |= {"state": "FAILED", "error": {"code": "X", "message": "It failed."}}
    visit.answer(f"/api/sweeps/{sweep}", found | {"conclusion": None})
    visit.answer(f"/api/sweeps/{sweep}/rows?*", {"items": [], "total": 0, "offset": 0, "next_offset": None})
    page = visit.open(f"/sweeps/{sweep}")
    expect(page.get_by_text("No row was computed.")).to_be_visible()
    expect(page.locator(".settings")).to_contain_text("MA Crossover")
