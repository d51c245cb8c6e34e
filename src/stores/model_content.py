"""Check a model file's first bytes against its extension, to reject clear mismatches before a library opens the file.

A file that passes may still be hostile; the sandbox handles that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from src.domain.errors import UnsupportedFormat
from src.model_formats.protobuf import CutOff, read_varint

HEAD_BYTES: Final = 4096
"""How many of a file's first bytes the check reads."""

_ZIP: Final = b"PK\x03\x04"
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_HDF5_OFFSETS: Final = (0, 512, 1024, 2048)  # a user block may precede the signature

_BINARY_PICKLE: Final = re.compile(rb"\x80[\x02-\x05]")
# Protocols 0 and 1 have no signature: they begin with a class, a mark, or an empty dict or list that is then memoized.
_TEXT_PICKLE: Final = re.compile(rb"c[A-Za-z_][\w.]*\n[A-Za-z_]|\([dlcitS]|[}\]]q")
_COMPRESSED: Final = re.compile(
    rb"\x78[\x01\x5e\x9c\xda]"  # zlib
    rb"|\x1f\x8b\x08"  # gzip
    rb"|BZh[1-9]"  # bzip2
    rb"|\xfd7zXZ\x00|\x5d\x00\x00"  # xz, lzma
    rb"|\x04\x22\x4d\x18"  # lz4
)

_VARINT, _BYTES = 0, 2
# Field numbers and wire types of the outermost message: ModelProto of onnx.proto3; GraphDef of graph.proto and
# SavedModel of saved_model.proto.
_ONNX_FIELDS: Final[Mapping[int, tuple[int, ...]]] = {
    1: (_VARINT,), 2: (_BYTES,), 3: (_BYTES,), 4: (_BYTES,), 5: (_VARINT,), 6: (_BYTES,), 7: (_BYTES,), 8: (_BYTES,),
    14: (_BYTES,), 20: (_BYTES,), 25: (_BYTES,), 26: (_BYTES,),
}  # fmt: skip
_TENSORFLOW_FIELDS: Final[Mapping[int, tuple[int, ...]]] = {
    1: (_VARINT, _BYTES), 2: (_BYTES,), 3: (_VARINT,), 4: (_BYTES,), 5: (_BYTES,),
}  # fmt: skip

_KNOWN: Final = (
    ("a ZIP archive", re.compile(rb"PK\x03\x04")),
    ("an empty ZIP archive", re.compile(rb"PK\x05\x06")),
    ("an HDF5 file", re.compile(re.escape(_HDF5))),
    ("a pickle", _BINARY_PICKLE),
    ("a compressed file", re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ")),
    ("a program", re.compile(rb"\x7fELF|MZ|#!")),
    ("an image", re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8")),
    ("a PDF document", re.compile(rb"%PDF")),
    ("a web page or XML", re.compile(rb"\s*<")),
    ("JSON", re.compile(rb"\s*[{\[]\s*[\"{\[\]}\d-]")),
)


def check_content(extension: str, head: bytes) -> None:
    """Check that a file with this extension may begin with `head`, its first `HEAD_BYTES` bytes.

    Raises UnsupportedFormat, with what the bytes look like, if it may not.
    """
    if is_plausible(extension, head):
        return
    expected, _ = _FORMATS[extension]
    seen = next((name for name, signature in _KNOWN if signature.match(head)), None)
    looks = f"looks like {seen}" if seen else "is something else"
    raise UnsupportedFormat(
        "The file is named {extension}, so it should hold {expected}; its content {looks}. Send the model as its "
        "library saves it, under the extension of that format.",
        extension=extension, expected=expected, looks=looks,
    )  # fmt: skip


def is_plausible(extension: str, head: bytes) -> bool:
    """Return whether a file of that format may begin with these bytes (`HEAD_BYTES` of them, or all it has)."""
    _, may_begin = _FORMATS[extension]
    return may_begin(head)


def _is_zip(head: bytes) -> bool:
    return head.startswith(_ZIP)


def _is_hdf5(head: bytes) -> bool:
    return any(head.startswith(_HDF5, offset) for offset in _HDF5_OFFSETS)


def _is_pickle(head: bytes) -> bool:
    return any(form.match(head) for form in (_BINARY_PICKLE, _COMPRESSED, _TEXT_PICKLE))


def _is_torch(head: bytes) -> bool:
    # torch wrote pickles before 1.6. They pass here, as the sandbox's error tells how to export them.
    return _is_zip(head) or _BINARY_PICKLE.match(head) is not None


def _is_onnx(head: bytes) -> bool:
    return _is_message(head, _ONNX_FIELDS)


def _is_tensorflow(head: bytes) -> bool:
    return _is_zip(head) or _is_message(head, _TENSORFLOW_FIELDS)


_FORMATS: Final[Mapping[str, tuple[str, Callable[[bytes], bool]]]] = {
    ".pkl": ("a pickle, compressed or not", _is_pickle),
    ".joblib": ("a pickle, compressed or not", _is_pickle),
    ".onnx": ("an ONNX model", _is_onnx),
    ".h5": ("an HDF5 file", _is_hdf5),
    ".keras": ("a ZIP archive", _is_zip),
    ".pb": ("a TensorFlow graph or a zipped SavedModel", _is_tensorflow),
    ".zip": ("a ZIP archive", _is_zip),
    ".pt": ("a PyTorch archive", _is_torch),
    ".pth": ("a PyTorch archive", _is_torch),
}


def _is_message(head: bytes, fields: Mapping[int, tuple[int, ...]]) -> bool:
    """Return whether the bytes begin a protobuf message with these fields."""
    at = 0
    try:
        while at < len(head):
            tag, at = read_varint(head, at)
            if tag & 7 not in fields.get(tag >> 3, ()):
                return False
            length, at = read_varint(head, at)
            if tag & 7 == _BYTES:
                at += length
    except CutOff:
        return len(head) >= HEAD_BYTES
    except ValueError:
        return False
    # A field may reach beyond the head, but not beyond the end of a file that is all head.
    return at == len(head) or len(head) >= HEAD_BYTES
