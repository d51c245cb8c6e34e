"""Admit callers to a limited number of slots, fairly between users: `FairQueue`.

Rules, in order: 1. if the queue is full, a caller whose user has fewer waiting displaces the last waiting caller of the
user with most, else it is rejected; 2. it gets a slot at once if one is free and its user may hold one more; 3. else it
waits; 4. a slot that becomes free goes to the user with the fewest slots, among equals to the one served longest ago.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from src.domain.errors import Busy, ServiceError
from src.observing.meters import UNMEASURED, QueueMeter, Refusal

_MIN_RETRY_S: Final = 1.0
_NEWEST_SHARE: Final = 0.2
"""Weight of the newest caller in the running mean of how long a slot is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """The messages and errors of rejected callers: templates of `domain.error_text`, in which `{retry}` is seconds."""

    full: str
    """If the queue is full: `{held}` callers hold a slot, `{waiting}` wait, `{callers}` are both together."""
    late: str
    """After `{waited}` seconds of waiting."""
    closed: Callable[[], ServiceError]
    """The error after the queue has been closed."""


class FairQueue:
    """Lets `slots` callers in at once and makes others wait; see the module for the rules.

    Parameters
    ----------
    max_waiting
        Callers beyond `slots` that may be in the queue, of all users together.
    max_wait_s
        Seconds after which a waiting caller is rejected; None: never.
    max_slots_per_user
        Slots that one user may hold at once; None: all.
    meter
        Counts the callers.
    """

    def __init__(
        self,
        *,
        slots: int,
        max_waiting: int,
        max_wait_s: float | None,
        refusals: Refusals,
        max_slots_per_user: int | None = None,
        meter: QueueMeter = UNMEASURED,
    ) -> None:
        self._slots = slots
        self._meter = meter
        self._max_callers = slots + max_waiting
        self._max_wait_s = max_wait_s
        self._max_slots_per_user = slots if max_slots_per_user is None else max_slots_per_user
        self._refusals = refusals
        self._held: Counter[str] = Counter()
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        """The waiting callers by user; the users in the order in which they were last served."""
        self._mean_hold_s = 0.0
        self._is_closed = False

    @property
    def held(self) -> int:
        """The number of held slots."""
        return self._held.total()

    @property
    def waiting(self) -> int:
        """The number of waiting callers."""
        return sum(map(len, self._queues.values()))

    @asynccontextmanager
    async def slot(self, user_id: str) -> AsyncIterator[None]:
        """Wait for a slot, and hold it while the block runs.

        Raises Busy if the queue is full, the wait is too long, or another user displaces this caller;
        `Refusals.closed` if the queue is closed.
        """
        try:
            await self._enter(user_id)
        finally:
            self._show()
        started = time.monotonic()
        try:
            yield
        finally:
            self._mean_hold_s += _NEWEST_SHARE * (time.monotonic() - started - self._mean_hold_s)
            self._leave(user_id)
            self._show()

    def close(self) -> None:
        """Reject all waiting callers, and all later ones."""
        self._is_closed = True
        for queue in self._queues.values():
            for caller in queue:
                self._refuse(caller, self._refusals.closed(), Refusal.CLOSED)

    async def _enter(self, user_id: str) -> None:
        if self._is_closed:
            self._meter.count_refusal(Refusal.CLOSED)
            raise self._refusals.closed()
        if self.held + self.waiting >= self._max_callers:
            self._displace_for(user_id)
        if self._has_slot_for(user_id):
            self._held[user_id] += 1
            return
        caller = asyncio.get_running_loop().create_future()
        self._queues.setdefault(user_id, deque()).append(caller)
        self._show()
        try:
            async with asyncio.timeout(self._max_wait_s):
                await caller
        except BaseException as error:
            self._give_up(user_id, caller)
            if isinstance(error, TimeoutError):
                self._meter.count_refusal(Refusal.LATE)
                raise self._busy(self._refusals.late, waited=self._max_wait_s) from None
            raise

    def _has_slot_for(self, user_id: str) -> bool:
        return self.held < self._slots and self._held[user_id] < self._max_slots_per_user

    def _leave(self, user_id: str) -> None:
        self._held[user_id] -= 1
        self._held += Counter()  # drops the users without a slot
        while users := [user for user in self._queues if self._has_slot_for(user)]:
            self._admit_next(min(users, key=self._held.__getitem__))

    def _admit_next(self, user_id: str) -> None:
        queue = self._queues.pop(user_id)
        caller = queue.popleft()
        if queue:
            self._queues[user_id] = queue  # inserted behind all other users
        if not caller.done():
            self._held[user_id] += 1
            caller.set_result(None)

    def _give_up(self, user_id: str, caller: asyncio.Future[None]) -> None:
        """Remove a caller that stops waiting; release its slot if it was admitted meanwhile."""
        queue = self._queues.get(user_id, deque())
        if caller in queue:
            queue.remove(caller)
            if not queue:
                del self._queues[user_id]
        elif caller.done() and not caller.cancelled() and caller.exception() is None:
            self._leave(user_id)

    def _displace_for(self, user_id: str) -> None:
        """Reject the last waiting caller of the user with most; raise Busy if this user would then have as many."""
        held, waiting = self.held, self.waiting
        refusal = self._busy(self._refusals.full, held=held, waiting=waiting, callers=held + waiting)
        longest = max(self._queues.values(), key=len, default=deque())
        if len(longest) <= len(self._queues.get(user_id, ())) + 1:
            self._meter.count_refusal(Refusal.FULL)
            raise refusal
        self._refuse(longest.pop(), refusal, Refusal.DISPLACED)

    def _refuse(self, caller: asyncio.Future[None], error: ServiceError, reason: Refusal) -> None:
        if not caller.done():
            caller.set_exception(error)
            self._meter.count_refusal(reason)

    def _show(self) -> None:
        self._meter.show(running=self.held, waiting=self.waiting)

    def _busy(self, template: str, **parts: object) -> Busy:
        retry_s = max(_MIN_RETRY_S, self._mean_hold_s * (self.waiting + 1) / self._slots)
        return Busy(template, retry_after_s=retry_s, retry=math.ceil(retry_s), **parts)
