"""Check hostile pickles, through the real scikit-learn format and every layer: no effect, a clear error, service goes
on."""

from __future__ import annotations

import pickle
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from src.domain.errors import ModelRejected, TimedOut
from src.sandbox.runner import SandboxedModelRunner
from tests.security.attacks import HARMLESS, MODELS, STOPPED
from tests.security.hostile import model_file, pickle_of
from tests.security.strikes import TABLE, open_runner, save_honest, strike
from tests.security.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner() -> AsyncIterator[SandboxedModelRunner]:
    async with open_runner(deadline_s=1.0) as opened:
        yield opened


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_honest(tmp_path_factory.mktemp("honest"))


@pytest.mark.parametrize("name", STOPPED)
async def test_attack_is_stopped_by_kernel(name: str, runner: SandboxedModelRunner, world: World, honest: Path) -> None:
    error = await strike(runner, world, honest, pickle_of(world.fill(STOPPED[name])), "hostile.pkl")
    assert isinstance(error, ModelRejected)
    # The kernel's refusals, not a slip in the attack.
    assert re.search("reports: stopped by (PermissionError|OSError|ValueError|gaierror|URLError)", error.message)


@pytest.mark.parametrize("name", HARMLESS)
async def test_nothing_comes_of(name: str, runner: SandboxedModelRunner, world: World, honest: Path) -> None:
    error = await strike(runner, world, honest, pickle_of(world.fill(HARMLESS[name])), "hostile.pkl")
    if name.startswith("endless loop") or name.startswith("deaf"):
        assert isinstance(error, TimedOut)


class Impostor:
    """Unpickles to an object whose `predict` is the given source's."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        made = "type('Model', (), {'predict': staticmethod(scope['predict'])})()"
        return eval, (f"(lambda scope: (exec({self._source!r}, scope), {made})[1])({{}})",)


@pytest.mark.parametrize("name", MODELS)
async def test_no_prediction_but_an_honest_one_counts(
    name: str, runner: SandboxedModelRunner, world: World, honest: Path
) -> None:
    await strike(runner, world, honest, pickle.dumps(Impostor(world.fill(MODELS[name]))), "impostor.pkl")


async def test_impostor_that_is_honest_is_served(runner: SandboxedModelRunner, world: World) -> None:
    path = world.models / "impostor.pkl"
    path.write_bytes(pickle.dumps(Impostor("def predict(table): return table[:, 0]")))
    predictions = await runner.predict(model_file(path), TABLE, list(TABLE.names), None)
    path.unlink()
    np.testing.assert_array_equal(predictions.values, TABLE.values[:, 0])
