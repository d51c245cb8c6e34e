"""From start to stop: what is opened, warmed up, prepared and closed, and what /ready is told meanwhile."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from inspect import signature
from typing import Any

import pytest

from src.service.results import ResultService
from src.service.services import Services, Steps
from src.service.warm_up import settle_memory


class Reachable:
    async def is_reachable(self) -> bool:
        return True


def make_services(**parts: Any) -> Services:
    """Services of which nothing but their start and stop is asked."""
    required = {item.name: None for item in signature(Services).parameters.values() if item.default is item.empty}
    given: dict[str, Any] = {**required, "results": ResultService(store=Reachable()), "steps": Steps(**parts)}
    return Services(**given)


def noting(seen: list[str], word: str, failure: Exception | None = None) -> Callable[[], Awaitable[object]]:
    async def step() -> None:
        seen.append(word)
        if failure is not None:
            raise failure

    return step


async def until_ready(services: Services) -> None:
    for _ in range(100):
        if (await services.readiness()).is_ready:
            return
        await asyncio.sleep(0)
    raise AssertionError("not ready")


async def test_readiness_waits_for_warm_up_only() -> None:
    seen: list[str] = []
    gate, never = asyncio.Event(), asyncio.Event()
    services = make_services(
        opening=[noting(seen, "open")],
        warming=[gate.wait, noting(seen, "warm")],
        following=[noting(seen, "follow"), never.wait],
        closing=[noting(seen, "close")],
    )
    await services.start()
    assert seen == ["open"]
    assert (await services.readiness()).parts == {"warmUp": "warming up", "store": "ready"}
    gate.set()
    await until_ready(services)
    await asyncio.sleep(0.01)
    assert seen == ["open", "warm", "follow"]
    await services.stop()
    assert seen[-1] == "close"


async def test_failed_warm_up_skips_following_and_stops_cleanly() -> None:
    seen: list[str] = []
    services = make_services(
        warming=[noting(seen, "warm", LookupError("broken"))],
        following=[noting(seen, "follow")],
        closing=[noting(seen, "close")],
    )
    await services.start()
    await asyncio.sleep(0.01)
    assert (await services.readiness()).parts["warmUp"] == "failed; see the log"
    await services.stop()
    assert seen == ["warm", "close"]


async def test_failed_following_part_is_logged_and_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []
    services = make_services(following=[noting(seen, "first", LookupError("broken")), noting(seen, "second")])
    with caplog.at_level(logging.ERROR):
        await services.start()
        await until_ready(services)
        await asyncio.sleep(0.01)
    assert seen == ["first", "second"]
    assert "part failed to prepare" in caplog.text
    await services.stop()


def test_settled_memory_is_excluded_from_collections() -> None:
    settle_memory()
    try:
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


async def test_draining_services_are_not_ready() -> None:
    seen: list[str] = []
    services = make_services(draining=[lambda: seen.append("drained")])
    await services.start()
    await until_ready(services)
    services.start_draining()
    readiness = await services.readiness()
    assert not readiness.is_ready
    assert readiness.parts == {"warmUp": "ready", "store": "ready", "process": "stopping"}
    assert seen == ["drained"]
    await services.stop()
