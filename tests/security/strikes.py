"""Send one hostile file to a real runner, and check everything that must not have changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from src.domain.errors import ServiceError
from src.sandbox.runner import SandboxedModelRunner
from tests.security.hostile import features, model_file
from tests.security.world import SECRET_WORD, World
from tests.unit.sandbox.runners import model_processes_of

TABLE = features(rows=60, columns=2)
SLACK_S = 2.0
AUDIT_SEED = 11
"""Every run of a model is audited, so hostile files are too."""


@asynccontextmanager
async def open_runner(*, deadline_s: float) -> AsyncIterator[SandboxedModelRunner]:
    """Yield a strict runner of a server that has a secret in its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVER_SECRET", SECRET_WORD)
        runner = SandboxedModelRunner(max_children=2, deadline_s=deadline_s, memory_bytes=2 << 30)
        try:
            await runner.warm_up()
            assert (await runner.probe()).accepts_models
            yield runner
        finally:
            await runner.close()


def save_honest(folder: Path) -> Path:
    labels = (TABLE.values.sum(axis=1) > 0).astype(int)
    joblib.dump(LogisticRegression().fit(TABLE.values, labels), folder / "honest.joblib")
    return folder / "honest.joblib"


async def strike(runner: SandboxedModelRunner, world: World, honest: Path, content: bytes, name: str) -> ServiceError:
    """Send a hostile file, check that it had no effect, and return the error that its sender gets."""
    path = world.models / name
    path.write_bytes(content)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    started = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        await runner.predict(model_file(path), TABLE, list(TABLE.names), None, audit_seed=AUDIT_SEED)
    assert time.monotonic() - started < runner._children.deadline_s + SLACK_S
    path.unlink()
    assert world.harm() == []
    message = caught.value.message
    assert message
    assert SECRET_WORD not in message
    assert str(world.folder) not in message
    assert message.isprintable()
    assert len(message) < 1500
    assert await comes_about(lambda: not model_processes_of(runner))
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    predictions = await runner.predict(model_file(honest), TABLE, list(TABLE.names), None, audit_seed=AUDIT_SEED)
    assert predictions.audit_failure is None
    assert ((predictions.values > 0.5) == (TABLE.values.sum(axis=1) > 0)).mean() > 0.9
    return caught.value


async def comes_about(holds: Callable[[], bool]) -> bool:
    for _ in range(200):
        if holds():
            return True
        await asyncio.sleep(0.01)
    return False
