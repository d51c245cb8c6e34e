"""The page of a walk-forward: folds at their places, their figures, and how much of the return was left."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import Visit
from tests.browser.states import LONG, PHONE, assert_fits, assert_shown_as_text, hostile, open_all_details
from tests.browser.sweeps import read, run_job, walk_forward

Opening = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def walk(service: str) -> str:
    return run_job(service, "walk-forwards", walk_forward())


def open_walk(visit: Visit, walk: str) -> Page:
    page = visit.open(f"/walk-forwards/{walk}")
    expect(page.locator(".fold-line svg")).to_be_visible()
    return page


def ends_of(rectangle: Locator) -> tuple[float, float]:
    """Return where a rectangle begins and ends, as shares of the line."""
    x, width = (float((rectangle.get_attribute(name) or "").rstrip("%")) / 100 for name in ("x", "width"))
    return x, x + width


def ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


def test_folds_are_drawn_at_their_times(visit: Visit, service: str, walk: str) -> None:
    folds = read(service, f"walk-forwards/{walk}")["folds"]
    page = open_walk(visit, walk)
    expect(page.locator(".fold-line g")).to_have_count(len(folds))
    first, last = ms(folds[0]["train_start"]), ms(folds[-1]["test_end"])
    for fold in folds:
        drawn = page.locator(f".fold-line g[data-fold='{fold['number']}']")
        for name, start, end in (
            (".fold-train", "train_start", "train_end"),
            (".fold-gap", "train_end", "test_start"),
            (".fold-test", "test_start", "test_end"),
        ):
            expected = [(ms(fold[one]) - first) / (last - first) for one in (start, end)]
            assert ends_of(drawn.locator(name)) == pytest.approx(expected, abs=0.003)


def test_table_has_the_figures_of_the_api(visit: Visit, service: str, walk: str) -> None:
    folds = read(service, f"walk-forwards/{walk}")["folds"]
    page = open_walk(visit, walk)
    for fold in folds:
        texts = page.locator(f"tr[data-fold='{fold['number']}'] td").all_inner_texts()
        returns = [float(re.sub(r"[^\d.-]", "", text.replace("−", "-"))) for text in texts[4:6]]
        assert returns == pytest.approx([fold["return_in_sample"], fold["return_out_of_sample"]], abs=0.006)
        assert texts[8] == str(fold["trades_out_of_sample"])


def test_tests_lead_to_their_tear_sheet(visit: Visit, service: str, walk: str) -> None:
    result = read(service, f"walk-forwards/{walk}")["conclusion"]["result_id"]
    page = open_walk(visit, walk)
    page.get_by_role("link", name="Tear sheet of all tests").click()
    page.wait_for_url(re.compile(f"/runs/{result}$"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_deleted_run_of_tests_is_no_link(visit: Visit, service: str, walk: str) -> None:
    found = read(service, f"walk-forwards/{walk}")
    assert found["conclusion"]["is_stored"]
    found["conclusion"]["is_stored"] = False
    visit.answer(f"/api/walk-forwards/{walk}", found)
    page = open_walk(visit, walk)
    expect(page.locator(".evidence")).to_contain_text("The run of all tests was deleted")
    expect(page.get_by_role("link", name="Tear sheet of all tests")).to_have_count(0)


@pytest.mark.parametrize(
    ("efficiency", "words"),
    [
        (0.8, "The tests kept 80 % of the return"),
        (0.2, "Under 50 % is commonly taken as overfitted"),
        (-0.4, "nothing of the return in training carried over"),
        (None, "so there is no efficiency"),
    ],
)
def test_efficiency_is_told_in_words(
    visit: Visit, service: str, walk: str, efficiency: float | None, words: str
) -> None:
    found = read(service, f"walk-forwards/{walk}")
    found["conclusion"]["efficiency"] = efficiency
    visit.answer(f"/api/walk-forwards/{walk}", found)
    page = open_walk(visit, walk)
    expect(page.locator(".evidence-sentence")).to_contain_text(words)


def test_missing_walk_forward_is_told(visit: Visit) -> None:
    page = visit.open("/walk-forwards/none")
    expect(page.get_by_role("alert")).to_contain_text("none")


def test_hostile_names_are_shown_as_text(visit: Visit, service: str, walk: str) -> None:
    keep = frozenset({"id", "user_id", "kind", "state", "metric", "direction", "created_at", "ended_at"})
    times = frozenset({"train_start", "train_end", "test_start", "test_end"})
    found = hostile(read(service, f"walk-forwards/{walk}"), but=keep | times)
    found["conclusion"]["warnings"] = ["w", *hostile(["w"])]
    visit.answer(f"/api/walk-forwards/{walk}", found)
    page = open_walk(visit, walk)
    assert_shown_as_text(page)


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1360, "height": 900}], ids=["phone", "desktop"])
def test_page_is_accessible_and_fits(visit_with: Opening, service: str, walk: str, viewport: dict[str, int]) -> None:
    found = read(service, f"walk-forwards/{walk}")
    found["conclusion"]["warnings"] = [LONG]
    with visit_with(viewport=viewport) as visit:
        visit.answer(f"/api/walk-forwards/{walk}", found)
        page = open_walk(visit, walk)
        open_all_details(page)
        assert visit.violations_in_both_schemes() == []
        assert_fits(page)


def test_key_of_folds_stands_below_both_dates_on_a_phone(visit_with: Opening, walk: str) -> None:
    with visit_with(viewport=PHONE) as visit:
        page = open_walk(visit, walk)
        tops = page.locator(".fold-ends > span").evaluate_all("all => all.map((x) => x.getBoundingClientRect().top)")
        first, key, last = tops
        assert first == last < key
