"""Users' files as objects: seen by every host once whole, named once, counted, deleted, and cleaned of what is left."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from src.domain.errors import StoreUnavailable
from src.objects.user_objects import NameTaken, ObjectRecord, TooMany, UserObjects
from tests.object_storage import Fault, ObjectStorage
from tests.unit.objects.conftest import OpenHost

CONTENT = b"content" * 100


async def store(host: UserObjects, name: str = "mine", user: str = "ann", content: Any = CONTENT) -> ObjectRecord:
    plain = content if isinstance(content, bytes) else content.read_bytes()
    return await host.store(
        user_id=user,
        name=name,
        content=content,
        sha256=hashlib.sha256(plain).hexdigest(),
        size_bytes=len(plain),
        about={"of": name},
    )


async def read(host: UserObjects, record: ObjectRecord | None) -> bytes:
    assert record is not None
    async with host.hold(record) as path:
        assert path.name == f"{record.name}.x"
        return path.read_bytes()


async def test_file_of_one_host_is_read_at_another(open_host: OpenHost) -> None:
    record = await store(open_host("a"))
    found = await open_host("b").find("ann", "mine")
    assert found == record
    assert await read(open_host("b"), found) == CONTENT
    assert await open_host("b").records("ann") == [record]
    assert await open_host("b").find("ann", "other") is None
    assert await open_host("b").find("bob", "mine") is None


async def test_read_file_needs_no_object_store(open_host: OpenHost, storage: ObjectStorage) -> None:
    record = await store(open_host("a"))
    await read(open_host("b"), record)
    storage.stop()
    assert await read(open_host("b"), record) == CONTENT


async def test_stored_file_moves_into_the_cache(open_host: OpenHost, storage: ObjectStorage, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(CONTENT)
    record = await store(open_host("a"), content=tmp_path / "upload")
    assert not (tmp_path / "upload").exists()
    storage.stop()
    assert await read(open_host("a"), record) == CONTENT


async def test_record_comes_after_the_content(open_host: OpenHost, storage: ObjectStorage) -> None:
    await store(open_host())
    written = [path.split("/")[5] for method, path in storage.requests if method == "PUT" and "things" in path]
    assert written == ["content", "records"]


async def test_of_two_hosts_one_gets_the_name(open_host: OpenHost, storage: ObjectStorage) -> None:
    hosts = [open_host(name) for name in "abcd"]
    contents = [name.encode() for name in "abcd"]
    outcomes = await asyncio.gather(
        *(store(host, content=content) for host, content in zip(hosts, contents, strict=True)), return_exceptions=True
    )
    won = [isinstance(outcome, ObjectRecord) for outcome in outcomes]
    assert [type(outcome) for outcome in outcomes if not isinstance(outcome, ObjectRecord)] == [NameTaken] * 3
    assert await read(hosts[0], await hosts[0].find("ann", "mine")) == contents[won.index(True)]
    assert len(storage.stored_keys()) == 2  # nothing is left of the others
    with pytest.raises(NameTaken):
        await hosts[0].check_room("ann", "mine")


async def test_hosts_together_never_exceed_the_quota(open_host: OpenHost, storage: ObjectStorage) -> None:
    hosts = [open_host(name, max_count=3) for name in "abcdef"]
    outcomes = await asyncio.gather(
        *(store(host, name=str(number)) for number, host in enumerate(hosts)), return_exceptions=True
    )
    stored = [outcome for outcome in outcomes if isinstance(outcome, ObjectRecord)]
    assert {type(outcome) for outcome in outcomes} <= {ObjectRecord, TooMany}
    assert len(stored) <= 3
    assert len(storage.stored_keys()) == 2 * len(stored)
    for number in range(3 - len(stored)):
        await store(hosts[0], name=f"more-{number}")
    with pytest.raises(TooMany):
        await store(hosts[0], name="last")
    with pytest.raises(TooMany):
        await hosts[1].check_room("ann")
    await hosts[1].check_room("bob")


async def test_cancelled_store_leaves_nothing(open_host: OpenHost, storage: ObjectStorage) -> None:
    host = open_host()
    for number in range(12):
        task = asyncio.create_task(store(host))
        await asyncio.sleep(number * 0.004)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(outcome, ObjectRecord):
            assert await host.remove("ann", "mine")
        assert storage.stored_keys() == []


@pytest.mark.parametrize("at", ["content", "records"])
async def test_failure_in_mid_store_shows_nothing(open_host: OpenHost, storage: ObjectStorage, at: str) -> None:
    host = open_host(timeout_s=2.0)
    storage.fault = lambda method, path: (
        Fault("507 Insufficient Storage", "XMinioStorageFull") if method == "PUT" and f"/{at}/" in path else None
    )
    with pytest.raises(StoreUnavailable, match="it is full"):
        await store(host)
    storage.fault = lambda method, path: None
    assert await host.records("ann") == []
    # The record could be written yet, if only its reply was lost: its content stays until it is cleaned.
    assert [key.split("/")[1] for key in storage.stored_keys()] == ["content"] * (at == "records")
    await store(host)


async def test_record_written_after_a_failure_is_withdrawn(open_host: OpenHost, storage: ObjectStorage) -> None:
    host = open_host(timeout_s=2.0)
    failing = iter([Fault("503 Service Unavailable", "SlowDown")] * 9)
    was_written = False

    def lose_reply(method: str, path: str) -> Fault | None:
        nonlocal was_written
        is_list_after = method == "GET" and path.endswith(f"/{storage.bucket}") and was_written
        was_written = was_written or (method == "PUT" and "/records/" in path)
        return next(failing, None) if is_list_after else None

    storage.fault = lose_reply
    with pytest.raises(StoreUnavailable):
        await store(host)
    storage.fault = lambda method, path: None
    assert storage.stored_keys() == []


async def test_lost_reply_to_the_record_is_no_conflict(open_host: OpenHost, storage: ObjectStorage) -> None:
    """The library sends a request again if the reply is a failure, though the first may have been executed."""
    host = open_host()
    record = await store(host)
    await host._create_record(record)
    assert await host.find("ann", "mine") == record


async def test_killed_store_leaves_rubbish_that_is_cleaned(open_host: OpenHost, storage: ObjectStorage) -> None:
    host = open_host()
    kept = await store(host, name="kept")
    key = f"things/content/ann/lost/{'0' * 64}-x"
    second = f"things/content/ann/kept/{'0' * 64}-x"
    for lost in (key, second):
        await host._bucket.put(lost, b"whole, but without a record")
    assert [record.name for record in await host.records("ann")] == ["kept"]
    assert await host.clean() == 0  # the clock of the tests is in the past: nothing is a day old
    for each in storage.stored_keys():
        storage.content_of(each).last_modified -= timedelta(days=4000)
    assert await host.clean() == 2
    assert len(storage.stored_keys()) == 2
    assert await read(host, kept) == CONTENT


async def test_cleaning_removes_copies_of_deleted_files(open_host: OpenHost) -> None:
    here, there = open_host("a"), open_host("b")
    kept, deleted = await store(here, name="kept"), await store(here, name="deleted")
    for record in (kept, deleted):
        await read(there, record)
    assert await here.remove("ann", "deleted")
    await there.clean()
    assert there.path(kept).exists()
    assert not there.path(deleted).exists()


async def test_deleted_file_is_gone_everywhere(open_host: OpenHost, storage: ObjectStorage) -> None:
    here, there = open_host("a"), open_host("b")
    record = await store(here)
    assert await there.remove("ann", "mine")
    assert not await here.remove("ann", "mine")
    assert await here.find("ann", "mine") is None
    with pytest.raises(FileNotFoundError):
        await read(here, record)
    assert storage.stored_keys() == []


async def test_usage_and_deletion_of_a_user(open_host: OpenHost, storage: ObjectStorage) -> None:
    host = open_host()
    for user, name in (("ann", "1"), ("ann", "2"), ("ann.b", "1")):
        await read(host, await store(host, name=name, user=user))
    path = host.path((await host.records("ann"))[0])
    usage = await host.usage()
    assert {user: count for user, (count, _) in usage.items()} == {"ann": 2, "ann.b": 1}
    assert usage["ann"][1] > 2 * len(CONTENT)
    assert path.exists()
    assert await host.delete("ann") == 2
    assert [key for key in storage.stored_keys() if "/ann/" in key] == []
    assert list(await host.usage()) == ["ann.b"]
    assert not path.parents[2].exists()
    assert await host.delete("ann") == 0


async def test_changed_content_is_noticed(open_host: OpenHost, storage: ObjectStorage) -> None:
    record = await store(open_host("a"))
    await open_host("a")._bucket.put(f"things/content/ann/mine/{record.content}", b"other")
    with pytest.raises(StoreUnavailable, match="is damaged"):
        await read(open_host("b"), record)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"schema_version": 2}', b"\xff", b'{"schema_version": 1}'])
async def test_damaged_record_is_named_and_can_be_deleted(
    open_host: OpenHost, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    host = open_host()
    whole = await store(host, name="whole")
    await store(host, name="bad")
    await host._bucket.put("things/records/ann/bad.json", content)
    with pytest.raises(StoreUnavailable, match="'bad' in the object store is damaged"):
        await host.find("ann", "bad")
    assert await host.records("ann") == [whole]
    assert "record of an object damaged" in caplog.text
    assert await host.remove("ann", "bad")


async def test_record_of_another_file_is_damaged(open_host: OpenHost) -> None:
    host = open_host()
    record = await host._bucket.read(f"things/records/ann/{(await store(host)).name}.json", max_bytes=10_000)
    assert record is not None
    for changed in ({"user_id": "bob"}, {"name": "x"}, {"content": "../../bob/secret"}):
        await host._bucket.put("things/records/ann/mine.json", json.dumps({**json.loads(record), **changed}).encode())
        with pytest.raises(StoreUnavailable):
            await host.find("ann", "mine")
