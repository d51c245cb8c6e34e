"""Model files as objects: seen by every host, whole for the sandbox, refused and named as those on a disk are."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.domain.errors import Conflict, ModelNotFound, StoreUnavailable, UnsupportedFormat
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.signals import OutputKind
from src.domain.training import TrainingWindow
from src.objects.bucket import Bucket
from src.objects.cache import ObjectCache
from src.objects.user_objects import UserObjects
from src.stores.model_files import DiskModelFiles
from src.stores.object_models import HeldModelRunner, ObjectModelFiles
from tests.clocks import FixedClock
from tests.factories import START_MS
from tests.object_storage import ObjectStorage

CONTENT = pickle.dumps(list(range(1000)))
DESCRIPTION = ModelDescription(
    format="sklearn",
    library="scikit-learn",
    library_version="1.9.1",
    n_features=2,
    feature_names=("Open", "Close"),
    output_kind=OutputKind.PROBABILITY,
)
OpenHost = Callable[[str], ObjectModelFiles]


@pytest.fixture
def open_host(storage: ObjectStorage, tmp_path: Path) -> OpenHost:
    def open_one(name: str) -> ObjectModelFiles:
        cache = ObjectCache(tmp_path / name / ".objects", max_bytes=10**7)
        bucket = Bucket(storage.url, timeout_s=5.0)
        objects = UserObjects(bucket, cache, kind="models", clock=FixedClock(START_MS), max_count=2)
        disk = DiskModelFiles(tmp_path / name, max_bytes=10**6, max_models_per_user=2)
        return ObjectModelFiles(disk, objects, max_models_per_user=2)

    return open_one


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


async def receive(files: ObjectModelFiles, **overrides: Any) -> ModelFile:
    given = {"user_id": "ann", "original_filename": "my.pkl", "model_name": "Mine", "chunks": in_pieces(CONTENT)}
    return await files.receive(is_for_keeping=True, **(given | overrides))


async def keep(files: ObjectModelFiles, **overrides: Any) -> ModelFile:
    window = TrainingWindow(trained_from_ms=0, trained_to_ms=1000)
    return await files.keep(replace(await receive(files, **overrides), training=window), DESCRIPTION)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


class OpeningRunner:
    """Reads the file instead of opening it in a sandbox."""

    async def inspect(self, file: ModelFile) -> Any:
        return file.path.read_bytes()

    predict = predict_prefixes = close = None


async def opened(files: ObjectModelFiles, file: ModelFile) -> Any:
    return await HeldModelRunner(OpeningRunner(), files).inspect(file)  # type: ignore[arg-type]


async def test_model_of_one_host_runs_at_another(open_host: OpenHost, tmp_path: Path) -> None:
    stored = await keep(open_host("a"))
    [found] = await open_host("b").list("ann")
    assert found == replace(stored, path=found.path)
    assert (found.description, found.model_name, found.path.name) == (DESCRIPTION, "Mine", stored.path.name)
    assert not found.path.exists()  # a list fetches nothing
    assert found.path == tmp_path / "b" / "ann" / stored.path.name
    assert await opened(open_host("b"), found) == CONTENT
    for reference in (stored.path.name, f"storage/ann/{stored.path.name}", str(stored.path), str(found.path)):
        assert (await open_host("b").get("ann", reference)).sha256 == stored.sha256


async def test_nothing_temporary_stays_after_keeping(open_host: OpenHost, tmp_path: Path) -> None:
    files = open_host("a")
    stored = await keep(files)
    [copy] = files_in(tmp_path / "a")
    assert copy == f".objects/models/ann/{stored.path.name}/{copy.split('/')[4]}/{stored.path.name}"
    temporary = await receive(files)
    assert await opened(files, temporary) == CONTENT
    await files.delete(temporary)
    assert files_in(tmp_path / "a") == [copy]


async def test_model_is_stored_without_a_cache(open_host: OpenHost, tmp_path: Path) -> None:
    files = open_host("a")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".objects").write_text("in the way")
    stored = await keep(files)
    assert files_in(tmp_path / "a") == [".objects"]
    assert await opened(open_host("b"), stored) == CONTENT


async def test_other_users_and_names_are_not_found(open_host: OpenHost) -> None:
    files = open_host("a")
    stored = await keep(files)
    for user, reference in (
        ("bob", stored.path.name),
        ("bob", f"storage/ann/{stored.path.name}"),
        ("ann", "other.pkl"),
        ("ann", f"../ann/{stored.path.name}"),
        ("ann", f"{stored.path}/../{stored.path.name}"),
        ("ann", f"storage/bob/{stored.path.name}"),
        ("ann", f"{stored.path}/"),
    ):
        with pytest.raises(ModelNotFound, match="does not exist or belongs to another user"):
            await files.get(user, reference)


async def test_full_quota_is_a_conflict(open_host: OpenHost) -> None:
    await keep(open_host("a"))
    third = await receive(open_host("b"))
    await keep(open_host("b"))
    with pytest.raises(Conflict, match="MAX_MODELS_PER_USER"):
        await receive(open_host("a"))
    with pytest.raises(Conflict, match="MAX_MODELS_PER_USER"):
        await open_host("b").keep(third)


async def test_file_is_checked_before_it_is_stored(open_host: OpenHost, storage: ObjectStorage) -> None:
    with pytest.raises(UnsupportedFormat):
        await receive(open_host("a"), original_filename="my.exe")
    assert storage.stored_keys() == []


async def test_model_deleted_elsewhere_is_not_found(open_host: OpenHost) -> None:
    here, there = open_host("a"), open_host("b")
    stored = await keep(here)
    await there.delete(await there.get("ann", stored.path.name))
    with pytest.raises(ModelNotFound):
        await opened(here, stored)
    with pytest.raises(ModelNotFound):
        await here.delete(stored)
    assert await here.list("ann") == []


async def test_stopped_object_store_stores_nothing(open_host: OpenHost, storage: ObjectStorage, tmp_path: Path) -> None:
    files = open_host("a")
    received = await receive(files)
    storage.stop()
    with pytest.raises(StoreUnavailable, match="object store") as caught:
        await files.keep(received)
    assert caught.value.retry_after_s
    assert received.path.exists()  # the service deletes it then
    storage.start()
    assert await files.list("ann") == []
    await files.keep(received)
    assert len(await files.list("ann")) == 1


async def test_link_in_the_cache_is_not_followed(open_host: OpenHost, tmp_path: Path) -> None:
    stored = await keep(open_host("a"))
    (tmp_path / "secret").write_bytes(CONTENT)
    copy = tmp_path / "a" / files_in(tmp_path / "a")[0]
    copy.unlink()
    copy.symlink_to(tmp_path / "secret")
    with pytest.raises(StoreUnavailable):
        await opened(open_host("a"), stored)
