"""The page of jobs: progress as it comes, states in words, cancel, resume and delete."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import Visit
from tests.browser.states import LONG, PHONE, assert_fits, assert_shown_as_text, hostile, open_all_details
from tests.browser.sweeps import read, run_job, small_sweep, start, wait_for_job

Opening = Callable[..., AbstractContextManager[Visit]]

DONE = re.compile(r"([\d,]+) of [\d,]+ rows")


def long_sweep() -> dict[str, Any]:
    """Return a sweep that takes some half a minute: stops in the event-driven engine, on many bars."""
    body = small_sweep(keep_best=1)
    body["backtest"] |= {"engine": "EVENT_DRIVEN", "limit": 20_000, "interval": "1h"}
    lengths = [
        {"name": "fast", "range": {"from": 5, "to": 24}},
        {"name": "slow", "range": {"from": 30, "to": 49}},
    ]
    return body | {"parameters": [*lengths, {"name": "stop_loss", "range": {"from": 0.01, "to": 0.2, "step": 0.001}}]}


@pytest.fixture
def running(service: str) -> Iterator[str]:
    """A job that runs, and is gone after the test."""
    job = start(service, "sweeps", long_sweep())
    yield job
    httpx.delete(f"{service}/api/jobs/{job}", params={"user_id": "me"}, timeout=60)
    wait_for_job(service, job)
    httpx.delete(f"{service}/api/jobs/{job}", params={"user_id": "me", "delete": True}, timeout=60)


def row_of(page: Page, job: str) -> Locator:
    return page.locator(f"[data-job='{job}']")


def done_of(row: Locator) -> int:
    found = DONE.search(row.inner_text())
    return 0 if found is None else int(found[1].replace(",", ""))


def wait_for_more(page: Page, row: Locator, than: int) -> int:
    for _ in range(400):
        if (done := done_of(row)) > than:
            return done
        page.wait_for_timeout(100)
    raise AssertionError(row.inner_text())


def test_no_jobs_offer_a_sweep(visit: Visit) -> None:
    visit.answer("/api/jobs?*", {"items": [], "next_cursor": None, "warnings": []})
    page = visit.open("/jobs")
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    page.get_by_role("link", name="Start a sweep").click()
    expect(page.get_by_role("heading", name="New sweep")).to_be_visible()


def test_running_job_is_watched_cancelled_and_resumed(visit: Visit, service: str, running: str) -> None:
    page = visit.open("/jobs")
    row = row_of(page, running)
    state = row.locator(".job-state")
    expect(state).to_have_text("▶Running", timeout=60_000)
    first = wait_for_more(page, row, than=0)
    assert wait_for_more(page, row, than=first) > first
    expect(row).to_contain_text("rows a second")
    expect(row).to_contain_text("left")
    row.get_by_role("button", name="Cancel").click()
    expect(state).to_have_text("■Cancelled", timeout=60_000)
    kept = read(service, f"jobs/{running}")["done"]
    assert done_of(row) == kept
    row.get_by_role("button", name="Resume").click()
    expect(state).to_have_text("▶Running", timeout=60_000)
    assert wait_for_more(page, row, than=kept) > kept


def test_progress_is_asked_for_without_events(visit: Visit, running: str) -> None:
    visit.page.route("**/events", lambda route: route.abort())
    page = visit.open("/jobs")
    row = row_of(page, running)
    expect(row.locator(".job-state")).to_have_text("▶Running", timeout=60_000)
    first = wait_for_more(page, row, than=0)
    assert wait_for_more(page, row, than=first) > first


def test_ended_job_is_deleted_after_a_question(visit: Visit, service: str) -> None:
    job = run_job(service, "sweeps", small_sweep())
    page = visit.open("/jobs")
    row = row_of(page, job)
    expect(row.locator(".job-state")).to_have_text("✓Done")
    row.get_by_role("button", name="Delete").click()
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text("Stored results and counted trials stay.")
    dialog.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert httpx.get(f"{service}/api/jobs/{job}").status_code == 404


def test_job_leads_to_what_it_makes(visit: Visit, service: str) -> None:
    job = run_job(service, "sweeps", small_sweep())
    page = visit.open("/jobs")
    expect(row_of(page, job).get_by_role("link", name="Sweep")).to_have_attribute("href", f"/sweeps/{job}")


SUBJECT = {
    "symbol": "ETHUSDT", "interval": "4h", "source": None, "strategy": "ma_crossover", "model": None,
    "swept": ["fast", "stop_loss"],
}  # fmt: skip


def job(**changes: Any) -> dict[str, Any]:
    return {
        "id": "a", "user_id": "me", "kind": "SWEEP", "state": "FAILED", "created_at": "2026-01-01T00:00:00Z",
        "started_at": None, "ended_at": "2026-01-01T00:01:00Z", "done": 5, "total": 10, "rate": None,
        "best_so_far": None, "attempt": 3, "error": {"code": "X", "message": "The disk is full."},
        "warnings": ["w"], "result_id": None, "eta_seconds": None, "stage": None, "subject": SUBJECT,
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("state", "words", "buttons"),
    [
        ("CANCELLING", "Stopping", []),
        ("CANCELLED", "Cancelled", ["Resume", "Delete"]),
        ("FAILED", "Failed", ["Resume", "Delete"]),
        ("INTERRUPTED", "Interrupted", ["Cancel", "Resume"]),
        ("QUEUED", "Waiting", ["Cancel"]),
    ],
)
def test_state_is_told_in_words(visit: Visit, state: str, words: str, buttons: list[str]) -> None:
    found = job(state=state, error=None)
    visit.answer("/api/jobs?*", {"items": [found], "next_cursor": None, "warnings": []})
    visit.answer("/api/jobs/a", found)
    visit.page.route("**/events", lambda route: route.abort())
    page = visit.open("/jobs")
    expect(page.locator(".job .job-state")).to_contain_text(words)
    expect(page.locator(".job-actions button")).to_have_text(buttons)


@pytest.mark.parametrize(
    ("stage", "words", "share"),
    [
        (None, "10 of 10 rows", "1"),
        ({"name": "BEST", "done": 1, "total": 4}, "10 of 10 rows · running the best rows, 1 of 4", "0.25"),
        (
            {"name": "SUPERIORITY", "done": 1000, "total": 2000},
            "10 of 10 rows · testing the rows against buying and holding, 1,000 of 2,000",
            "0.5",
        ),
        ({"name": "LATER", "done": 1, "total": 2}, "10 of 10 rows · later, 1 of 2", "0.5"),
    ],
)
def test_stage_of_a_job_is_told_in_words(visit: Visit, stage: Any, words: str, share: str) -> None:
    found = job(state="RUNNING", error=None, ended_at=None, done=10, total=10, attempt=1, stage=stage)
    visit.answer("/api/jobs?*", {"items": [found], "next_cursor": None, "warnings": []})
    visit.answer("/api/jobs/a", found)
    visit.page.route("**/events", lambda route: route.abort())
    page = visit.open("/jobs")
    expect(page.locator(".job .job-progress p")).to_have_text(words)
    expect(page.get_by_role("progressbar")).to_have_attribute("value", share)


def test_failed_job_says_why(visit: Visit) -> None:
    visit.answer("/api/jobs?*", {"items": [job()], "next_cursor": None, "warnings": []})
    page = visit.open("/jobs")
    expect(page.locator(".job")).to_contain_text("The disk is full.")


def test_jobs_say_what_they_are_about(visit: Visit, service: str) -> None:
    started = run_job(service, "sweeps", small_sweep())
    page = visit.open("/jobs")
    expect(row_of(page, started)).to_contain_text("MA Crossover on BTCUSDT 1d · simulated · sweeps Fast, Slow")


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (SUBJECT, ["MA Crossover on ETHUSDT 4h · sweeps Fast, Stop loss"]),
        (SUBJECT | {"strategy": "model", "model": "m.onnx", "swept": []}, [re.compile("on ETHUSDT 4h · m.onnx$")]),
        (None, []),
    ],
)
def test_subject_is_told_in_words(visit: Visit, subject: dict[str, Any] | None, words: list[Any]) -> None:
    visit.answer("/api/jobs?*", {"items": [job(subject=subject)], "next_cursor": None, "warnings": []})
    page = visit.open("/jobs")
    expect(page.locator(".job-state")).to_contain_text("Failed")
    expect(page.locator(".job-subject")).to_have_text(words)


def test_jobs_of_others_cannot_be_changed(visit: Visit) -> None:
    visit.answer("/api/jobs?*", {"items": [job(user_id="ada")], "next_cursor": None, "warnings": []})
    page = visit.open("/jobs")
    expect(page.locator(".job")).to_be_visible()
    expect(page.locator(".job button")).to_have_count(0)


def test_list_that_cannot_load_says_why(visit: Visit) -> None:
    visit.answer("/api/jobs?*", {"message": "The disk is gone.", "code": "STORE_UNAVAILABLE"}, status=503)
    page = visit.open("/jobs")
    expect(page.get_by_role("alert")).to_contain_text("The disk is gone.")


def test_hostile_names_are_shown_as_text(visit: Visit) -> None:
    keep = frozenset({"id", "user_id", "kind", "state", "created_at", "ended_at"})
    visit.answer("/api/jobs?*", {"items": [hostile(job(), but=keep)], "next_cursor": None, "warnings": []})
    page = visit.open("/jobs")
    expect(page.locator(".job")).to_be_visible()
    open_all_details(page)
    assert_shown_as_text(page)


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1360, "height": 900}], ids=["phone", "desktop"])
def test_page_is_accessible_and_fits(visit_with: Opening, viewport: dict[str, int]) -> None:
    states = ["CANCELLING", "CANCELLED", "FAILED", "SUCCEEDED", "QUEUED"]
    items = [
        job(
            id=state,
            state=state,
            warnings=[LONG],
            error={"code": "X", "message": LONG},
            subject=SUBJECT | {"source": LONG, "model": LONG},
        )
        for state in states
    ]
    with visit_with(viewport=viewport) as visit:
        visit.answer("/api/jobs?*", {"items": items, "next_cursor": "more", "warnings": [LONG]})
        visit.page.route("**/api/jobs/*", lambda route: route.abort())
        visit.page.route("**/events", lambda route: route.abort())
        page = visit.open("/jobs")
        expect(page.locator(".job")).to_have_count(len(states))
        open_all_details(page)
        assert visit.violations_in_both_schemes() == []
        assert_fits(page)


def test_kind_of_a_failed_job_is_whole_on_a_phone(visit_with: Opening) -> None:
    failed = job(state="FAILED", error={"code": "X", "message": "It failed."})
    with visit_with(viewport=PHONE) as visit:
        visit.answer("/api/jobs?*", {"items": [failed], "next_cursor": None, "warnings": []})
        page = visit.open("/jobs")
        heading = page.locator(".job-head h2")
        expect(heading).to_be_visible()
        assert heading.evaluate("(title) => title.getClientRects()[0].height") < 30
