"""Report how much is stored of each user, and delete all that is stored of one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from src.domain.errors import Conflict, JobNotFound, ResultNotFound
from src.domain.model_files import check_user_id
from src.domain.user_usage import NOTHING, UserUsage
from src.ports.clock import Clock
from src.ports.jobs import JobStore
from src.ports.stores import ResultStore, UserFiles, UserRecords

STOPPING_S: Final = 120.0
"""Seconds in which a cancelled job must stop: its process notes it when it renews its lease."""
POLL_S: Final = 0.5
ROUNDS: Final = 3
"""How often the stores are emptied, because a run that ends meanwhile stores its result afterwards."""


class UserKeys(Protocol):
    """The API keys of users; its methods block."""

    def count_by_user(self) -> Mapping[str, int]: ...

    def delete_user(self, user_id: str) -> int:
        """Delete all keys and sessions of a user; return the number of keys."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UserService:
    """The operator's use cases of users, also while services run. Every method raises StoreUnavailable."""

    records: UserRecords
    results: ResultStore
    jobs: JobStore
    models: UserFiles
    datasets: UserFiles
    keys: UserKeys
    clock: Clock
    stopping_s: float = STOPPING_S

    async def usage(self) -> Mapping[str, UserUsage]:
        """Return what is stored of each user, by user."""
        found = dict(await self.records.usage())
        for user_id, (count, size) in (await self.models.usage()).items():
            found[user_id] = found.get(user_id, NOTHING) + UserUsage(models=count, model_bytes=size)
        for user_id, (count, size) in (await self.datasets.usage()).items():
            found[user_id] = found.get(user_id, NOTHING) + UserUsage(datasets=count, dataset_bytes=size)
        for user_id, count in (await asyncio.to_thread(self.keys.count_by_user)).items():
            found[user_id] = found.get(user_id, NOTHING) + UserUsage(keys=count)
        return dict(sorted(found.items()))

    async def delete(self, user_id: str) -> UserUsage:
        """Delete keys, jobs, results, models, datasets and ledgers of a user; return what there was.

        Keys come first, so that no request of the user is admitted any more. Running jobs are cancelled. Raises
        Conflict if one does not stop in time: what was deleted until then stays deleted.
        """
        check_user_id(user_id)
        before = (await self.usage()).get(user_id, NOTHING)
        await asyncio.to_thread(self.keys.delete_user, user_id)
        for _ in range(ROUNDS):
            jobs, results = await self.records.job_ids(user_id), await self.records.result_ids(user_id)
            if not jobs and not results:
                break
            for job_id in jobs:
                await self._delete_job(job_id)
            for result_id in await self.records.result_ids(user_id):
                with suppress(ResultNotFound):
                    await self.results.delete(result_id)
        await self.models.delete(user_id)
        await self.datasets.delete(user_id)
        await self.records.forget(user_id)
        return before

    async def _delete_job(self, job_id: str) -> None:
        """Cancel a job, wait until its process has stopped, and delete it."""
        deadline_s = time.monotonic() + self.stopping_s
        with suppress(JobNotFound):
            await self.jobs.cancel(job_id, now_ms=self.clock.now_ms())
            while True:
                try:
                    await self.jobs.delete(job_id)
                except Conflict:
                    if time.monotonic() > deadline_s:
                        raise
                    await asyncio.sleep(POLL_S)
                else:
                    return
