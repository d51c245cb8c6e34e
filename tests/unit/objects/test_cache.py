"""Copies on a host's disk: fetched once, bounded in size, never removed while they are in use."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from src.domain.errors import StoreUnavailable
from src.files.unfinished import unfinished_name
from src.objects.cache import Fetch, ObjectCache


def fetching(content: bytes, fetched: list[bytes] | None = None) -> Fetch:
    async def fetch(file: BinaryIO) -> None:
        await asyncio.sleep(0.01)
        file.write(content)
        if fetched is not None:
            fetched.append(content)

    return fetch


async def read(cache: ObjectCache, place: str, content: bytes, fetched: list[bytes] | None = None) -> bytes:
    async with cache.hold(place, len(content), fetching(content, fetched)) as path:
        return path.read_bytes()


def names(cache: ObjectCache) -> list[str]:
    return sorted(cache.place(path) for path in cache.path("").rglob("*") if path.is_file())


async def test_copy_is_fetched_once(tmp_path: Path) -> None:
    fetched: list[bytes] = []
    cache = ObjectCache(tmp_path, max_bytes=100)
    got = await asyncio.gather(*(read(cache, "a/b", b"content", fetched) for _ in range(20)))
    assert (set(got), fetched) == ({b"content"}, [b"content"])
    assert await read(ObjectCache(tmp_path, max_bytes=100), "a/b", b"content", fetched) == b"content"
    assert len(fetched) == 1


async def test_copies_not_used_go_first(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, max_bytes=100)
    for number in range(4):
        await read(cache, f"k/{number}", bytes(25))
        os.utime(cache.path(f"k/{number}"), (number + 1, number + 1))
    await read(cache, "k/0", bytes(25))
    await read(cache, "k/new", bytes(50))
    assert names(cache) == ["k/0", "k/3", "k/new"]


async def test_copy_in_use_is_not_removed(tmp_path: Path) -> None:
    cache, other_process = ObjectCache(tmp_path, max_bytes=100), ObjectCache(tmp_path, max_bytes=100)
    async with cache.hold("a", 60, fetching(bytes(60))) as path:
        await read(other_process, "b", bytes(60))
        assert await other_process.retain("", lambda place: False) == 1
        assert path.read_bytes() == bytes(60)
    await read(other_process, "c", bytes(60))
    assert names(cache) == ["c"]


async def test_copy_larger_than_the_cache_does_not_stay(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, max_bytes=10)
    assert await read(cache, "large", bytes(50)) == bytes(50)
    assert names(cache) == []


async def test_failed_fetch_leaves_nothing(tmp_path: Path) -> None:
    async def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise StoreUnavailable("gone")

    cache = ObjectCache(tmp_path, max_bytes=100)
    with pytest.raises(StoreUnavailable, match="gone"):
        async with cache.hold("a", 8, fail):
            pass
    assert names(cache) == []
    assert await read(cache, "a", b"complete") == b"complete"


async def test_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    async def fill_disk(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = ObjectCache(tmp_path, max_bytes=100)
    with pytest.raises(StoreUnavailable, match="cached objects cannot be used: the disk is full"):
        async with cache.hold("a", 8, fill_disk):
            pass
    assert names(cache) == []


async def test_file_larger_than_the_cache_is_removed(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "cache", max_bytes=3)
    (tmp_path / "upload").write_bytes(b"content")
    await cache.insert("a/b", tmp_path / "upload")
    assert not (tmp_path / "upload").exists()
    assert names(cache) == []


async def test_cancelled_fetch_leaves_nothing(tmp_path: Path) -> None:
    async def hang(file: BinaryIO) -> None:
        file.write(b"half")
        await asyncio.sleep(60)

    cache = ObjectCache(tmp_path, max_bytes=100)

    async def hold() -> None:
        async with cache.hold("a", 8, hang):
            pass

    task = asyncio.create_task(hold())
    while not names(cache):
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert names(cache) == []
    assert await read(cache, "a", b"complete") == b"complete"


async def test_copy_of_another_length_is_fetched_again(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, max_bytes=100)
    await read(cache, "a", b"complete")
    cache.path("a").write_bytes(b"comp")
    assert await read(cache, "a", b"complete") == b"complete"


async def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, max_bytes=100)
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / ".999999999-1.0.part").write_bytes(b"half")
    ours = tmp_path / "u" / unfinished_name()
    ours.write_bytes(b"half")
    assert await cache.remove_leftovers() == 1
    assert list((tmp_path / "u").iterdir()) == [ours]


async def test_file_is_moved_in_or_only_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = ObjectCache(tmp_path / "cache", max_bytes=100)
    (tmp_path / "upload").write_bytes(b"content")
    await cache.insert("a/b", tmp_path / "upload")
    assert not (tmp_path / "upload").exists()
    fetched: list[bytes] = []
    assert await read(cache, "a/b", b"content", fetched) == b"content"
    assert fetched == []
    await cache.insert("a/c", tmp_path / "upload")
    assert "object not cached" in caplog.text
    await cache.discard("a")
    assert names(cache) == []
