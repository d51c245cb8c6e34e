"""Wrong keys of one address: when they are not looked at any more, and whom that concerns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.domain.errors import InvalidCredentials, RateLimited, Unauthenticated
from src.domain.rates import Rate, RateLimit
from src.identity import attempts
from src.identity.attempts import CountedAttempts
from src.identity.key_file import KeyFile
from src.identity.keys import KeyAuthenticator
from src.ports.identity import Credentials
from src.rates.limiter import MovingWindowLimiter
from tests.clocks import FixedClock, Stopwatch

LIMIT = RateLimit(rate=Rate.FAILED_SIGN_INS, allowed=3, window_s=60, setting="MAX_FAILED_SIGN_INS_PER_MINUTE")


@pytest.fixture
def clock() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def key(tmp_path: Path) -> str:
    with_keys = KeyFile(tmp_path / "keys.sqlite3")
    made = with_keys.create("ann", name="", now_ms=1, expires_ms=None)[1]
    with_keys.close()
    return made


@pytest.fixture
async def counted(tmp_path: Path, clock: Stopwatch, key: str) -> AsyncIterator[CountedAttempts]:
    assert key
    keys = KeyAuthenticator(KeyFile(tmp_path / "keys.sqlite3"), FixedClock(1000))
    counted = CountedAttempts(keys, MovingWindowLimiter([LIMIT], now=clock))
    yield counted
    await counted.close()


def given(key: str, address: str = "203.0.113.7") -> Credentials:
    return Credentials(headers=(("x-api-key", key),), address=address)


async def guess(counted: CountedAttempts, count: int, address: str = "203.0.113.7") -> None:
    for number in range(count):
        with pytest.raises(InvalidCredentials):
            await counted.identify(given(f"bt_wrong{number}", address))


async def test_right_key_after_many_wrong_ones_stays_unknown(
    counted: CountedAttempts, key: str, clock: Stopwatch
) -> None:
    await guess(counted, 3)
    with pytest.raises(RateLimited) as refused:
        await counted.identify(given(key))
    assert refused.value.retry_after_s == 60
    assert refused.value.message == (
        "3 of 3 failed sign ins per minute are used up (MAX_FAILED_SIGN_INS_PER_MINUTE). Retry in 60 s."
    )
    clock.now_s += 60
    assert (await counted.identify(given(key))).user_id == "ann"


async def test_key_accepted_before_is_accepted_after_wrong_ones(counted: CountedAttempts, key: str) -> None:
    await counted.identify(given(key))
    await guess(counted, 3)
    assert (await counted.identify(given(key))).user_id == "ann"
    with pytest.raises(RateLimited):
        await counted.identify(given("bt_another"))


async def test_other_address_may_still_sign_in(counted: CountedAttempts, key: str) -> None:
    await guess(counted, 3)
    assert (await counted.identify(given(key, "203.0.113.8"))).user_id == "ann"


async def test_request_without_key_is_not_counted(counted: CountedAttempts, key: str) -> None:
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await counted.identify(Credentials(address="203.0.113.7"))
    assert (await counted.identify(given(key))).user_id == "ann"


async def test_remembered_keys_are_bounded(counted: CountedAttempts, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_REMEMBERED", 2)
    for spelling in (key, f" {key}", f"{key} "):
        await counted.identify(given(spelling))
    assert len(counted._accepted) == 2
    await guess(counted, 3)
    with pytest.raises(RateLimited):
        await counted.identify(given(key))
