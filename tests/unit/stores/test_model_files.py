"""Model files on disk: what is received, what is refused, and what is left behind (nothing)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.domain.errors import Conflict, InvalidInput, ModelNotFound, StoreUnavailable, TooLarge, UnsupportedFormat
from src.domain.model_files import MODEL_EXTENSIONS, ModelDescription, ModelFile
from src.domain.signals import OutputKind
from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow
from src.files.unfinished import owner_mark
from src.stores.incoming_file import IncomingFile
from src.stores.model_files import DiskModelFiles

CONTENT = pickle.dumps(list(range(1000)))
MAX_BYTES = 100_000
DESCRIPTION = ModelDescription(
    format="sklearn",
    library="scikit-learn",
    library_version="1.9.1",
    n_features=2,
    feature_names=("Open", "Close"),
    output_kind=OutputKind.PROBABILITY,
    warnings=("an old file",),
    details={"class": "LogisticRegression"},
)


async def pieces(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def files(root: Path) -> DiskModelFiles:
    return DiskModelFiles(root, max_bytes=MAX_BYTES, max_models_per_user=5)


async def receive(
    files: DiskModelFiles, user_id: str = "alice", *, is_temporary: bool = False, **overrides: Any
) -> ModelFile:
    given = {"original_filename": "my_model.pkl", "model_name": None, "chunks": pieces(CONTENT)}
    file = await files.receive(user_id=user_id, is_for_keeping=not is_temporary, **(given | overrides))
    return file if is_temporary else await kept(files, file)


async def kept(files: DiskModelFiles, file: ModelFile, description: ModelDescription | None = None) -> ModelFile:
    """Keep a file as the service does."""
    try:
        return await files.keep(file, description)
    except BaseException:
        await files.delete(file)
        raise


def left_in(root: Path) -> list[str]:
    """Every file under the root, hidden ones too."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


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


async def test_large_upload_is_written_in_blocks(root: Path) -> None:
    content = CONTENT + os.urandom(3_500_000)
    files = DiskModelFiles(root, max_bytes=len(content), max_models_per_user=1)
    file = await receive(files, chunks=pieces(content, 65_536))
    assert file.path.read_bytes() == content
    assert file.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("sent", "kept", "slug"),
    [
        ("../../etc/passwd.pkl", "passwd.pkl", "passwd"),
        ("..\\..\\windows\\model.pkl", "model.pkl", "model"),
        ("/abs/model.PKL", "model.PKL", "model"),
        ("nul\0byte\n\r\t.pkl", "nulbyte.pkl", "nulbyte"),
        ("модель.pkl", "модель.pkl", "model"),
        ("modèle été.pkl", "modèle été.pkl", "modele_ete"),
        ("日本\u202egpj.pkl", "日本gpj.pkl", "gpj"),
        ("a" * 300 + ".pkl", "a" * 251 + ".pkl", "a" * 64),
        ("...pkl.pkl", "...pkl.pkl", "...pkl"),
        ("-rf $(reboot);'\".pkl", "-rf $(reboot);'\".pkl", "-rf_reboot"),
        ("\ud800x.pkl", "x.pkl", "x"),
        ("a.tar.gz.pkl", "a.tar.gz.pkl", "a.tar.gz"),
    ],
)
async def test_hostile_file_name_is_made_safe(
    files: DiskModelFiles, root: Path, sent: str, kept: str, slug: str
) -> None:
    file = await receive(files, original_filename=sent)
    assert file.original_filename == kept
    assert file.path.parent == root / "alice"
    assert file.path.name.startswith(f"alice_{slug}_")
    assert await files.get("alice", file.path.name) == file
    assert len(left_in(root)) == 2


@pytest.mark.parametrize(
    ("sent", "slug"), [("../../x", ".._.._x"), ("", "my_model"), (" \0 ", "my_model"), ("Моя", "model"), ("a/b", "a_b")]
)
async def test_hostile_model_name_is_made_safe(files: DiskModelFiles, root: Path, sent: str, slug: str) -> None:
    file = await receive(files, model_name=sent)
    assert file.path.parent == root / "alice"
    assert file.path.name.startswith(f"alice_{slug}_")


async def test_too_long_model_name_is_rejected(files: DiskModelFiles, root: Path) -> None:
    with pytest.raises(InvalidInput, match=r"modelName has 300 characters\. Maximum: 128\.") as caught:
        await receive(files, model_name="x" * 300)
    assert caught.value.field == "modelName"
    assert left_in(root) == []


@pytest.mark.parametrize("sent", ["model", ".pkl", "..", "model.exe", "model.pkl/", "model.pkl.", "m.pk\u0131"])
async def test_name_without_known_extension_is_rejected(files: DiskModelFiles, root: Path, sent: str) -> None:
    with pytest.raises(UnsupportedFormat, match=", ".join(MODEL_EXTENSIONS)):
        await receive(files, original_filename=sent)
    assert left_in(root) == []


async def test_file_without_name_gets_extension_from_content(files: DiskModelFiles, root: Path) -> None:
    file = await receive(files, original_filename="", model_name="My model")
    assert (file.original_filename, file.model_name, file.extension) == ("", "My model", ".pkl")
    assert file.path.name.startswith("alice_My_model_")
    assert await files.list("alice") == [file]
    with pytest.raises(UnsupportedFormat, match=r"came without a name.*Send a file name that ends in"):
        await receive(files, original_filename="", chunks=pieces(b"<html>" * 5000))
    assert len(left_in(root)) == 2


async def test_archive_without_name_is_recognized_by_its_end(root: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m/weights", os.urandom(2_500_000))
        archive.writestr("m/saved_model.pb", b"graph")
    files = DiskModelFiles(root, max_bytes=4_000_000, max_models_per_user=1)
    file = await receive(files, original_filename="", chunks=pieces(buffer.getvalue(), 70_000))
    assert file.extension == ".zip"
    assert file.path.read_bytes() == buffer.getvalue()


@pytest.mark.parametrize("user_id", ["../../etc", "", "x" * 300, "a/b", ".hidden", "..", "a\0", "ü", "a\n"])
async def test_hostile_user_id_is_rejected(files: DiskModelFiles, root: Path, user_id: str) -> None:
    for call in (
        receive(files, user_id=user_id),
        receive(files, user_id=user_id, is_temporary=True),
        files.list(user_id),
        files.get(user_id, "x.pkl"),
    ):
        with pytest.raises(InvalidInput) as caught:
            await call
        assert caught.value.field == "userId"
    assert left_in(root) == []


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


async def test_description_of_model_is_stored(files: DiskModelFiles, root: Path) -> None:
    file = await receive(files, model_name="m", is_temporary=True)
    described = await files.keep(file, DESCRIPTION)
    assert described.description == DESCRIPTION
    assert await files.get("alice", described.path.name) == described
    assert await files.list("alice") == [described]
    assert len(left_in(root)) == 2


@pytest.mark.parametrize("sidecar", [None, b"", b"{", b"[]", b'{"schema_version": 99}', b"\xff", b"[" * 100_000])
async def test_file_without_sidecar_is_usable(files: DiskModelFiles, sidecar: bytes | None) -> None:
    file = await receive(files, model_name="My_Model")
    path = file.path.with_name(f"{file.path.name}.json")
    path.unlink() if sidecar is None else path.write_bytes(sidecar)
    found = await files.get("alice", file.path.name)
    assert (found.sha256, found.size_bytes, found.model_name) == (file.sha256, file.size_bytes, "My_Model")
    assert found.original_filename == file.path.name


async def test_sidecar_of_other_content_is_ignored(files: DiskModelFiles) -> None:
    file = await receive(files)
    file.path.write_bytes(CONTENT + b"more")
    found = await files.get("alice", file.path.name)
    assert found.sha256 == hashlib.sha256(CONTENT + b"more").hexdigest()


async def test_unreadable_description_is_none(files: DiskModelFiles) -> None:
    file = await files.keep(await receive(files, is_temporary=True), DESCRIPTION)
    path = file.path.with_name(f"{file.path.name}.json")
    kept = json.loads(path.read_text())
    kept["description"]["n_features"] = "two"
    path.write_text(json.dumps(kept))
    found = await files.get("alice", file.path.name)
    assert (found.description, found.sha256) == (None, file.sha256)


WINDOW = TrainingWindow(trained_from_ms=1_546_300_800_000, trained_to_ms=1_577_836_799_999, label_horizon=3)


async def test_training_window_is_stored(files: DiskModelFiles) -> None:
    file = await files.keep(replace(await receive(files, is_temporary=True), training=WINDOW), DESCRIPTION)
    assert file.training == WINDOW
    assert await files.get("alice", file.path.name) == file
    assert await files.list("alice") == [file]


@pytest.mark.parametrize(
    "training",
    [
        "absent",
        None,
        [],
        "2019",
        {"trained_to_ms": "2019-12-31"},
        {"trained_to_ms": 10**30},
        {"trained_to_ms": float("inf")},
        {"trained_to_ms": 1.5},
        {"trained_from_ms": 2, "trained_to_ms": 1},
        {"trained_to_ms": 1, "label_horizon": -1},
        {"trained_to_ms": 1, "label_horizon": 10**30},
    ],
)
async def test_sidecar_without_readable_window_declares_none(files: DiskModelFiles, training: Any) -> None:
    file = await files.keep(replace(await receive(files, is_temporary=True), training=WINDOW), DESCRIPTION)
    path = file.path.with_name(f"{file.path.name}.json")
    kept = json.loads(path.read_text())
    del kept["training"]
    path.write_text(json.dumps(kept if training == "absent" else kept | {"training": training}))
    found = await files.get("alice", file.path.name)
    assert (found.training, found.description) == (NO_TRAINING_WINDOW, DESCRIPTION)


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


async def test_leftovers_of_ended_processes_only_are_removed(files: DiskModelFiles, root: Path) -> None:
    kept = await receive(files)
    living = await receive(files, is_temporary=True)
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead_mark = f"{int(dead.stdout)}-1."
    reused_mark = f"{os.getpid()}-1."  # this process has another start
    for mark in (dead_mark, reused_mark):
        (root / ".tmp" / f"{mark}alice_m_x.pkl").write_bytes(b"x")
        (root / "alice" / f".{mark}x.part").write_bytes(b"x")
    (root / "alice" / f".{owner_mark()}x.part").write_bytes(b"x")
    old = root / ".tmp" / f"{owner_mark()}old.pkl"
    lone_sidecar = root / "alice" / "alice_gone_x.pkl.json"
    for path in (old, lone_sidecar):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - 90_000, time.time() - 90_000))
    (root / ".cache").mkdir()
    (root / ".cache" / f"{dead_mark}pkl").write_bytes(b"x")
    assert await files.remove_leftovers() == 5
    assert left_in(root) == sorted(
        [
            f".cache/{dead_mark}pkl",
            f".tmp/{living.path.name}",
            f".tmp/{owner_mark()}old.pkl",
            f"alice/.{owner_mark()}x.part",
            f"alice/{kept.path.name}",
            f"alice/{kept.path.name}.json",
        ]
    )
    assert await files.remove_leftovers() == 0


async def test_files_of_killed_writer_are_removed(files: DiskModelFiles, root: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from src.stores import incoming_file
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
incoming_file.write_whole(Path({str(root / "alice" / "alice_m_x.pkl.json")!r}), b"half")
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[3])
    assert killed.returncode == -signal.SIGKILL
    [left] = left_in(root)
    assert left.endswith(".part")
    assert await files.remove_leftovers() == 1
    assert left_in(root) == []
    assert not (root / "alice").exists()


async def test_folder_is_removed_with_last_file(files: DiskModelFiles, root: Path) -> None:
    first, second = await receive(files), await receive(files)
    await files.delete(first)
    assert (root / "alice").is_dir()
    await files.delete(second)
    assert not (root / "alice").exists()
    assert await files.list("alice") == []
    again = await receive(files)
    assert await files.list("alice") == [again]


async def test_empty_folder_without_removed_files_stays(files: DiskModelFiles, root: Path) -> None:
    (root / "backups").mkdir(parents=True)
    assert await files.remove_leftovers() == 0
    assert (root / "backups").is_dir()


async def test_upload_during_deletion_of_last_file_survives(root: Path) -> None:
    """Two workers: each removes its file, and with it perhaps the folder that the other is about to write into."""
    workers = [DiskModelFiles(root, max_bytes=MAX_BYTES, max_models_per_user=1000) for _ in range(2)]

    async def come_and_go(files: DiskModelFiles) -> None:
        for _ in range(60):
            file = await receive(files)
            assert file.path.read_bytes() == CONTENT
            assert await files.get("alice", file.path.name) == file
            await files.delete(file)

    await asyncio.gather(*(come_and_go(files) for files in workers for _ in range(2)))
    assert not (root / "alice").exists()


async def test_removal_without_root_folder_does_nothing(files: DiskModelFiles, root: Path) -> None:
    assert await files.remove_leftovers() == 0
    assert not root.exists()


async def test_unusable_folder_raises_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / "alice").write_bytes(b"a file stands where the folder belongs")
    files = DiskModelFiles(tmp_path, max_bytes=MAX_BYTES, max_models_per_user=5)
    with pytest.raises(StoreUnavailable, match="cannot be read or written") as caught:
        await receive(files)
    assert isinstance(caught.value.__cause__, OSError)
    assert str(tmp_path) not in caught.value.message
    assert await files.list("alice") == []


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
