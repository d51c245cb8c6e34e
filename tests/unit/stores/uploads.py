"""Upload model files to a folder, and list what is left in it."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from src.domain.model_files import ModelDescription, ModelFile
from src.domain.signals import OutputKind
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
