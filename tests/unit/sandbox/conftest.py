"""One laboratory and one runner for each test file: real children, with a layer left out where a test asks for it."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from src.sandbox.runner import SandboxedModelRunner
from tests.security.hostile import PLAIN_FORMATS, Laboratory, laboratory
from tests.security.plain_formats import LinearModel
from tests.unit.sandbox.runners import DEADLINE_S


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("laboratory")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner() -> AsyncIterator[SandboxedModelRunner]:
    opened = SandboxedModelRunner(registry=PLAIN_FORMATS, max_children=2, deadline_s=DEADLINE_S, memory_bytes=1 << 30)
    yield opened
    await opened.close()


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    path = tmp_path / "honest.pkl"
    path.write_bytes(pickle.dumps(LinearModel((2.0, -1.0), ("column_0", "column_1"))))
    return path
