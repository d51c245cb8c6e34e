"""What the sender of a request, or of each message of a WebSocket, may still use."""

from __future__ import annotations

import pytest

from src.api.allowance import Allowance
from src.domain.errors import RateLimited
from src.domain.rates import Rate, RateLimit, sender_of_address
from src.rates.limiter import MovingWindowLimiter
from tests.clocks import Stopwatch

SENDER = sender_of_address("203.0.113.7")


@pytest.fixture
def limiter() -> MovingWindowLimiter:
    limits = [
        RateLimit(rate=rate, allowed=allowed, window_s=60, setting=rate.value)
        for rate, allowed in ((Rate.REQUESTS, 5), (Rate.UPLOADS, 2))
    ]
    return MovingWindowLimiter(limits, now=Stopwatch())


@pytest.fixture
def allowance(limiter: MovingWindowLimiter) -> Allowance:
    return Allowance(limiter, {"type": "websocket", "client": ("203.0.113.7", 1)})


def used(limiter: MovingWindowLimiter, rate: Rate = Rate.REQUESTS) -> float:
    found = limiter.read_use(SENDER, rate)
    assert found is not None
    return found.used


def test_refused_message_keeps_those_before(limiter: MovingWindowLimiter, allowance: Allowance) -> None:
    for _ in range(3):
        allowance.begin_message()
        allowance.spend(Rate.REQUESTS)
    with pytest.raises(RateLimited, match=r"2 of 5 requests .* are used, and 4 are too many"):
        allowance.spend_further(Rate.REQUESTS, 3)
    assert used(limiter) == 2
    allowance.begin_message()
    allowance.spend(Rate.REQUESTS)
    allowance.spend_further(Rate.REQUESTS, 2)
    assert used(limiter) == 5


def test_refusal_by_one_limit_counts_in_none(limiter: MovingWindowLimiter, allowance: Allowance) -> None:
    allowance.spend(Rate.REQUESTS)
    allowance.spend(Rate.UPLOADS)
    with pytest.raises(RateLimited):
        allowance.spend_further(Rate.UPLOADS, 2)
    assert (used(limiter), used(limiter, Rate.UPLOADS)) == (0, 0)


def test_file_is_claimed_beyond_those_counted(limiter: MovingWindowLimiter, allowance: Allowance) -> None:
    allowance.spend(Rate.UPLOADS)
    for _ in range(2):
        allowance.claim_upload()
    assert used(limiter, Rate.UPLOADS) == 2
    with pytest.raises(RateLimited):
        allowance.claim_upload()
