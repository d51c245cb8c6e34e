"""Model files on disk: stored, listed, found by their user only, and deleted."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path

import pytest

from src.domain.errors import Conflict, ModelNotFound, StoreUnavailable
from src.domain.model_files import ModelFile
from src.stores.model_files import DiskModelFiles
from tests.unit.stores.uploads import CONTENT, DESCRIPTION, MAX_BYTES, left_in, receive


async def test_upload_is_stored_unchanged(files: DiskModelFiles, root: Path) -> None:
    file = await receive(files, user_id="user123", model_name="MyModel")
    assert file.path.parent == root / "user123"
    assert file.path.read_bytes() == CONTENT
    assert file.path.name.startswith("user123_MyModel_")
    assert file.path.name.endswith(".pkl")
    assert (file.original_filename, file.model_name, file.extension) == ("my_model.pkl", "MyModel", ".pkl")
    assert (file.size_bytes, file.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert left_in(root) == sorted(f"user123/{file.path.name}{end}" for end in ("", ".json"))
    assert await files.list("user123") == [file]


async def test_user_cannot_exceed_maximum_of_models(files: DiskModelFiles, root: Path) -> None:
    outcomes = await asyncio.gather(*(receive(files) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(outcome, ModelFile) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 3
    with pytest.raises(Conflict, match=r"User 'alice' has 5 model files\. Maximum: 5"):
        await receive(files)
    assert len(left_in(root)) == 10
    await receive(files, user_id="bob")
    await receive(files, is_temporary=True)
    [oldest, *_] = await files.list("alice")
    await files.delete(oldest)
    await receive(files)


async def test_users_with_nested_names_are_separate(files: DiskModelFiles) -> None:
    of_a = await receive(files, user_id="a", model_name="b_x")
    of_ab = await receive(files, user_id="a_b", model_name="x")
    assert await files.list("a") == [of_a]
    assert await files.list("a_b") == [of_ab]
    for reference in (of_ab.path.name, str(of_ab.path), f"storage/a_b/{of_ab.path.name}"):
        assert await files.get("a_b", reference) == of_ab
        with pytest.raises(ModelNotFound):
            await files.get("a", reference)


async def test_file_is_found_by_name_relative_and_absolute_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    (root.parent / "link").symlink_to(root)
    monkeypatch.chdir(root.parent)
    files = DiskModelFiles(Path("link"), max_bytes=MAX_BYTES, max_models_per_user=5)
    file = await receive(files)
    assert file.path.is_absolute()
    name = file.path.name
    for reference in (name, f"storage/alice/{name}", str(root / "alice" / name), f"{root.parent}/link/alice/{name}"):
        assert await files.get("alice", reference) == file


@pytest.mark.parametrize(
    "reference",
    [
        "", ".", "..", "/", "missing.pkl", "../bob/{bob}", "storage/bob/{bob}", "storage/alice/../bob/{bob}",
        "{root}/bob/{bob}", "{root}/alice/../bob/{bob}", "storage/alice//{own}", "storage//alice/{own}", "./{own}",
        "/etc/passwd", "{own}\0", "{own}/", "{own}.json", "storage/alice/", "link.pkl", "storage/alice/link.pkl",
        "folder.pkl", "sub/{own}", "x" * 5000 + ".pkl", "\ud800.pkl", "*.pkl", "file://{root}/alice/{own}", "~/{own}",
        ".hidden.pkl",
    ],
)  # fmt: skip
async def test_any_other_reference_is_not_found(files: DiskModelFiles, root: Path, reference: str) -> None:
    own, other = await receive(files), await receive(files, user_id="bob")
    (root / "alice" / "link.pkl").symlink_to(other.path)
    (root / "alice" / "folder.pkl").mkdir()
    (root / "alice" / ".hidden.pkl").write_bytes(CONTENT)
    asked = reference.replace("{own}", own.path.name).replace("{bob}", other.path.name).replace("{root}", str(root))
    with pytest.raises(ModelNotFound, match="belongs to another user than 'alice'") as caught:
        await files.get("alice", asked)
    if "bob" in reference:
        missing = asked.replace(other.path.name, "missing.pkl")
        with pytest.raises(ModelNotFound) as of_missing:
            await files.get("alice", missing)
        assert str(caught.value).replace(asked[:80], "") == str(of_missing.value).replace(missing[:80], "")
    assert await files.list("alice") == [own]


async def test_linked_folder_is_not_read(files: DiskModelFiles, root: Path) -> None:
    other = await receive(files, user_id="bob")
    (root / "mallory").symlink_to(root / "bob")
    assert await files.list("mallory") == []
    with pytest.raises(ModelNotFound):
        await files.get("mallory", other.path.name)
    with pytest.raises(StoreUnavailable):
        await receive(files, user_id="mallory")
    assert len(left_in(root)) == 2


async def test_newest_files_are_listed_first(files: DiskModelFiles) -> None:
    received = [await receive(files, model_name=str(number)) for number in range(3)]
    for age, file in zip((30, 10, 20), received, strict=True):
        os.utime(file.path, (time.time() - age, time.time() - age))
    assert [file.model_name for file in await files.list("alice")] == ["1", "2", "0"]
    assert await files.list("nobody") == []


async def test_deletion_removes_file_and_sidecar(files: DiskModelFiles, root: Path) -> None:
    file = await receive(files)
    await files.delete(file)
    assert left_in(root) == []
    for call in (files.get("alice", file.path.name), files.delete(file), files.keep(file, DESCRIPTION)):
        with pytest.raises(ModelNotFound):
            await call
    assert left_in(root) == []


async def test_file_outside_user_folder_is_never_deleted(files: DiskModelFiles, tmp_path: Path) -> None:
    outside = tmp_path / "outside.pkl"
    outside.write_bytes(CONTENT)
    file = await receive(files)
    for is_temporary in (True, False):
        stray = ModelFile(
            path=outside, user_id="alice", original_filename="", model_name="", extension=".pkl", size_bytes=1,
            sha256="", is_temporary=is_temporary,
        )  # fmt: skip
        with pytest.raises(ModelNotFound):
            await files.delete(stray)
    assert outside.exists()
    assert file.path.exists()


async def test_stored_files_are_closed_to_other_users(files: DiskModelFiles, root: Path) -> None:
    root.mkdir(mode=0o755)
    await files.open()
    await receive(files)
    await receive(files, is_temporary=True)
    assert root.stat().st_mode & 0o777 == 0o755
    for path in root.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


async def test_root_folder_is_closed_to_other_users(files: DiskModelFiles, root: Path) -> None:
    await files.open()
    assert root.stat().st_mode & 0o777 == 0o700


async def test_unusable_folder_raises_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / "alice").write_bytes(b"a file stands where the folder belongs")
    files = DiskModelFiles(tmp_path, max_bytes=MAX_BYTES, max_models_per_user=5)
    with pytest.raises(StoreUnavailable, match="cannot be read or written") as caught:
        await receive(files)
    assert isinstance(caught.value.__cause__, OSError)
    assert str(tmp_path) not in caught.value.message
    assert await files.list("alice") == []
