"""Recognize the format of a file without a name from its content: some clients send no file names."""

from __future__ import annotations

from typing import Final

from src.domain.errors import UnsupportedFormat
from src.domain.model_files import MODEL_EXTENSIONS
from src.stores.model_content import is_plausible

TAIL_BYTES: Final = 256 * 1024
"""How many of a file's last bytes are needed: a ZIP archive lists its members there."""

_MEMBER: Final = b"PK\x01\x02"  # an entry of a ZIP archive's central directory (APPNOTE.TXT, 4.3.12)
_NAME_LENGTH_AT: Final = 28
_NAME_AT: Final = 46

_KERAS_MEMBERS: Final = frozenset({"config.json", "model.weights.h5"})
_TORCH_MEMBERS: Final = frozenset({"constants.pkl", "data.pkl"})
"""TorchScript has both; a pickled module has the second only, and the sandbox's error tells how to export it."""


def recognize_extension(head: bytes, tail: bytes) -> str:
    """Return the extension that a file with these first and last bytes should have.

    Pickles of any library are `.pkl`, as all are opened in the same way.

    Raises UnsupportedFormat if the bytes may belong to several formats, or to none.
    """
    if is_plausible(".zip", head):
        return _archive_extension(tail)
    found = [extension for extension in (".h5", ".pkl", ".onnx", ".pb") if is_plausible(extension, head)]
    if len(found) != 1:
        what = f"may be {' or '.join(found)}" if found else "is not a model"
        raise _build_unrecognized_error(f"its content {what}")
    return found[0]


def _archive_extension(tail: bytes) -> str:
    names = _member_names(tail)
    if "saved_model.pb" in names:
        return ".zip"
    if names >= _KERAS_MEMBERS:
        return ".keras"
    if names & _TORCH_MEMBERS:
        return ".pt"
    raise _build_unrecognized_error("its content is a ZIP archive of no known kind")


def _member_names(tail: bytes) -> set[str]:
    """Return the names of the members that the bytes list, without folders; false matches do no harm."""
    names: set[str] = set()
    at = tail.find(_MEMBER)
    while at >= 0:
        length = int.from_bytes(tail[at + _NAME_LENGTH_AT : at + _NAME_LENGTH_AT + 2], "little")
        name = tail[at + _NAME_AT : at + _NAME_AT + length]
        names.add(name.decode("utf-8", "replace").rsplit("/", 1)[-1])
        at = tail.find(_MEMBER, at + len(_MEMBER))
    return names


def _build_unrecognized_error(why: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        "The file came without a name, and {why}. Send a file name that ends in one of: {allowed}.",
        why=why,
        allowed=MODEL_EXTENSIONS,
    )
