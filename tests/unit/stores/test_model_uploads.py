"""An upload is stored whole or leaves nothing, and is read only as far as needed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.domain.errors import InvalidInput, ModelNotFound, TooLarge, UnsupportedFormat
from src.domain.model_files import ModelFile
from src.stores.incoming_file import IncomingFile
from src.stores.model_files import DiskModelFiles
from tests.unit.stores.uploads import CONTENT, MAX_BYTES, kept, left_in, pieces, receive


async def test_large_upload_is_written_in_blocks(root: Path) -> None:
    content = CONTENT + os.urandom(3_500_000)
    files = DiskModelFiles(root, max_bytes=len(content), max_models_per_user=1)
    file = await receive(files, chunks=pieces(content, 65_536))
    assert file.path.read_bytes() == content
    assert file.sha256 == hashlib.sha256(content).hexdigest()


async def test_empty_file_is_rejected(files: DiskModelFiles, root: Path) -> None:
    with pytest.raises(InvalidInput, match="empty") as caught:
        await receive(files, chunks=pieces(b""))
    assert caught.value.field == "file"
    assert left_in(root) == []


async def test_reading_stops_at_size_limit(files: DiskModelFiles, root: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield CONTENT
        while True:
            sent += 10_000
            yield b"x" * 10_000

    with pytest.raises(TooLarge, match=r"Maximum: 0\.0953674 MiB"):
        await receive(files, chunks=endless())
    assert sent + len(CONTENT) <= MAX_BYTES + 10_000
    assert left_in(root) == []


async def test_file_of_exactly_maximum_size_is_stored(files: DiskModelFiles) -> None:
    content = CONTENT + b"x" * (MAX_BYTES - len(CONTENT))
    assert (await receive(files, chunks=pieces(content))).size_bytes == MAX_BYTES


async def test_foreign_content_is_rejected_before_reading_rest(files: DiskModelFiles, root: Path) -> None:
    read = 0

    async def page() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(20):
            read += 4096
            yield b"<html>" + b" " * 4090

    with pytest.raises(UnsupportedFormat, match="looks like a web page"):
        await receive(files, chunks=page())
    assert read == 4096
    assert left_in(root) == []


class ClientWentAway(ConnectionError):
    pass


@pytest.mark.parametrize("is_temporary", [False, True])
@pytest.mark.parametrize("error", [ClientWentAway, RuntimeError, TimeoutError, asyncio.CancelledError])
async def test_broken_stream_leaves_no_file(
    files: DiskModelFiles, root: Path, error: type[BaseException], is_temporary: bool
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield CONTENT
        assert len(left_in(root)) == 1  # it is there while it arrives, hidden
        raise error

    with pytest.raises(error):
        await receive(files, chunks=broken(), is_temporary=is_temporary)
    assert left_in(root) == []


async def test_upload_cancelled_anytime_leaves_all_or_nothing(root: Path) -> None:
    content = CONTENT + b"x" * 3_000_000
    files = DiskModelFiles(root, max_bytes=len(content), max_models_per_user=1000)
    kept = 0
    for attempt in range(25):
        task = asyncio.create_task(receive(files, chunks=pieces(content, 500_000)))
        await asyncio.sleep(attempt * 0.0008)
        task.cancel()
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        kept += isinstance(outcome, ModelFile)
        assert len(left_in(root)) == 2 * kept, outcome
    assert len(await files.list("alice")) == kept


async def test_upload_cancelled_while_waiting_leaves_nothing(files: DiskModelFiles, root: Path) -> None:
    has_begun = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield CONTENT
        has_begun.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(receive(files, chunks=stuck()))
    await has_begun.wait()
    assert len(left_in(root)) == 1
    assert await files.list("alice") == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_in(root) == []


async def test_temporary_file_is_unlisted_and_deletable_twice(files: DiskModelFiles, root: Path) -> None:
    file = await receive(files, is_temporary=True)
    assert file.is_temporary
    assert file.path.parent == root / ".tmp"
    assert f"{os.getpid()}-" in file.path.name
    assert file.path.suffix == ".pkl"
    assert await files.list("alice") == []
    with pytest.raises(ModelNotFound):
        await files.get("alice", file.path.name)
    await files.delete(file)
    await files.delete(file)
    assert left_in(root) == []


async def test_file_is_invisible_until_kept(files: DiskModelFiles, root: Path) -> None:
    file = await files.receive(
        user_id="alice",
        original_filename="m.pkl",
        model_name=None,
        chunks=pieces(CONTENT),
        is_for_keeping=True,
    )
    assert file.is_temporary
    assert await files.list("alice") == []
    assert left_in(root) == [f".tmp/{file.path.name}"]
    lasting = await files.keep(file)
    assert not lasting.is_temporary
    assert await files.list("alice") == [lasting]
    with pytest.raises(ModelNotFound):
        await files.keep(file)
    assert len(left_in(root)) == 2


async def test_keep_cancelled_anytime_leaves_all_or_nothing(root: Path) -> None:
    files = DiskModelFiles(root, max_bytes=MAX_BYTES, max_models_per_user=1000)
    lasting = 0
    for attempt in range(25):
        file = await receive(files, is_temporary=True)
        task = asyncio.create_task(kept(files, file))
        await asyncio.sleep(attempt * 0.0003)
        task.cancel()
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        lasting += isinstance(outcome, ModelFile)
        assert len(left_in(root)) == 2 * lasting, outcome


async def test_event_loop_runs_while_file_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = DiskModelFiles(root, max_bytes=10**9, max_models_per_user=5)
    loop = asyncio.get_running_loop()
    write, writes = IncomingFile.write, 0

    def write_once_loop_has_turned(incoming: IncomingFile, content: bytes) -> None:
        nonlocal writes
        has_turned = threading.Event()
        loop.call_soon_threadsafe(has_turned.set)
        assert has_turned.wait(60), "the event loop waits for the disk"
        write(incoming, content)
        writes += 1

    monkeypatch.setattr(IncomingFile, "write", write_once_loop_has_turned)
    await receive(files, chunks=pieces(CONTENT + b"x" * 20_000_000, 100_000))
    assert writes > 1
