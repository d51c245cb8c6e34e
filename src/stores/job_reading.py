"""Read jobs, their requests and conclusions for every store, which only has to read its rows and documents."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from src.domain.jobs import Job, JobConclusion, JobPage, JobRequest, JobState
from src.stores.job_documents import build_job_page, decode_conclusion, decode_request, read_job, read_readable
from src.stores.pages import Position, check_page_size, is_storable_text

Row = Mapping[str, Any]


class JobReading(ABC):
    """The part of a JobStore that changes nothing."""

    async def get(self, job_id: str) -> Job:
        return read_job(await self._read(job_id))

    async def get_many(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        wanted = [job_id for job_id in dict.fromkeys(job_ids) if is_storable_text(job_id)]
        return read_readable(await self._read_many(wanted))

    async def owner(self, job_id: str) -> str:
        return str((await self._read(job_id)).get("user_id"))

    async def list(self, *, user_id: str, first: int, after: str | None, state: JobState | None = None) -> JobPage:
        check_page_size(first)
        position = None if after is None else Position.from_cursor(after)
        if not is_storable_text(user_id):
            return JobPage(jobs=(), next_cursor=None)
        return build_job_page(await self._read_page(user_id, position, state, first + 1), first=first)

    async def read_request(self, job_id: str) -> JobRequest:
        content = await self._read_document(job_id, "request")
        return await asyncio.to_thread(decode_request, job_id, content)

    async def read_conclusion(self, job_id: str) -> JobConclusion | None:
        content = await self._read_document(job_id, "conclusion")
        return None if content is None else await asyncio.to_thread(decode_conclusion, job_id, content)

    @abstractmethod
    async def _read(self, job_id: str) -> Row:
        """Return the row of a job; raises JobNotFound."""

    @abstractmethod
    async def _read_many(self, job_ids: Sequence[str]) -> Sequence[Row]:
        """Return the rows of the given jobs; jobs that do not exist are left out."""

    @abstractmethod
    async def _read_page(
        self, user_id: str, after: Position | None, state: JobState | None, most: int
    ) -> Sequence[Row]:
        """Return the rows of a user's jobs, newest first: no more than `most`, in this state, older than a position."""

    @abstractmethod
    async def _read_document(self, job_id: str, name: str) -> bytes | None:
        """Return the request or the conclusion of a job, None if it has none; raises JobNotFound."""
