"""One bucket: what is written is read, requests are bounded in time, errors are translated and hold no secret."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
import traceback
from pathlib import Path

import pytest

from src.domain.errors import StoreUnavailable
from src.objects.bucket import Bucket
from tests.object_storage import KEY_ID, SECRET, Fault, ObjectStorage


async def test_object_is_read_as_written(bucket: Bucket, storage: ObjectStorage) -> None:
    await bucket.put("things/me@home.x/a", b"content")
    assert await bucket.read("things/me@home.x/a", max_bytes=100) == b"content"
    assert await bucket.read("things/other", max_bytes=100) is None
    assert storage.stored_keys() == ["things/me@home.x/a"]


async def test_long_file_is_sent_in_parts(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.objects.bucket._PART_BYTES", 5 * 1024 * 1024)
    content = bytes(range(256)) * 50_000
    (tmp_path / "file").write_bytes(content)
    await bucket.put("long", tmp_path / "file")
    target = io.BytesIO()
    assert await bucket.download("long", target, size_bytes=len(content)) == hashlib.sha256(content).hexdigest()
    assert target.getvalue() == content


async def test_download_stops_after_the_expected_size(bucket: Bucket) -> None:
    await bucket.put("long", bytes(1000))
    target = io.BytesIO()
    assert await bucket.download("long", target, size_bytes=10) == hashlib.sha256(bytes(11)).hexdigest()
    assert len(target.getvalue()) == 11


async def test_too_long_entry_is_not_read(bucket: Bucket) -> None:
    await bucket.put("long", bytes(1000))
    with pytest.raises(StoreUnavailable, match="too long"):
        await bucket.read("long", max_bytes=999)


async def test_one_of_many_creations_wins(bucket: Bucket) -> None:
    won = await asyncio.gather(*(bucket.create("name", str(number).encode()) for number in range(8)))
    assert sum(won) == 1
    assert await bucket.read("name", max_bytes=10) == str(won.index(True)).encode()


async def test_list_has_one_folder_only(bucket: Bucket) -> None:
    for key in ("a/b/2", "a/b/1", "a/bc/1", "a/b.json"):
        await bucket.put(key, b"xy")
    listed = await bucket.list("a/b")
    assert [(item.key, item.size_bytes) for item in listed] == [("a/b/1", 2), ("a/b/2", 2)]
    assert abs(listed[0].modified_ms / 1000 - time.time()) < 60
    await bucket.delete(["a/b/1", "a/b/never"])
    assert [item.key for item in await bucket.list("a/b")] == ["a/b/2"]


@pytest.mark.parametrize(
    ("fault", "text", "retry_after_s"),
    [
        (Fault("503 Service Unavailable", "SlowDown"), "does not respond as it should", 5.0),
        (Fault("500 Internal Server Error", "InternalError"), "does not respond as it should", 5.0),
        (Fault("507 Insufficient Storage", "XMinioStorageFull"), "it is full", 60.0),
        (Fault("403 Forbidden", "QuotaExceeded"), "it is full", 60.0),
        (Fault("403 Forbidden", "SignatureDoesNotMatch"), "refuses the service's access", 60.0),
        (Fault("401 Unauthorized", "InvalidToken"), "refuses the service's access", 60.0),
        (Fault("404 Not Found", "NoSuchBucket"), "its bucket does not exist", 60.0),
        (Fault("301 Moved Permanently", "PermanentRedirect"), "does not respond as it should", 5.0),
        (Fault("200 OK", "Nonsense"), "", None),
    ],
    ids=lambda value: value.status[:3] + value.code if isinstance(value, Fault) else "",
)
async def test_failure_is_translated_without_a_secret(
    bucket: Bucket,
    storage: ObjectStorage,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    text: str,
    retry_after_s: float | None,
) -> None:
    caplog.set_level("DEBUG")
    await bucket.put("there", b"x")
    storage.fault = lambda method, path: fault
    if retry_after_s is None:  # a reply that looks right holds something else
        assert await bucket.read("there", max_bytes=1000) == fault.body
        return
    for call in (
        lambda: bucket.put("key", b"x"),
        lambda: bucket.create("key", b"x"),
        lambda: bucket.read("there", max_bytes=10),
        lambda: bucket.list("there"),
        lambda: bucket.download("there", io.BytesIO(), size_bytes=1),
        lambda: bucket.delete(["there"]),
    ):
        with pytest.raises(StoreUnavailable, match=text) as caught:
            await call()
        assert caught.value.retry_after_s == retry_after_s
        shown = "".join(traceback.format_exception(caught.value)) + caplog.text
        assert KEY_ID not in shown
        assert SECRET not in shown
        assert str(storage.port) not in caught.value.message
    assert any(part in caplog.text for part in (f"code={fault.code}", f"status={fault.status[:3]}", "AWS_REGION"))


async def test_slow_reply_is_given_up(storage: ObjectStorage) -> None:
    bucket = Bucket(storage.url, timeout_s=0.5)
    storage.fault = lambda method, path: Fault("200 OK", after_s=3.0)
    for call in (bucket.read("key", max_bytes=10), bucket.put("key", b"x"), bucket.list("key"), bucket.delete(["key"])):
        started_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match="does not respond"):
            await call
        assert time.monotonic() - started_s < 2.0


async def test_stopped_server_fails_soon_and_recovers(storage: ObjectStorage) -> None:
    bucket = Bucket(storage.url, timeout_s=2.0)
    await bucket.put("key", b"x")
    storage.stop()
    started_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match="does not respond") as caught:
        await bucket.read("key", max_bytes=10)
    assert caught.value.retry_after_s == 5.0
    assert time.monotonic() - started_s < 4.0
    storage.start()
    assert await bucket.read("key", max_bytes=10) == b"x"


async def test_passing_failure_is_tried_again(bucket: Bucket, storage: ObjectStorage) -> None:
    faults = iter([Fault("503 Service Unavailable", "SlowDown")])
    storage.fault = lambda method, path: next(faults, None)
    await bucket.put("key", b"x")
    assert await bucket.read("key", max_bytes=10) == b"x"
