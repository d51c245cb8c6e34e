"""End and cancel jobs: one suite over SQLite and MongoDB."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import pytest

from src.domain.errors import Conflict
from src.domain.jobs import (
    JobConclusion,
    JobFailure,
    JobOutcome,
    JobState,
)
from src.domain.portfolio import PortfolioConclusion
from src.domain.walk_forward import WalkForwardConclusion
from src.ports.jobs import JobStore, LeaseLost
from src.stores.job_documents import decode_conclusion, encode_document
from tests.contracts.stored_jobs import LATER_MS, make_conclusion, note
from tests.equality import assert_identical
from tests.factories import START_MS
from tests.jobs import ENOUGH, LEASE_MS, commit, contents, lease, submit
from tests.portfolios import make_portfolio_conclusion


@pytest.mark.parametrize("conclusion", [make_conclusion(), None])
async def test_job_succeeds_with_what_it_found(store: JobStore, conclusion: JobConclusion | None) -> None:
    job = await submit(store)
    held = await lease(store)
    await commit(store, held, 0)
    ended = await store.end(
        held,
        JobState.SUCCEEDED,
        now_ms=LATER_MS,
        outcome=JobOutcome(result_id="r-1", conclusion=conclusion, warnings=("at the end",)),
    )
    assert ended == await store.get(job.id)
    assert (ended.state, ended.ended_ms, ended.rate) == (JobState.SUCCEEDED, LATER_MS, None)
    assert (ended.result_id, ended.warnings, ended.best_so_far) == ("r-1", ("at the end",), 1.5)
    assert await store.read_conclusion(job.id) == conclusion
    with pytest.raises(Conflict, match=r"is SUCCEEDED. Allowed to resume: CANCELLED, FAILED, INTERRUPTED"):
        await store.resume(job.id, quota=ENOUGH)
    with pytest.raises(LeaseLost):
        await commit(store, held, 1)
    assert await store.cancel(job.id, now_ms=LATER_MS) == ended


async def test_conclusion_of_a_walk_forward_is_read_back(store: JobStore) -> None:
    conclusion = WalkForwardConclusion(
        bars_fingerprint="1" * 64, folds=3, result_id="r-1", efficiency=0.1 + 0.2, profitable_folds=1,
        distinct_choices=2, warnings=("é",),
    )  # fmt: skip
    job = await submit(store)
    await store.end(await lease(store), JobState.SUCCEEDED, now_ms=START_MS, outcome=JobOutcome(conclusion=conclusion))
    assert await store.read_conclusion(job.id) == conclusion


async def test_conclusion_of_a_portfolio_is_read_back(store: JobStore) -> None:
    conclusion = make_portfolio_conclusion()
    assert None in conclusion.correlations.values
    job = await submit(store)
    await store.end(await lease(store), JobState.SUCCEEDED, now_ms=START_MS, outcome=JobOutcome(conclusion=conclusion))
    found = await store.read_conclusion(job.id)
    assert_identical(found, conclusion)


def test_sweep_of_an_earlier_version_is_read() -> None:
    document = json.loads(zlib.decompress(encode_document(make_conclusion())))
    assert document["value"].pop("timing") is not None
    found = decode_conclusion("j-1", zlib.compress(json.dumps(document).encode()))
    assert found == replace(make_conclusion(), timing=None)


def test_portfolio_of_an_earlier_version_is_read() -> None:
    whole, added = make_portfolio_conclusion(), ("reduced_entries", "dropped_entries", "ambiguous_bars", "liquidations")
    document = json.loads(zlib.decompress(encode_document(whole)))
    found = [document["value"], *document["value"]["symbols"]]
    for name in (*added, "fill_band", "tick_size", "step_size", "min_notional", "funding_fingerprint"):
        assert [part.pop(name) for part in found if name in part]
    read = decode_conclusion("j-1", zlib.compress(json.dumps(document).encode()))
    assert isinstance(read, PortfolioConclusion)
    assert [getattr(read, name) for name in (*added, "fill_band")] == [None] * 5
    assert {getattr(share, name) for share in read.symbols for name in (*added, "step_size")} == {None}
    assert (read.metrics, read.warnings) == (whole.metrics, whole.warnings)


async def test_failed_job_says_why(store: JobStore) -> None:
    job = await submit(store)
    failure = JobFailure(code="TOO_LARGE", message='$field of {braces} and "quotes" is too large.')
    held = await lease(store)
    with pytest.raises(ValueError, match="no failure"):
        await store.end(held, JobState.FAILED, now_ms=START_MS)
    failed = await store.end(held, JobState.FAILED, now_ms=START_MS, failure=failure)
    assert failed == await store.get(job.id)
    assert failed.failure == failure


async def test_waiting_job_is_cancelled_at_once(store: JobStore) -> None:
    job = await submit(store)
    cancelled = await store.cancel(job.id, now_ms=LATER_MS)
    assert (cancelled.state, cancelled.ended_ms) == (JobState.CANCELLED, LATER_MS)
    assert await store.lease(holder="a", now_ms=LATER_MS, duration_ms=LEASE_MS) is None
    assert (await store.resume(job.id, quota=ENOUGH)).state is JobState.QUEUED
    assert (await lease(store)).job.id == job.id


@pytest.mark.parametrize("end", [JobState.CANCELLED, JobState.QUEUED, JobState.INTERRUPTED])
async def test_holder_learns_that_its_job_is_cancelled(store: JobStore, end: JobState) -> None:
    job = await submit(store)
    held = await lease(store)
    await commit(store, held, 0, b"kept")
    assert (await store.cancel(job.id, now_ms=START_MS)).state is JobState.CANCELLING
    assert (await store.renew(held, now_ms=START_MS, duration_ms=LEASE_MS))[1] is JobState.CANCELLING
    assert (await commit(store, held, 1, b"too"))[1] is JobState.CANCELLING
    assert (await store.end(held, end, now_ms=LATER_MS)).state is JobState.CANCELLED
    assert await contents(store, job.id) == [b"kept", b"too"]


async def test_cancelled_holder_learns_of_it_by_a_note(store: JobStore) -> None:
    job = await submit(store)
    held = await lease(store)
    await store.cancel(job.id, now_ms=START_MS)
    _, state = await note(store, held)
    assert state is JobState.CANCELLING


async def test_cancelled_job_of_dead_process_ends(store: JobStore) -> None:
    first, second = [await submit(store, created_ms=START_MS + number) for number in range(2)]
    await lease(store)
    await lease(store)
    await store.cancel(first.id, now_ms=START_MS)
    assert (await store.cancel(second.id, now_ms=LATER_MS)).state is JobState.CANCELLED
    assert await store.lease(holder="a", now_ms=LATER_MS, duration_ms=LEASE_MS) is None
    assert (await store.get(first.id)).state is JobState.CANCELLED
