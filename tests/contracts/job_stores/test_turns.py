"""Let users take turns: one suite over SQLite and MongoDB."""

from __future__ import annotations

from src.domain.jobs import (
    JobState,
)
from src.ports.jobs import JobStore
from tests.contracts.stored_jobs import OpenStore
from tests.factories import START_MS
from tests.jobs import commit, contents, lease, submit


async def test_users_take_turns(store: JobStore) -> None:
    for number in range(3):
        await submit(store, user_id="ann", created_ms=START_MS + number)
    for number in range(3):
        await submit(store, user_id="bob", created_ms=START_MS + 100 + number)
    order = []
    for _ in range(6):
        held = await lease(store)
        order.append(held.job)
        await store.end(held, JobState.SUCCEEDED, now_ms=START_MS)
    assert [job.user_id for job in order] == ["ann", "bob"] * 3
    for user in ("ann", "bob"):
        mine = [job.created_ms for job in order if job.user_id == user]
        assert mine == sorted(mine)


async def test_first_of_new_users_is_served_first(store: JobStore) -> None:
    for user, created_ms in (("ann", 3), ("zoe", 1), ("bob", 2)):
        await submit(store, user_id=user, created_ms=START_MS + created_ms)
    assert [(await lease(store)).job.user_id for _ in range(3)] == ["zoe", "bob", "ann"]


async def test_user_with_fewest_running_jobs_is_next(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]
    for number in range(4):
        await submit(stores[0], user_id="ann", created_ms=START_MS + number)
    await lease(stores[0])
    await lease(stores[1])
    await submit(stores[0], user_id="bob", created_ms=START_MS + 50)
    await submit(stores[0], user_id="bob", created_ms=START_MS + 51)
    assert [(await lease(store)).job.user_id for store in stores] == ["bob", "bob"]
    assert (await lease(stores[0])).job.user_id == "ann"


async def test_turn_is_over_once_another_user_waits(store: JobStore) -> None:
    await submit(store, user_id="ann")
    assert not await store.is_turn_over("ann")  # it does not run
    held = await lease(store)
    await submit(store, user_id="ann", created_ms=START_MS + 1)
    assert not await store.is_turn_over("ann")
    bobs = await submit(store, user_id="bob", created_ms=START_MS + 2)
    assert await store.is_turn_over("ann")
    await commit(store, held, 0, b"kept", count=7)
    given = await store.end(held, JobState.QUEUED, now_ms=START_MS)
    assert (given.state, given.done, given.total, given.attempt, given.rate) == (JobState.QUEUED, 7, 100, 0, None)
    assert (await lease(store)).job.id == bobs.id
    assert await store.is_turn_over("bob")
    assert not await store.is_turn_over("ann")
    assert (await lease(store)).job.id == held.job.id  # her oldest job goes on before the one that came later
    assert await contents(store, held.job.id) == [b"kept"]


async def test_turn_goes_on_if_the_other_has_more(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]
    await submit(stores[0], user_id="ann")
    await submit(stores[0], user_id="bob", created_ms=START_MS + 1)
    await submit(stores[0], user_id="bob", created_ms=START_MS + 2)
    held = [await lease(store) for store in stores]
    assert [lease.job.user_id for lease in held] == ["ann", "bob"]
    # Without her running job, ann has none and bob one: it would be hers again.
    assert not await stores[0].is_turn_over("ann")
    await submit(stores[0], user_id="ann", created_ms=START_MS + 3)
    assert not await stores[0].is_turn_over("bob")
    await lease(stores[0])  # ann's second one: without it, both have one, and bob was served before it
    assert await stores[1].is_turn_over("ann")
    assert not await stores[1].is_turn_over("bob")
