"""Which first bytes may stand under which extension."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import zipfile
import zlib

import joblib
import numpy as np
import pytest

from src.domain.errors import UnsupportedFormat
from src.domain.model_files import MODEL_EXTENSIONS
from src.stores.model_content import HEAD_BYTES, check_content


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", b"x" * 100)
    return buffer.getvalue()


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return bytes([number << 3, content])
    size = len(content)
    return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + content


MODEL = {"weights": np.arange(5.0), "names": ["a", "b"]}
ZIP = zipped()
HDF5 = b"\x89HDF\r\n\x1a\n" + b"\0" * 100
ONNX = field(1, 8) + field(2, b"skl2onnx") + field(7, b"g" * 9000) + field(8, b"\x10\x0f")
FROZEN_GRAPH = field(1, b"n" * 300) + field(1, b"m" * 9000) + field(4, b"\x08\x01")
SAVED_MODEL = field(1, 1) + field(2, b"m" * 500)
STRANGERS = {
    "an image": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
    "a program": b"\x7fELF\x02\x01\x01" + b"\0" * 50,
    "a web page": b"<!DOCTYPE html><html><body>not a model</body></html>",
    "JSON": b'{"learner": {"name": "x"}}',
    "a PDF": b"%PDF-1.7\n" + b"\0" * 50,
}


def joblib_dump(compress: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(MODEL, buffer, compress=compress)
    return buffer.getvalue()


@pytest.mark.parametrize("extension", [".pkl", ".joblib"])
@pytest.mark.parametrize(
    "content",
    [
        *(pickle.dumps(MODEL, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
        *(pickle.dumps(np.float64(1), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
        *(joblib_dump(compress) for compress in (0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3))),
        zlib.compress(b"x"),
        gzip.compress(b"x"),
        bz2.compress(b"x"),
        lzma.compress(b"x"),
    ],
    ids=lambda content: repr(content[:4]),
)
def test_pickles_of_every_protocol_and_compression_pass(extension: str, content: bytes) -> None:
    check_content(extension, content[:HEAD_BYTES])


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        (".onnx", ONNX),
        (".onnx", ONNX[:200] + ONNX[9000:]),
        # The tag of field 25 has two bytes, of which the head holds one.
        (".onnx", field(2, b"p" * (HEAD_BYTES - 5)) + b"\xca\x01\x64" + b"f" * 100),
        (".pb", FROZEN_GRAPH),
        (".pb", SAVED_MODEL),
        (".pb", ZIP),
        (".zip", ZIP),
        (".keras", ZIP),
        (".pt", ZIP),
        (".pth", ZIP),
        (".pt", pickle.dumps(0x1950A86A20F9469CFC6C, 2)),
        (".h5", HDF5),
        (".h5", b"\0" * 512 + HDF5),
    ],
)
def test_right_content_passes(extension: str, content: bytes) -> None:
    if content.startswith(ONNX[:20]) and len(content) < HEAD_BYTES:
        content = field(1, 8) + field(7, b"g" * 200)
    check_content(extension, content[:HEAD_BYTES])


@pytest.mark.parametrize("extension", MODEL_EXTENSIONS)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_unknown_content_is_rejected_under_every_extension(extension: str, stranger: str) -> None:
    with pytest.raises(UnsupportedFormat, match=rf"named \{extension}.*looks like {stranger}"):
        check_content(extension, STRANGERS[stranger])


@pytest.mark.parametrize(
    ("extension", "content", "words"),
    [
        (".onnx", ZIP, "an ONNX model.*looks like a ZIP archive"),
        (".onnx", HDF5, "looks like an HDF5 file"),
        (".onnx", pickle.dumps(MODEL), "looks like a pickle"),
        (".onnx", ONNX[:3000], "an ONNX model"),
        (".onnx", b"\x08" + b"\xff" * 20, "an ONNX model"),
        (".onnx", b"\x08", "an ONNX model"),
        (".onnx", b"\x08\x80", "an ONNX model"),
        (".pb", HDF5, "looks like an HDF5 file"),
        (".pb", b'node {\n  name: "x"\n}\n', "a TensorFlow graph"),
        (".pkl", ZIP, "a pickle.*looks like a ZIP archive"),
        (".pkl", b"just words", "a pickle"),
        (".pkl", HDF5, "looks like an HDF5 file"),
        (".h5", ZIP, "an HDF5 file.*looks like a ZIP archive"),
        (".keras", HDF5, "a ZIP archive.*looks like an HDF5 file"),
        (
            ".zip",
            b"PK\x05\x06" + b"\0" * 18,
            "a ZIP archive; its content looks like an empty ZIP archive. Send the model",
        ),
        (".pt", ONNX, "a PyTorch archive"),
        (".joblib", b"\0", "a pickle"),
    ],
)
def test_content_of_another_format_is_rejected(extension: str, content: bytes, words: str) -> None:
    with pytest.raises(UnsupportedFormat, match=words):
        check_content(extension, content[:HEAD_BYTES])
