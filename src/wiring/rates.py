"""Construct what limits uses per sender and time."""

from __future__ import annotations

from src.domain.rates import Rate, RateLimit
from src.identity.attempts import CountedAttempts
from src.observing.meters import Meters
from src.ports.identity import Authenticator
from src.ports.rates import UNLIMITED, CoreBudget, RateLimiter
from src.rates.core_budget import LimitedCores
from src.settings import Settings


def build_limiter(settings: Settings, meters: Meters) -> RateLimiter:
    """Return the limits of the settings; 0 means no limit."""
    declared = (
        (Rate.REQUESTS, "max_requests_per_minute", 60),
        (Rate.UPLOADS, "max_uploads_per_hour", 3600),
        (Rate.CORE_SECONDS, "max_core_seconds_per_hour", 3600),
        (Rate.FAILED_SIGN_INS, "max_failed_sign_ins_per_minute", 60),
    )
    limits = [
        RateLimit(rate=rate, allowed=allowed, window_s=window_s, setting=name.upper())
        for rate, name, window_s in declared
        if (allowed := getattr(settings, name)) and (rate is not Rate.FAILED_SIGN_INS or settings.checks_secrets)
    ]
    if not limits:
        return UNLIMITED
    from src.rates.limiter import MovingWindowLimiter  # noqa: PLC0415  (takes 1/10 s; only limits need it)

    return MovingWindowLimiter(limits, meter=meters.rates)


def build_budget(limiter: RateLimiter) -> CoreBudget | None:
    """Return what charges users for processor time; None if it is not limited."""
    if Rate.CORE_SECONDS not in limiter.limits:
        return None
    return LimitedCores(limiter)


def count_attempts(authenticator: Authenticator, limiter: RateLimiter) -> Authenticator:
    """Return an authenticator whose refusals are counted by address, if they are limited."""
    return CountedAttempts(authenticator, limiter) if Rate.FAILED_SIGN_INS in limiter.limits else authenticator
