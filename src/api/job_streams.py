"""Follow jobs for clients that stay connected: server-sent events and subscriptions, a bounded number of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from src.domain.errors import Busy, JobNotFound
from src.domain.jobs import Job
from src.service.jobs import JobService

MAX_STREAMS: Final = 256
"""Streams of one process: each holds a connection, and a copy of its job's state."""
MAX_STREAMS_PER_USER: Final = 64
"""Streams of one user's jobs, so that they leave some for those of others."""
MAX_STREAM_S: Final = 3600.0
"""A stream ends after this time; clients that still want it open another one."""


class JobStreams:
    """The open streams of one process; all end when the process begins to stop."""

    def __init__(
        self,
        *,
        max_streams: int = MAX_STREAMS,
        max_streams_per_user: int = MAX_STREAMS_PER_USER,
        max_stream_s: float = MAX_STREAM_S,
    ) -> None:
        self._max_streams = max_streams
        self._max_streams_per_user = max_streams_per_user
        self._max_stream_s = max_stream_s
        self._open: Counter[str] = Counter()
        self._closing = asyncio.Event()

    def check_free(self, user_id: str) -> None:
        """Raise Busy if no more streams of a user's jobs may be opened; callers ask before they `follow`."""
        if self._closing.is_set():
            raise Busy("The service is stopping. Try again later.")
        for count, most, whose in (
            (self._open.total(), self._max_streams, "jobs"),
            (self._open[user_id], self._max_streams_per_user, "this user's jobs"),
        ):
            if count >= most:
                problem = "{count} streams of " + whose + " are open already. Retry in 5 s, or read the job itself."
                raise Busy(problem, retry_after_s=5.0, count=count)

    def close(self) -> None:
        """End all streams."""
        self._closing.set()

    async def follow(
        self, jobs: JobService, job_id: str, user_id: str, *, idle_s: float
    ) -> AsyncGenerator[Job | None, None]:
        """Yield each state of a user's job until it has ended, and None after `idle_s` without a new one.

        Ends too if the job is deleted, the process stops, or the stream has lasted long enough.
        """
        self._open[user_id] += 1
        ending = asyncio.create_task(self._end())
        try:
            async with aclosing(jobs.watch(job_id)) as states:
                while not ending.done():
                    coming = asyncio.ensure_future(anext(states, None))
                    try:
                        while not coming.done() and not ending.done():
                            await asyncio.wait({coming, ending}, timeout=idle_s, return_when=asyncio.FIRST_COMPLETED)
                            if not coming.done() and not ending.done():
                                yield None
                    finally:
                        await _settle(coming)
                    if coming.cancelled() or (state := coming.result()) is None:
                        return
                    yield state
        except JobNotFound:
            return
        finally:
            self._open -= Counter([user_id])  # drops users without a stream
            await _settle(ending)

    async def wait_for_end(self, jobs: JobService, job: Job, *, wait_s: float) -> Job:
        """Return a job once it has ended, or as it is after `wait_s`, or when the process stops.

        If no more jobs can be followed, return it at once; the client then asks for it later, as after too short a
        wait.
        """
        if wait_s <= 0 or job.state.is_final:
            return job
        try:
            self.check_free(job.user_id)
        except Busy:
            return job
        try:
            async with (
                asyncio.timeout(wait_s),
                aclosing(self.follow(jobs, job.id, job.user_id, idle_s=wait_s)) as states,
            ):
                async for state in states:
                    job = job if state is None else state
        except TimeoutError:
            return job
        return job

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(self._max_stream_s):
                await self._closing.wait()
        except TimeoutError:
            return


async def _settle(task: asyncio.Future[Any]) -> None:
    """Cancel a task that has not ended, and wait for its end."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
