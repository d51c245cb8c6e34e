"""Limit uses per sender in moving windows, with the library `limits`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.strategies import MovingWindowRateLimiter

from src.domain.errors import RateLimited
from src.domain.rates import Rate, RateLimit, RateUse
from src.observing.meters import UNMEASURED, RateMeter
from src.rates.memory import MAX_SENDERS, BoundedMemory

_PARTS: Final[Mapping[Rate, int]] = {Rate.CORE_SECONDS: 1_000_000}
"""The library counts whole numbers: core seconds are counted in microseconds, other uses as they are."""

_WINDOWS: Final = {60: "minute", 3600: "hour"}

_OVER: Final = "{used:,} of {allowed:,} {rate} per {window} are used up ({setting}). Retry in {retry} s."
_TOO_MANY: Final = (
    "{used:,} of {allowed:,} {rate} per {window} are used, and {amount} are too many ({setting}). Retry in {retry} s."
)
_NEVER: Final = (
    "{amount} {rate} at once are more than are allowed per {window}: {allowed:,} ({setting}). Send several requests."
)


class MovingWindowLimiter:
    """The RateLimiter of one process.

    Parameters
    ----------
    now
        A monotonic clock in seconds.
    meter
        What counts the refusals.
    """

    def __init__(
        self,
        limits: Iterable[RateLimit],
        *,
        now: Callable[[], float] = time.monotonic,
        meter: RateMeter = UNMEASURED,
        max_senders: int = MAX_SENDERS,
    ) -> None:
        self.limits: Mapping[Rate, RateLimit] = {limit.rate: limit for limit in limits}
        self.memory = BoundedMemory(now=now, max_senders=max_senders)
        self._now = now
        self._meter = meter
        self._strategy = MovingWindowRateLimiter(self.memory)
        self._items = {rate: _item_of(limit) for rate, limit in self.limits.items()}

    def spend(self, sender: str, rate: Rate, amount: int = 1) -> None:
        item = self._items.get(rate)
        if item is not None and not self._strategy.hit(item, sender, cost=amount * _PARTS.get(rate, 1)):
            raise self._refuse(sender, rate, item, amount)

    def give_back(self, sender: str, rate: Rate, amount: int) -> None:
        item = self._items.get(rate)
        if item is not None:
            self.memory.take_back(item.key_for(sender), item.get_expiry(), amount * _PARTS.get(rate, 1))

    def charge(self, sender: str, rate: Rate, amount: float) -> None:
        item, parts = self._items.get(rate), round(amount * _PARTS.get(rate, 1))
        if item is not None and parts > 0:
            self.memory.incr(item.key_for(sender), item.get_expiry(), parts)

    def check(self, sender: str, rate: Rate) -> None:
        item = self._items.get(rate)
        if item is not None and not self._strategy.test(item, sender):
            raise self._refuse(sender, rate, item, 1)

    def read_use(self, sender: str, rate: Rate) -> RateUse | None:
        item = self._items.get(rate)
        if item is None:
            return None
        # As the strategy's `get_window_stats`, which takes three times as long.
        key, window_s = item.key_for(sender), item.get_expiry()
        oldest_s, used = self.memory.get_moving_window(key, item.amount, window_s)
        if used < item.amount:
            return self._describe(rate, used, oldest_s + window_s - self._now())
        return self._describe(rate, used, self._seconds_until(key, window_s, item.amount - 1))

    def _describe(self, rate: Rate, used: int, free_after_s: float) -> RateUse:
        shown = used / _PARTS[rate] if rate in _PARTS else used
        return RateUse(limit=self.limits[rate], used=shown, free_after_s=max(0.0, free_after_s) if used else 0.0)

    def _refuse(self, sender: str, rate: Rate, item: RateLimitItem, amount: int) -> RateLimited:
        """Count a refusal and return its error, which says when this amount is free again."""
        self._meter.count_rate_refusal(rate.value)
        limit, key, window_s = self.limits[rate], item.key_for(sender), item.get_expiry()
        used, wanted = self.memory.get_moving_window(key, item.amount, window_s)[1], amount * _PARTS.get(rate, 1)
        parts: dict[str, Any] = {
            "rate": rate.value.replace("-", " "), "allowed": limit.allowed, "setting": limit.setting, "amount": amount,
            "window": _WINDOWS.get(window_s, f"{window_s} s"),
        }  # fmt: skip
        if wanted > item.amount:
            return RateLimited(_NEVER, **parts)
        free_after_s = self._seconds_until(key, window_s, item.amount - wanted)
        use = self._describe(rate, used, free_after_s)
        return RateLimited(
            _OVER if use.remaining == 0 else _TOO_MANY,
            retry_after_s=free_after_s, used=math.floor(use.used), retry=math.ceil(free_after_s), **parts,
        )  # fmt: skip

    def _seconds_until(self, key: str, window_s: int, most: int) -> int:
        """Return the whole seconds until a window holds `most` uses or fewer."""
        low, high = 1, window_s
        while low < high:
            middle = (low + high) // 2
            if self.memory.count_latest(key, window_s, window_s - middle)[1] <= most:
                high = middle
            else:
                low = middle + 1
        return low


def _item_of(limit: RateLimit) -> RateLimitItem:
    return RateLimitItemPerSecond(limit.allowed * _PARTS.get(limit.rate, 1), limit.window_s, limit.rate.value)
