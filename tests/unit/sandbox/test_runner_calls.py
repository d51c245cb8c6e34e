"""Calls of the runner: deadlines, cancelling, fairness, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from src.domain.errors import Busy, ModelRejected, SandboxUnavailable, TimedOut
from src.sandbox.runner import SandboxedModelRunner
from tests.security.hostile import PLAIN_FORMATS, features, model_file
from tests.unit.sandbox.runners import COLUMNS, hostile, model_processes_of, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_model_beyond_deadline_is_killed(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    with pytest.raises(TimedOut):
        await runner.inspect(model_file(hostile(tmp_path, "while True: pass")))
    await until(lambda: not model_processes_of(runner))


async def test_sixteen_calls_run_two_at_a_time(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    slow = hostile(tmp_path, "import time; time.sleep(0.1)")
    await runner.probe()
    order: list[int] = []
    most = 0

    async def ask(number: int) -> None:
        with pytest.raises(ModelRejected):
            await runner.inspect(model_file(slow))
        order.append(number)

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(model_processes_of(runner)))
            await asyncio.sleep(0.01)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(ask(number) for number in range(16)))
    watcher.cancel()
    assert most == 2
    # First come, first served: two run at a time, so nobody overtakes by more than one place.
    assert all(abs(place - number) <= 1 for place, number in enumerate(order))


async def test_queue_alternates_between_users(runner: SandboxedModelRunner, honest: Path, tmp_path: Path) -> None:
    slow = replace(model_file(hostile(tmp_path, "import time; time.sleep(0.5)")), user_id="busy")
    greedy = [asyncio.create_task(runner.inspect(slow)) for _ in range(10)]
    await asyncio.sleep(0.1)
    assert (await runner.inspect(model_file(honest))).n_features == 2
    assert sum(task.done() for task in greedy) <= 2
    for task in greedy:
        task.cancel()
    await asyncio.wait(greedy)


async def test_full_queue_and_long_wait_reject_calls(tmp_path: Path) -> None:
    runner = SandboxedModelRunner(registry=PLAIN_FORMATS, max_children=1, max_waiting=2, max_wait_s=0.3)
    slow = model_file(hostile(tmp_path, "import time; time.sleep(60)"))
    calls = [asyncio.create_task(runner.inspect(slow)) for _ in range(4)]
    outcomes = await asyncio.gather(*calls[1:], return_exceptions=True)
    assert all(isinstance(outcome, Busy) for outcome in outcomes), outcomes
    assert sorted("queued for 0.3 s" in str(outcome) for outcome in outcomes) == [False, True, True]
    assert not calls[0].done()
    await runner.close()
    with pytest.raises(SandboxUnavailable):
        await calls[0]


async def test_cancelled_call_ends_its_child(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    call = asyncio.create_task(runner.inspect(model_file(hostile(tmp_path, "import time; time.sleep(60)"))))
    await until(lambda: len(model_processes_of(runner)) == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not model_processes_of(runner))


async def test_hundred_calls_leave_no_processes_or_descriptors(runner: SandboxedModelRunner, honest: Path) -> None:
    table = features(rows=1000)
    for _ in range(10):
        await runner.predict(model_file(honest), table, COLUMNS, None)
    before, memory_before = descriptors(), resident_mib()
    for _ in range(100):
        await runner.predict(model_file(honest), table, COLUMNS, None)
    assert descriptors() == before
    assert resident_mib() - memory_before < 8
    assert model_processes_of(runner) == []
    if os.geteuid() == 0:
        held = Path(f"/proc/{runner._children.start('plain').pid}/fd")
        # Null input, output and errors, and the channel; it closes a child's pipe a moment after telling of its end.
        await until(lambda: len(list(held.iterdir())) == 4)


async def test_close_ends_running_models(tmp_path: Path) -> None:
    runner = SandboxedModelRunner(registry=PLAIN_FORMATS, max_children=2)
    await runner.warm_up()
    slow = model_file(hostile(tmp_path, "import time; time.sleep(60)"))
    calls = [asyncio.create_task(runner.inspect(slow)) for _ in range(2)]
    await until(lambda: len(model_processes_of(runner)) == 2)
    await runner.close()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, SandboxUnavailable) for result in results), results


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
