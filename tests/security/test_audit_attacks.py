"""Check models that turn hostile when they are audited, after their reply stands: through the real format and every
layer.
"""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from src.domain.errors import ModelRejected, ServiceError, TimedOut
from src.domain.signals import Predictions
from src.sandbox.memory_files import REPLY_DESCRIPTOR
from src.sandbox.runner import SandboxedModelRunner
from src.sandbox.wire import get_reply_size
from tests.security.hostile import model_file
from tests.security.strikes import TABLE, comes_about, open_runner, save_honest, strike
from tests.security.test_attacks import Impostor
from tests.security.world import SECRET_WORD, World
from tests.unit.sandbox.runners import model_processes_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROWS = len(TABLE.values)

TURNS = (
    """
import mmap, os, struct, time
import numpy
calls = 0
def predict(table):
    global calls
    calls += 1
    return table[:, 0] if calls == 1 else turn(table)
def reply():
    return mmap.mmap(DESCRIPTOR, 0)
def forge_audit(value):
    memory = reply()
    values = numpy.full(ROWS, value).tobytes()
    memory[AUDIT + 64 : AUDIT + 64 + len(values)] = values
    memory[AUDIT : AUDIT + 8] = b"BTaud\\0\\0\\1"
    return memory
""".replace("DESCRIPTOR", str(REPLY_DESCRIPTOR))
    .replace("AUDIT", str(get_reply_size(ROWS)))
    .replace("ROWS", str(ROWS))
)

PREDICTED: dict[str, tuple[str, str]] = {
    "makes a file": ("def turn(table): open('CANARY', 'w')", "failed"),
    "runs a command": ("def turn(table): return [os.system('touch CANARY')]", "failed"),
    "takes more memory than it may": ("def turn(table): return bytearray(1 << 40)", "failed"),
    "sleeps": ("def turn(table): time.sleep(60)", "took too long"),
    "catches everything": ("def turn(table):\n while True:\n  try: time.sleep(60)\n  except: pass", "took too long"),
    "kills itself": ("def turn(table): os.abort()", "crashed"),
    "reads invalid memory": ("import ctypes\ndef turn(table): ctypes.string_at(8)", "crashed"),
    "forges NaN": ("def turn(table):\n forge_audit(numpy.nan)\n os._exit(0)", "failed"),
    "forges infinity": ("def turn(table):\n forge_audit(numpy.inf)\n os._exit(0)", "failed"),
    "forges values and hangs": ("def turn(table):\n forge_audit(1.0)\n time.sleep(60)", "took too long"),
    "forges values and crashes": ("def turn(table):\n forge_audit(1.0)\n os.abort()", "crashed"),
    "writes half": ("def turn(table):\n reply()[AUDIT : AUDIT + 7] = b'BTaud\\0\\0'\n os._exit(0)", "failed"),
    "takes the magic back": (
        "def turn(table):\n forge_audit(1.0)[AUDIT : AUDIT + 8] = bytes(8)\n os._exit(0)",
        "failed",
    ),
}
"""By name: what `turn` does when the rows are asked for again, and the end that the server tells of."""

REWRITTEN: dict[str, tuple[str, type[ServiceError], str]] = {
    "status": ("reply()[8:12] = struct.pack('<I', 6)", ModelRejected, "a reply that no model gives"),
    "unknown status": ("reply()[8:12] = struct.pack('<I', 77)", ModelRejected, "a reply that no model gives"),
    "rows": ("reply()[16:24] = struct.pack('<Q', ROWS + 1)", ModelRejected, "a reply that no model gives"),
    "rows into the audit": ("reply()[16:24] = struct.pack('<Q', 2 * ROWS)", ModelRejected, "that no model gives"),
    "length of the text": ("reply()[12:16] = struct.pack('<I', 1 << 31)", ModelRejected, "that no model gives"),
    "text": ("reply()[64 + 8 * ROWS] = 0", ModelRejected, "a reply that no model gives"),
    "a value": ("reply()[64:72] = struct.pack('<d', numpy.nan)", ModelRejected, "a reply that no model gives"),
    "magic": ("reply()[:8] = b'\\x80\\4pickle'", ModelRejected, "a reply that no model gives"),
    "no reply": ("reply()[:24] = bytes(24)", ModelRejected, "before it had replied"),
    "no reply, and hangs": ("reply()[:24] = bytes(24); time.sleep(60)", TimedOut, "took too long"),
    "a value, and hangs": ("reply()[64:72] = struct.pack('<d', numpy.inf); time.sleep(60)", TimedOut, "took too long"),
}
"""By name: what is written over the reply during the audit, and the error that its sender gets."""


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


def impostor(world: World, turn: str) -> bytes:
    places = turn.replace("AUDIT", str(get_reply_size(ROWS))).replace("ROWS", str(ROWS))
    return pickle.dumps(Impostor(TURNS + world.fill(places)))


async def audit(runner: SandboxedModelRunner, world: World, content: bytes) -> Predictions:
    path = world.models / "impostor.pkl"
    path.write_bytes(content)
    try:
        return await runner.predict(model_file(path), TABLE, list(TABLE.names), None, audit_seed=7)
    finally:
        path.unlink()


@pytest.mark.parametrize("name", PREDICTED)
async def test_predictions_stand_when_the_audited_model(name: str, runner: SandboxedModelRunner, world: World) -> None:
    turn, end = PREDICTED[name]
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    predictions = await audit(runner, world, impostor(world, turn))
    np.testing.assert_array_equal(predictions.values, TABLE.values[:, 0])
    assert predictions.among_others is None
    assert predictions.audit_failure == f"The model {end} when the same rows were predicted once more."
    assert world.harm() == []
    assert await comes_about(lambda: not model_processes_of(runner))
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


@pytest.mark.parametrize("name", REWRITTEN)
async def test_reply_rewritten_during_audit_is_checked(
    name: str, runner: SandboxedModelRunner, world: World, honest: Path
) -> None:
    line, kind, words = REWRITTEN[name]
    content = impostor(world, f"def turn(table):\n    {line}\n    os._exit(0)")
    error = await strike(runner, world, honest, content, "impostor.pkl")
    assert type(error) is kind
    assert words in error.message
    assert SECRET_WORD not in error.message


async def test_forged_audit_is_believed_as_numbers_only(runner: SandboxedModelRunner, world: World) -> None:
    """A model may lie about its numbers; then it answers for them like for any prediction."""
    predictions = await audit(runner, world, impostor(world, "def turn(table):\n forge_audit(2.5)\n os._exit(0)"))
    np.testing.assert_array_equal(predictions.values, TABLE.values[:, 0])
    assert predictions.among_others is not None
    assert set(predictions.among_others) == {2.5}
    assert predictions.audit_failure is None


async def test_files_are_not_audited_when_they_are_uploaded(runner: SandboxedModelRunner, world: World) -> None:
    path = world.models / "impostor.pkl"
    path.write_bytes(impostor(world, "def turn(table): os.abort()"))
    # The made-up rows are predicted once; a second call would end the child.
    assert (await runner.inspect(model_file(path))).library == "pickle"
    path.unlink()
