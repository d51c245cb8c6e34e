"""Check that the id of a request reaches tasks, threads and pools, and no other request."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from src.concurrency.threads import in_thread, run_in_pool
from src.jobs.threads import JobThreads
from src.observing.activity import Activity, current_activity, printable, working_on
from src.service.computing import ComputeQueue


def seen_id() -> str | None:
    activity = current_activity()
    return None if activity is None else activity.request_id


async def ids_seen_by(request_id: str) -> list[str | None]:
    compute, jobs = ComputeQueue(threads=1, max_waiting=0), JobThreads(1)
    try:
        with ThreadPoolExecutor(1) as pool, working_on(Activity(request_id=request_id)):
            await asyncio.sleep(0)
            return [
                seen_id(),
                await asyncio.create_task(asyncio.to_thread(seen_id)),
                await in_thread(seen_id),
                await run_in_pool(pool, seen_id),
                await compute.run(seen_id),
                await jobs.run(seen_id),
            ]
    finally:
        await compute.close()
        jobs.close()


async def test_id_reaches_tasks_threads_and_pools_of_its_request_only() -> None:
    first, second = await asyncio.gather(ids_seen_by("one"), ids_seen_by("two"))
    assert first == ["one"] * 6
    assert second == ["two"] * 6
    assert seen_id() is None


@pytest.mark.parametrize(
    ("text", "shown"), [("ann", "ann"), ("a b", "a\\x20b"), ("é", "\\xe9"), ("x" * 500, "x" * 128)]
)
def test_text_of_a_client_is_one_short_word(text: str, shown: str) -> None:
    assert printable(text) == shown
