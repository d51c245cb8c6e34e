"""A bucket on loopback, and the users' files of two hosts in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from src.objects.bucket import Bucket
from src.objects.cache import ObjectCache
from src.objects.user_objects import UserObjects
from tests.clocks import FixedClock
from tests.factories import START_MS
from tests.object_storage import ObjectStorage

OpenHost = Callable[..., UserObjects]


@pytest.fixture
def bucket(storage: ObjectStorage) -> Bucket:
    return Bucket(storage.url, timeout_s=10.0)


@pytest.fixture
def open_host(storage: ObjectStorage, tmp_path: Path) -> OpenHost:
    """Open the files of one kind as a host of that name does, with a cache of its own."""

    def open_one(
        name: str = "a", *, max_count: int = 5, max_bytes: int = 10**6, timeout_s: float = 10.0
    ) -> UserObjects:
        bucket = Bucket(storage.url, timeout_s=timeout_s)
        cache = ObjectCache(tmp_path / name, max_bytes=max_bytes)
        return UserObjects(bucket, cache, kind="things", clock=FixedClock(START_MS), max_count=max_count, suffix=".x")

    return open_one
