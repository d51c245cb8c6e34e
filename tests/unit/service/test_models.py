from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from src.domain.errors import InvalidInput, ModelNotFound, ModelRejected, StoreUnavailable
from src.domain.model_files import ModelFile
from src.service.models import ModelService
from tests.rest_app import MemoryModelFiles


async def content() -> AsyncIterator[bytes]:
    yield b"\x80\x04N."


def arguments(**overrides: Any) -> dict[str, Any]:
    given = {"user_id": "alice", "original_filename": "m.pkl", "model_name": None, "chunks": content()}
    return given | overrides


class SlowFiles(MemoryModelFiles):
    """Deleting takes a moment."""

    async def delete(self, file: ModelFile) -> None:
        await asyncio.sleep(0.05)
        await super().delete(file)


class BrokenFiles(MemoryModelFiles):
    async def delete(self, file: ModelFile) -> None:
        raise StoreUnavailable("the disk is gone")


class Refuser:
    async def inspect(self, file: ModelFile) -> None:
        raise ModelRejected("no model")


async def test_user_ids_are_checked_before_the_store_sees_them() -> None:
    service = ModelService(MemoryModelFiles())
    with pytest.raises(InvalidInput):
        await service.upload(**arguments(user_id="../../etc"))
    with pytest.raises(InvalidInput):
        async with service.temporary(**arguments(user_id="")):
            pass
    for call in (service.list(""), service.get("a/b", "m.pkl"), service.delete(".", "m.pkl")):
        with pytest.raises(InvalidInput):
            await call


async def test_temporary_file_exists_during_block_only() -> None:
    files = MemoryModelFiles()
    async with ModelService(files).temporary(**arguments()) as file:
        assert file.is_temporary
        assert files.files
    assert not files.files


async def test_cancelling_waits_for_the_removal() -> None:
    files = SlowFiles()
    is_inside = asyncio.Event()

    async def hold() -> None:
        async with ModelService(files).temporary(**arguments()):
            is_inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    await is_inside.wait()
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()  # a second time, while the removal runs
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.1)
    assert not files.files


async def test_failed_removal_keeps_outcome_of_request(caplog: pytest.LogCaptureFixture) -> None:
    async with ModelService(BrokenFiles()).temporary(**arguments()):
        pass
    assert "model file not removed" in caplog.text


async def test_rejected_upload_is_removed_with_its_reason() -> None:
    files = MemoryModelFiles()
    with pytest.raises(ModelRejected, match="no model"):
        await ModelService(files, Refuser()).upload(**arguments())  # type: ignore[arg-type]
    assert not files.files


async def test_upload_is_unlisted_before_inspection() -> None:
    files = MemoryModelFiles()
    listed = []

    class Curious:
        async def inspect(self, file: ModelFile) -> None:
            listed.extend(await files.list("alice"))

    file = await ModelService(files, Curious()).upload(**arguments())  # type: ignore[arg-type]
    assert listed == []
    assert await files.list("alice") == [file]


async def test_delete_returns_deleted_file() -> None:
    service = ModelService(MemoryModelFiles())
    file = await service.upload(**arguments())
    assert await service.delete("alice", file.path.name) == file
    with pytest.raises(ModelNotFound):
        await service.delete("alice", file.path.name)
