"""Which format a file without a name has."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib

import pytest

from src.domain.errors import UnsupportedFormat
from src.stores.model_content import HEAD_BYTES
from src.stores.model_recognition import TAIL_BYTES, recognize_extension
from tests.unit.stores.test_model_content import FROZEN_GRAPH, HDF5, ONNX, SAVED_MODEL, STRANGERS


def archive(*names: str, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name in names:
            file.writestr(name, b"x" * 5000)
    return buffer.getvalue()


def recognize(content: bytes) -> str:
    return recognize_extension(content[:HEAD_BYTES], content[-TAIL_BYTES:])


@pytest.mark.parametrize(
    ("content", "extension"),
    [
        (pickle.dumps([1, 2, 3]), ".pkl"),
        (pickle.dumps({"a": 1}, protocol=0), ".pkl"),
        (zlib.compress(pickle.dumps([1] * 1000)), ".pkl"),
        (HDF5, ".h5"),
        (b"\0" * 512 + HDF5, ".h5"),
        (ONNX, ".onnx"),
        (FROZEN_GRAPH, ".pb"),
        (archive("model/variables/variables.index", "model/saved_model.pb"), ".zip"),
        (archive("saved_model.pb", compression=zipfile.ZIP_DEFLATED), ".zip"),
        (archive("net/data.pkl", "net/code/__torch__.py", "net/constants.pkl"), ".pt"),
        (archive("net/data.pkl", "net/version"), ".pt"),
        (archive("metadata.json", "config.json", "model.weights.h5"), ".keras"),
        (archive(*(f"padding{number}" for number in range(2_000)), "model/saved_model.pb"), ".zip"),
    ],
)
def test_content_determines_extension(content: bytes, extension: str) -> None:
    assert recognize(content) == extension


@pytest.mark.parametrize(
    "content",
    [SAVED_MODEL, archive("readme.txt"), archive("config.json"), archive("notsaved_model.pb"), b"PK\x03\x04PK\x01\x02",
     b"x", *STRANGERS.values()],
)  # fmt: skip
def test_ambiguous_content_is_rejected_with_advice(content: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match=r"Send a file name that ends in one of: \.pkl"):
        recognize(content)
