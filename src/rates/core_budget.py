"""Charge users for the processor time of their work."""

from __future__ import annotations

from src.concurrency.paid_work import payer
from src.domain.rates import Rate, sender_of_user
from src.ports.rates import RateLimiter


class LimitedCores:
    """The CoreBudget of a limiter."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    def admit(self, user_id: str) -> None:
        if payer() is None:  # otherwise this is part of work that was admitted
            self._limiter.check(sender_of_user(user_id), Rate.CORE_SECONDS)

    def charge(self, user_id: str, seconds: float) -> None:
        self._limiter.charge(sender_of_user(user_id), Rate.CORE_SECONDS, seconds)
