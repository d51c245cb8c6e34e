"""The request weight of a minute, and the pause that an exchange may order."""

from __future__ import annotations

import pytest

from src.binance.weight import WeightBudget
from src.domain.errors import ExchangeUnavailable
from tests.clocks import Stopwatch


def make_budget(per_minute: int) -> tuple[WeightBudget, Stopwatch]:
    stopwatch = Stopwatch()
    return WeightBudget(per_minute, monotonic=stopwatch, sleep=stopwatch.sleep), stopwatch


async def test_any_minute_stays_within_budget() -> None:
    budget, stopwatch = make_budget(10)
    spent = []
    for step in range(40):
        await budget.spend(3, until=1e9)
        spent.append(stopwatch.now_s)
        stopwatch.now_s += step % 7
    for begin in spent:
        assert sum(3 for time in spent if begin <= time < begin + 60) <= 10
    assert stopwatch.slept


async def test_wait_beyond_deadline_is_rejected_at_once() -> None:
    budget, stopwatch = make_budget(10)
    await budget.spend(10, until=1e9)
    with pytest.raises(ExchangeUnavailable, match="used up") as caught:
        await budget.spend(1, until=stopwatch.now_s + 30)
    assert caught.value.retry_after_s == 60
    assert stopwatch.slept == []


async def test_pause_stops_all_requests_until_its_end() -> None:
    budget, stopwatch = make_budget(100)
    budget.pause(7)
    budget.pause(2)
    with pytest.raises(ExchangeUnavailable, match=r"told us to send no requests.*Retry in 7 s\.") as caught:
        budget.ensure_open(until=stopwatch.now_s + 6)
    assert caught.value.retry_after_s == 7
    budget.ensure_open(until=stopwatch.now_s + 8)
    await budget.spend(1, until=stopwatch.now_s + 8)
    assert sum(stopwatch.slept) == 7


async def test_weight_used_by_others_counts() -> None:
    budget, stopwatch = make_budget(100)
    await budget.spend(2, until=1e9)
    budget.observe(99)
    budget.observe(5)
    with pytest.raises(ExchangeUnavailable):
        await budget.spend(2, until=stopwatch.now_s + 10)
    await budget.spend(1, until=stopwatch.now_s)
    await budget.spend(2, until=1e9)
    assert sum(stopwatch.slept) == 60


async def test_request_heavier_than_budget_waits_for_empty_window() -> None:
    budget, stopwatch = make_budget(10)
    await budget.spend(20, until=stopwatch.now_s)
    assert stopwatch.slept == []
