"""HDF5 files are looked at before they are read: nothing outside the file, no array that it cannot hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from src.domain.errors import ModelRejected
from src.model_formats.hdf5 import MAX_ARRAYS_BYTES, MAX_RATIO, check_hdf5


def checked(fill: Callable[[Any], object]) -> int:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    size = len(stream.getvalue())
    with h5py.File(stream, "r") as file:
        check_hdf5(file, size)
    return size


def honest(file: Any) -> None:
    file.create_group("a/b").create_dataset("kernel", data=np.ones((100, 100)), compression="gzip")
    file["again"] = file["a/b/kernel"]
    file["a/loop"] = file["a"]
    file["soft"] = h5py.SoftLink("/a/b/kernel")
    file["nowhere"] = h5py.SoftLink("/nothing")
    file.create_dataset("empty", data=h5py.Empty("f4"))
    file.create_dataset("scalar", data=1.0)


def test_honest_file_passes() -> None:
    checked(honest)


def test_best_compressed_zeros_pass() -> None:
    size = checked(lambda file: file.create_dataset("k", data=np.zeros(1 << 24), chunks=(1 << 20,), compression=9))
    assert (8 << 24) / size > 500


@pytest.mark.parametrize(
    "fill",
    [
        lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")),
        lambda file: file.create_group("deep/er").__setitem__("x", h5py.ExternalLink("other.h5", "/x")),
        lambda file: file.create_dataset("x", (8,), "u1", external=[("/etc/passwd", 0, 8)]),
        lambda file: file.create_virtual_dataset("x", virtual()),
    ],
    ids=["link", "deep link", "storage", "virtual"],
)
def test_external_data_is_rejected(fill: Callable[[Any], object]) -> None:
    with pytest.raises(ModelRejected, match="refers to data outside itself"):
        checked(fill)


def virtual() -> Any:
    layout = h5py.VirtualLayout((8,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (8,))
    return layout


@pytest.mark.parametrize(
    ("count", "length"), [(1, 1 << 45), (1, MAX_ARRAYS_BYTES // 4 + 1), (40, 1 << 20), (1, (64 << 20) // 4 + 1)]
)
def test_arrays_without_data_are_rejected(count: int, length: int) -> None:
    def fill(file: Any) -> None:
        for number in range(count):
            file.create_dataset(str(number), (length,), "f4", chunks=(1 << 20,))

    with pytest.raises(ModelRejected, match=f"more than 1024 MiB, or more than {MAX_RATIO} times"):
        checked(fill)


def test_small_array_without_data_passes(tmp_path: Path) -> None:
    checked(lambda file: file.create_dataset("k", (1 << 20,), "f4"))
