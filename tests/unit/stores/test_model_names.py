"""Names that come with an upload are made safe or rejected."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from src.domain.errors import InvalidInput, UnsupportedFormat
from src.domain.model_files import MODEL_EXTENSIONS
from src.stores.model_files import DiskModelFiles
from tests.unit.stores.uploads import left_in, pieces, receive


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
