"""Limits per sender and time: when a use is refused, what the refusal says, and what is forgotten."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.concurrency.paid_work import paid_by
from src.domain.errors import RateLimited
from src.domain.rates import Rate, RateLimit, sender_of_address
from src.rates.core_budget import LimitedCores
from src.rates.limiter import MovingWindowLimiter
from src.rates.memory import MAX_STEPS
from tests.clocks import Stopwatch
from tests.thoroughness import examples

ANN, BOB = "user ann", "user bob"
PER_MINUTE = RateLimit(rate=Rate.REQUESTS, allowed=3, window_s=60, setting="MAX_REQUESTS_PER_MINUTE")
CORES = RateLimit(rate=Rate.CORE_SECONDS, allowed=10, window_s=3600, setting="MAX_CORE_SECONDS_PER_HOUR")


class Refusals:
    """Counts refusals by limit."""

    def __init__(self) -> None:
        self.counted: list[str] = []

    def count_rate_refusal(self, rate: str) -> None:
        self.counted.append(rate)


@pytest.fixture
def clock() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def limiter(clock: Stopwatch) -> MovingWindowLimiter:
    return MovingWindowLimiter([PER_MINUTE, CORES], now=clock)


def spend(limiter: MovingWindowLimiter, amount: int = 1, sender: str = ANN) -> RateLimited | None:
    """Spend requests; return the error if they are refused."""
    try:
        limiter.spend(sender, Rate.REQUESTS, amount)
    except RateLimited as error:
        return error
    return None


def test_use_over_limit_is_refused(limiter: MovingWindowLimiter, clock: Stopwatch) -> None:
    assert [spend(limiter) for _ in range(3)] == [None, None, None]
    clock.now_s += 17.2
    error = spend(limiter)
    assert error is not None
    assert error.message == ("3 of 3 requests per minute are used up (MAX_REQUESTS_PER_MINUTE). Retry in 43 s.")
    assert (error.code, error.retry_after_s) == ("RATE_LIMITED", 43)


def test_retry_is_admitted_and_one_second_less_refused(limiter: MovingWindowLimiter, clock: Stopwatch) -> None:
    for pause in (0.0, 10.4, 20.0):
        clock.now_s += pause
        spend(limiter)
    error = spend(limiter)
    assert error is not None and error.retry_after_s is not None
    clock.now_s += error.retry_after_s - 1
    assert spend(limiter) is not None
    clock.now_s += 1
    assert spend(limiter) is None


def test_refused_use_is_not_counted(limiter: MovingWindowLimiter, clock: Stopwatch) -> None:
    for _ in range(3):
        spend(limiter)
    clock.now_s += 59
    for _ in range(10):
        assert spend(limiter) is not None
    clock.now_s += 1
    assert [spend(limiter) for _ in range(3)] == [None, None, None]


def test_several_uses_wait_until_all_fit(limiter: MovingWindowLimiter, clock: Stopwatch) -> None:
    for _ in range(3):
        spend(limiter)
        clock.now_s += 10
    error = spend(limiter, 2)
    assert error is not None
    assert error.retry_after_s == 40  # 30 s after the first use, whose successor leaves 10 s later
    clock.now_s += 40
    assert spend(limiter, 2) is None


def test_more_than_the_whole_limit_names_no_time(limiter: MovingWindowLimiter) -> None:
    error = spend(limiter, 4)
    assert error is not None
    assert error.retry_after_s is None
    assert error.message == (
        "4 requests at once are more than are allowed per minute: 3 (MAX_REQUESTS_PER_MINUTE). Send several requests."
    )


def test_partly_used_limit_says_what_is_too_many(limiter: MovingWindowLimiter) -> None:
    spend(limiter, 2)
    error = spend(limiter, 2)
    assert error is not None
    assert error.message == (
        "2 of 3 requests per minute are used, and 2 are too many (MAX_REQUESTS_PER_MINUTE). Retry in 60 s."
    )


def test_uses_given_back_are_free_again(limiter: MovingWindowLimiter, clock: Stopwatch) -> None:
    limit = limiter.limits[Rate.REQUESTS].allowed
    limiter.spend("a", Rate.REQUESTS, limit)
    limiter.give_back("a", Rate.REQUESTS, 2)
    limiter.give_back("unknown", Rate.REQUESTS, 2)
    limiter.spend("a", Rate.REQUESTS, 2)
    with pytest.raises(RateLimited):
        limiter.spend("a", Rate.REQUESTS)


def test_senders_do_not_share_a_limit(limiter: MovingWindowLimiter) -> None:
    for _ in range(4):
        spend(limiter)
    assert spend(limiter, sender=BOB) is None


def test_refusals_are_counted_by_limit() -> None:
    meter = Refusals()
    limiter = MovingWindowLimiter([PER_MINUTE], now=Stopwatch(), meter=meter)
    for _ in range(5):
        spend(limiter)
    assert meter.counted == ["requests", "requests"]


def test_rate_without_limit_is_never_refused(limiter: MovingWindowLimiter) -> None:
    for _ in range(1000):
        limiter.spend(ANN, Rate.UPLOADS)
    assert limiter.read_use(ANN, Rate.UPLOADS) is None


def test_use_is_read_without_being_counted(limiter: MovingWindowLimiter, clock: Stopwatch) -> None:
    spend(limiter, 2)
    clock.now_s += 12.5
    for _ in range(5):
        use = limiter.read_use(ANN, Rate.REQUESTS)
        assert use is not None
        assert (use.used, use.remaining, use.free_after_s) == (2, 1, 47.5)
    unused = limiter.read_use(BOB, Rate.REQUESTS)
    assert unused is not None and (unused.used, unused.free_after_s) == (0, 0.0)


def test_core_seconds_are_charged_over_their_limit(limiter: MovingWindowLimiter, clock: Stopwatch) -> None:
    limiter.check(ANN, Rate.CORE_SECONDS)
    limiter.charge(ANN, Rate.CORE_SECONDS, 9.9994)
    limiter.check(ANN, Rate.CORE_SECONDS)
    clock.now_s += 600
    limiter.charge(ANN, Rate.CORE_SECONDS, 25.5)
    with pytest.raises(RateLimited) as refused:
        limiter.check(ANN, Rate.CORE_SECONDS)
    assert refused.value.message == (
        "35 of 10 core seconds per hour are used up (MAX_CORE_SECONDS_PER_HOUR). Retry in 3600 s."
    )
    clock.now_s += 3600
    limiter.check(ANN, Rate.CORE_SECONDS)


def test_part_of_admitted_work_is_never_refused(limiter: MovingWindowLimiter) -> None:
    budget = LimitedCores(limiter)
    budget.charge("ann", 11.0)
    with paid_by("ann"):
        budget.admit("ann")
    with pytest.raises(RateLimited):
        budget.admit("ann")
    budget.admit("bob")


def test_threads_together_get_the_limit() -> None:
    limiter = MovingWindowLimiter(
        [RateLimit(rate=Rate.REQUESTS, allowed=500, window_s=60, setting="X")], now=Stopwatch()
    )
    admitted: list[int] = []

    def work() -> None:
        admitted.append(sum(spend(limiter) is None for _ in range(400)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(admitted) == 500


@settings(max_examples=examples(200), deadline=None)
@given(
    allowed=st.integers(1, 200),
    uses=st.lists(st.tuples(st.floats(0, 9), st.integers(1, 20)), min_size=1, max_size=300),
)
def test_no_window_holds_more_than_the_limit(allowed: int, uses: list[tuple[float, int]]) -> None:
    clock = Stopwatch()
    limiter = MovingWindowLimiter([RateLimit(rate=Rate.REQUESTS, allowed=allowed, window_s=60, setting="X")], now=clock)
    admitted: list[tuple[float, int]] = []
    for pause_s, amount in uses:
        clock.now_s += pause_s
        if spend(limiter, amount) is None:
            admitted.append((clock.now_s, amount))
    for begin_s, _ in admitted:
        assert sum(amount for at_s, amount in admitted if begin_s <= at_s < begin_s + 60) <= allowed


@settings(max_examples=examples(100), deadline=None)
@given(pauses=st.lists(st.floats(0.001, 3), min_size=1, max_size=400))
def test_window_remembers_boundedly_many_times(pauses: list[float]) -> None:
    clock = Stopwatch()
    limiter = MovingWindowLimiter([RateLimit(rate=Rate.REQUESTS, allowed=10_000, window_s=60, setting="X")], now=clock)
    for pause_s in pauses:
        clock.now_s += pause_s
        spend(limiter)
    [window] = limiter.memory._windows[60].values()
    assert len(window.steps) <= 2 * MAX_STEPS + 1


def test_senders_that_left_are_forgotten(clock: Stopwatch) -> None:
    limiter = MovingWindowLimiter([PER_MINUTE], now=clock)
    for number in range(2_000):
        spend(limiter, sender=f"user {number}")
    assert len(limiter.memory) == 2_000
    clock.now_s += 60
    for number in range(200):
        spend(limiter, sender=f"user new{number}")
    assert len(limiter.memory) == 200


def test_most_senders_are_bounded_by_forgetting_the_oldest(clock: Stopwatch) -> None:
    limiter = MovingWindowLimiter([PER_MINUTE], now=clock, max_senders=100)
    for number in range(1000):
        spend(limiter, sender=f"user {number}")
    assert len(limiter.memory) == 100
    assert spend(limiter, sender="user 999") is None
    use = limiter.read_use("user 999", Rate.REQUESTS)
    assert use is not None and use.used == 2


def test_memory_of_many_senders_is_given_back(clock: Stopwatch) -> None:
    limiter = MovingWindowLimiter([PER_MINUTE], now=clock)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(20_000):
            spend(limiter, sender=f"user {number}")
        full = tracemalloc.get_traced_memory()[0] - before
        clock.now_s += 60
        for _ in range(20_000 // 15):
            spend(limiter)
            clock.now_s += 60
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert left < full / 5  # a dict keeps its table when it is emptied


@pytest.mark.parametrize(
    ("address", "sender"),
    [
        ("203.0.113.7", "address 203.0.113.7"),
        ("::ffff:203.0.113.7", "address 203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "network 2001:db8:1:2::"),
        ("fe80::1%eth0", "network fe80::"),
        ("", "address "),
        ("unix", "address unix"),
    ],
)
def test_address_is_counted_by_its_network(address: str, sender: str) -> None:
    assert sender_of_address(address) == sender
