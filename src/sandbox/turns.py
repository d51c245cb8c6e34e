"""The line before the sandbox: it has an end, waiting has a limit, and no user can fill it for the others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from src.domain.errors import Busy, SandboxUnavailable, ServiceError

_SHORTEST_RETRY_S: Final = 1.0
_NEWEST_SHARE: Final = 0.2
"""Weight of the newest turn in the running mean of how long a turn takes."""


class Turns:
    """Lets `places` callers in at once.

    The next is of the user who has the fewest in, among equals of the one whose last turn is the longest ago. Where
    the line is full, a user who has less in it takes the last place of the one who has the most.

    Parameters
    ----------
    most_waiting
        Callers in the line, of all users together.
    longest_wait_s
        Seconds after which one who waits is sent away.
    """

    def __init__(self, *, places: int, most_waiting: int, longest_wait_s: float) -> None:
        self._places = places
        self._most_waiting = most_waiting
        self._longest_wait_s = longest_wait_s
        self._inside: Counter[str] = Counter()
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        """Who waits, by user; the users in the order in which they were last served."""
        self._mean_turn_s = 0.0
        self._is_closed = False

    @asynccontextmanager
    async def turn(self, user_id: str) -> AsyncIterator[None]:
        """Wait for this user's turn, and have it for as long as the block runs.

        Raises
        ------
        Busy
            At once where the line is full; later where the wait is too long, or another user's share is due.
        SandboxUnavailable
            Where it is closed.
        """
        await self._enter(user_id)
        started = time.monotonic()
        try:
            yield
        finally:
            self._mean_turn_s += _NEWEST_SHARE * (time.monotonic() - started - self._mean_turn_s)
            self._leave(user_id)

    def close(self) -> None:
        """Send away all who wait, and who comes from now on."""
        self._is_closed = True
        for line in self._lines.values():
            for waiting in line:
                _refuse(waiting, _closed())

    async def _enter(self, user_id: str) -> None:
        if self._is_closed:
            raise _closed()
        if self._inside.total() < self._places and not self._lines:
            self._inside[user_id] += 1
            return
        if self._waiting >= self._most_waiting:
            self._make_room(user_id)
        waiting = asyncio.get_running_loop().create_future()
        self._lines.setdefault(user_id, deque()).append(waiting)
        try:
            async with asyncio.timeout(self._longest_wait_s):
                await waiting
        except BaseException as error:
            self._give_up(user_id, waiting)
            if isinstance(error, TimeoutError):
                raise self._busy(
                    f"The model waited {self._longest_wait_s:g} s for its turn to be opened, and others are still "
                    "before it; try again later."
                ) from None
            raise

    def _leave(self, user_id: str) -> None:
        self._inside[user_id] -= 1
        self._inside += Counter()  # forgets who has none
        while self._lines and self._inside.total() < self._places:
            self._let_in(min(self._lines, key=self._inside.__getitem__))

    def _let_in(self, user_id: str) -> None:
        line = self._lines.pop(user_id)
        waiting = line.popleft()
        if line:
            self._lines[user_id] = line  # behind all others
        if not waiting.done():
            self._inside[user_id] += 1
            waiting.set_result(None)

    def _give_up(self, user_id: str, waiting: asyncio.Future[None]) -> None:
        """Undo the waiting of a caller who goes, whether or not his turn has come meanwhile."""
        line = self._lines.get(user_id, deque())
        if waiting in line:
            line.remove(waiting)
            if not line:
                del self._lines[user_id]
        elif waiting.done() and not waiting.cancelled() and waiting.exception() is None:
            self._leave(user_id)

    def _make_room(self, user_id: str) -> None:
        refusal = self._busy(f"{self._waiting} models wait to be opened, which is as many as may; try again later.")
        longest = max(self._lines.values(), key=len, default=deque())
        if len(longest) <= len(self._lines.get(user_id, ())) + 1:
            raise refusal
        _refuse(longest.pop(), refusal)

    @property
    def _waiting(self) -> int:
        return sum(map(len, self._lines.values()))

    def _busy(self, message: str) -> Busy:
        wait_s = self._mean_turn_s * self._waiting / self._places
        return Busy(message, retry_after_s=max(_SHORTEST_RETRY_S, wait_s))


def _refuse(waiting: asyncio.Future[None], error: ServiceError) -> None:
    if not waiting.done():
        waiting.set_exception(error)


def _closed() -> SandboxUnavailable:
    return SandboxUnavailable("the service is stopping and opens no more models; try again later")
