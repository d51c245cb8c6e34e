"""What is stored beside a model file: its description and training window."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow
from src.stores.model_files import DiskModelFiles
from tests.unit.stores.uploads import CONTENT, DESCRIPTION, left_in, receive


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
