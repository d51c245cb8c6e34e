"""Keep all requests of a process within the request weight that the exchange allows."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from src.domain.errors import ExchangeUnavailable
from src.ports.market import SharedLimits

_WINDOW_S: Final = 60.0


class WeightBudget:
    """A minute's budget of request weight, and the pause that the exchange may order.

    The window slides, so no minute of the exchange's clock exceeds the budget. Weight that the exchange counted beyond
    our own requests (other processes on the same address) is counted here too.

    Parameters
    ----------
    per_minute
        Weight allowed in any 60 seconds.
    shared
        The limits of the exchange that all processes share; None if there is only one process.
    monotonic, sleep
        A clock in seconds that never goes back, and a function that waits on it.
    """

    def __init__(
        self,
        per_minute: int,
        *,
        shared: SharedLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_minute = per_minute
        self._shared = shared
        self._monotonic = monotonic
        self._sleep = sleep
        self._spent: deque[tuple[float, int]] = deque()
        self._total = 0
        self._paused_until = -math.inf

    async def spend(self, weight: int, *, until: float) -> None:
        """Wait until `weight` is free, and count it as used.

        Raises ExchangeUnavailable at once, with the seconds to wait, if the wait would end after `until`, a time of the
        monotonic clock.
        """
        while True:
            while (wait_s := self._wait_s(weight)) > 0:
                self._check(wait_s, until)
                await self._sleep(wait_s)
            # Booked before the shared limit is awaited, because other requests of this process run meanwhile.
            booked = self._book(weight)
            wait_s = 0.0 if self._shared is None else await self._shared.reserve(weight, per_minute=self._per_minute)
            if wait_s <= 0:
                return
            self._cancel(booked)
            self._check(wait_s, until)
            await self._sleep(wait_s)

    def ensure_open(self, *, until: float) -> None:
        """Raise ExchangeUnavailable if the exchange's pause ends after `until`."""
        self._check(self._pause_s(), until)

    def pause(self, seconds: float) -> None:
        """Stop all requests for this many seconds, as the exchange ordered; never shorten a longer pause."""
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)
        if self._shared is not None:
            self._shared.extend(seconds)

    def observe(self, used: int) -> None:
        """Count the weight that the exchange reports as used in this minute."""
        self._forget_old()
        if used > self._total:
            self._book(used - self._total)

    def _check(self, wait_s: float, until: float) -> None:
        if self._monotonic() + wait_s <= until:
            return
        wait = math.ceil(wait_s)
        raise ExchangeUnavailable(
            "The exchange told us to send no requests for now (too many came from this address). Retry in {wait} s."
            if self._pause_s() > 0
            else "This service has used up its share of the exchange's request limit. Retry in {wait} s.",
            retry_after_s=float(wait),
            wait=wait,
        )

    def _pause_s(self) -> float:
        """Return how many seconds of the pause, of this or another process, are left; 0 or less without one."""
        mine = self._paused_until - self._monotonic()
        return mine if self._shared is None else max(mine, self._shared.left_s())

    def _wait_s(self, weight: int) -> float:
        now = self._monotonic()
        pause = self._pause_s()
        self._forget_old()
        excess = self._total + weight - self._per_minute
        free_at = now
        for spent_at, amount in self._spent:
            if excess <= 0:
                break
            excess -= amount
            free_at = spent_at + _WINDOW_S
        return max(pause, free_at - now)

    def _forget_old(self) -> None:
        horizon = self._monotonic() - _WINDOW_S
        while self._spent and self._spent[0][0] <= horizon:
            self._total -= self._spent.popleft()[1]

    def _book(self, weight: int) -> tuple[float, int]:
        booked = (self._monotonic(), weight)
        self._spent.append(booked)
        self._total += weight
        return booked

    def _cancel(self, booked: tuple[float, int]) -> None:
        """Take back weight that was not used, unless its minute is over."""
        if booked in self._spent:
            self._spent.remove(booked)
            self._total -= booked[1]
