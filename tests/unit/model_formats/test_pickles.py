"""Names that pandas pickled out of pyarrow come back as what they were."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.domain.errors import ModelRejected
from src.model_formats import pickles
from src.model_formats.registry import load_model
from src.model_formats.sentences import sentence

NAMES = pd.Index(["Open", "", "Volumé", "日本"])


def reopened(value: Any, folder: Path, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    (folder / "names.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
    return pickles.load(folder / "names.pkl")


@pytest.mark.parametrize("protocol", range(2, 6))
def test_column_names_are_read_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    assert type(NAMES.array).__name__.startswith("Arrow")  # or there is nothing to test
    names = reopened(NAMES, tmp_path, protocol)
    assert not type(names.array).__name__.startswith("Arrow")
    assert names.equals(NAMES)
    assert names.dtype == "str"


def test_slice_of_names_is_read(tmp_path: Path) -> None:
    assert list(reopened(NAMES[1:3], tmp_path)) == ["", "Volumé"]
    assert list(reopened(NAMES[::2], tmp_path)) == ["Open", "Volumé"]
    assert list(reopened(NAMES[:0], tmp_path)) == []


@pytest.mark.parametrize("dtype", ["str", "string"])
def test_missing_names_stay_missing(tmp_path: Path, dtype: str) -> None:
    column = pd.Series(["a", None, "ccc"] * 5, dtype=dtype)
    opened = reopened(column[4:], tmp_path)
    assert opened.isna().tolist() == column[4:].isna().tolist()
    assert opened.dropna().tolist() == column[4:].dropna().tolist()


def test_frame_with_pyarrow_names_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.ones((2, 4)), columns=NAMES)
    pd.testing.assert_frame_equal(reopened(frame, tmp_path), frame, check_column_type=False)


def test_other_pyarrow_objects_are_rejected_with_advice(tmp_path: Path) -> None:
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(pd.Series([1, 2], dtype="int64[pyarrow]")))
    with pytest.raises(ModelRejected) as caught:
        load_model(tmp_path / "other.pkl", ".pkl")
    assert caught.value.message == sentence("pickle_pyarrow")
