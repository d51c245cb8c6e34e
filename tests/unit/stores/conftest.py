"""A folder of model files, and short pages of a ledger's links."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.service import ledger_check
from src.stores.model_files import DiskModelFiles
from tests.unit.stores.uploads import MAX_BYTES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def files(root: Path) -> DiskModelFiles:
    return DiskModelFiles(root, max_bytes=MAX_BYTES, max_models_per_user=5)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_check, "PAGE_LINKS", 3)
