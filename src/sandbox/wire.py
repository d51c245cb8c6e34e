"""Write and read the task (server → child) and the reply (child → server), two plain layouts in memory files.

ChildTask, read-only: magic, length of the JSON, JSON, padding to 64, float64 values row by row.
Reply, fixed size: magic, status, length of the JSON, rows; float64 values; JSON of at most 64 KiB. If the task asks for
an audit, the audit follows: magic, padding to 64, as many float64 values. It is written after the reply, which is valid
without it.

The child may be hostile, so a reply is data and never code: no pickle, and every size is checked against the task.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from src.domain.signals import OutputKind
from src.sandbox.layers import Layer
from src.sandbox.limits import Limits
from src.sandbox.memory_files import create_sealed_file

_ALIGNMENT: Final = 64
_TASK_MAGIC: Final = b"BTjob\x00\x00\x01"
_TASK_HEADER: Final = struct.Struct("<8sQ")
_AUDIT_MAGIC: Final = b"BTaud\x00\x00\x01"
_REPLY_MAGIC: Final = b"BTans\x00\x00\x01"
_REPLY_HEADER: Final = struct.Struct("<8sIIQ")
MAX_TEXT_BYTES: Final = 64 * 1024
"""The longest JSON of a reply."""


class Status(IntEnum):
    """How a task ended, as the child reports; text that comes with a status is never shown unchecked."""

    DONE = 1
    REJECTED = 2
    """With sentences of the catalog."""
    WRONG_COLUMNS = 3
    """With the model's description: the server itself finds what does not fit."""
    MISSING_LIBRARY = 4
    """With the library's name: the server itself checks that it is missing."""
    SANDBOX_BROKEN = 6


class TextTooLong(ValueError):
    """The JSON of a reply does not fit."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"{size_bytes} bytes; {MAX_TEXT_BYTES} are allowed")
        self.size_bytes = size_bytes


class MalformedReply(Exception):
    """The reply does not follow the layout; the message is for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildTask:
    """What one child is to do.

    The model predicts each of the row `ranges` by itself. Rows without a column that the model reads are left out; the
    reply holds 0 for them. With `audit_seed` the one range is then predicted again, in shuffled parts (`row_order`).
    For `inspect` the rows are made up. `declared` is what the user says the predictions mean.
    An archive is unpacked into `folder`. `server_files` are files that only the server may read (for the canaries).
    """

    kind: Literal["inspect", "predict", "unpack", "attack"]
    registry: str
    extension: str
    model_path: str
    layers: tuple[Layer, ...]
    limits: Limits
    uid: int | None
    capabilities: tuple[int, ...] = ()
    readable: tuple[str, ...]
    names: tuple[str, ...] = ()
    requested: tuple[str, ...] | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    audit_seed: int | None = None
    declared: OutputKind | None = None
    folder: str | None = None
    server_files: tuple[str, ...] = ()

    @property
    def reply_rows(self) -> int:
        return sum(stop - start for start, stop in self.ranges)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reply:
    """What a child wrote: `values` [rows] float64, finite; `text` is not checked yet.

    `audit` [rows] are the values of the audit; None if it was not asked for, or failed as `audit_failure` says.
    """

    status: Status
    values: NDArray[np.float64]
    text: Mapping[str, Any] = field(default_factory=dict)
    audit: NDArray[np.float64] | None = None
    audit_failure: str | None = None


def get_reply_size(rows: int, *, is_audited: bool = False) -> int:
    """Return the size in bytes of a reply's file for `rows` values."""
    return _ALIGNMENT + 8 * rows + MAX_TEXT_BYTES + (_ALIGNMENT + 8 * rows if is_audited else 0)


def write_task(task: ChildTask, values: NDArray[np.float64] | None = None) -> int:
    """Return a descriptor of a sealed memfd with the task and its feature rows [n, k]."""
    text = json.dumps(asdict(task)).encode()
    head = _TASK_HEADER.pack(_TASK_MAGIC, len(text)) + text
    padding = b"\0" * (-len(head) % _ALIGNMENT)
    table = np.zeros((0, 0)) if values is None else np.ascontiguousarray(values, dtype="<f8")
    # An empty array has no buffer to cast.
    return create_sealed_file(head + padding, table.data if table.size else b"")


def read_task(descriptor: int, size: int) -> tuple[ChildTask, NDArray[np.float64]]:
    """Return the task and its feature rows [n, k], read-only; it comes from the server and is not checked."""
    content = mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    magic, length = _TASK_HEADER.unpack_from(content)
    if magic != _TASK_MAGIC:
        raise ValueError("not a task")
    start = _TASK_HEADER.size
    fields = json.loads(content[start : start + length])
    task = ChildTask(
        **fields
        | {
            "layers": tuple(Layer(name) for name in fields["layers"]),
            "limits": Limits(**fields["limits"]),
            "capabilities": tuple(fields["capabilities"]),
            "readable": tuple(fields["readable"]),
            "names": tuple(fields["names"]),
            "server_files": tuple(fields["server_files"]),
            "requested": None if fields["requested"] is None else tuple(fields["requested"]),
            "ranges": tuple((first, last) for first, last in fields["ranges"]),
            "declared": None if fields["declared"] is None else OutputKind(fields["declared"]),
        }
    )
    offset = start + length + (-(start + length) % _ALIGNMENT)
    values = np.frombuffer(content, dtype="<f8", offset=offset) if offset < size else np.zeros(0)
    return task, values.reshape(-1, max(1, len(task.names)))


def write_reply(
    memory: mmap.mmap, status: Status, text: Mapping[str, object], values: Sequence[NDArray[np.float64]] = ()
) -> None:
    """Write the reply; its magic comes last, so that a child killed half-way leaves none.

    Raises TextTooLong if the text does not fit; ValueError if the values do not.
    """
    encoded = json.dumps(text).encode()
    if len(encoded) > MAX_TEXT_BYTES:
        raise TextTooLong(len(encoded))
    rows = sum(len(part) for part in values)
    if get_reply_size(rows) > len(memory):
        raise ValueError(f"{rows} values do not fit the reply")
    at = _ALIGNMENT
    for part in values:
        packed = np.ascontiguousarray(part, dtype="<f8").tobytes()
        memory[at : at + len(packed)] = packed
        at += len(packed)
    memory[at : at + len(encoded)] = encoded
    memory[: _REPLY_HEADER.size] = _REPLY_HEADER.pack(_REPLY_MAGIC, status, len(encoded), rows)


def write_audit(memory: mmap.mmap, values: NDArray[np.float64]) -> None:
    """Write the values of an audit after the reply; raises ValueError if they do not fit."""
    at = get_reply_size(len(values))
    if get_reply_size(len(values), is_audited=True) != len(memory):
        raise ValueError(f"{len(values)} values of an audit do not fit the reply")
    packed = np.ascontiguousarray(values, dtype="<f8").tobytes()
    memory[at + _ALIGNMENT : at + _ALIGNMENT + len(packed)] = packed
    memory[at : at + len(_AUDIT_MAGIC)] = _AUDIT_MAGIC


def parse_audit(content: bytes, expected_rows: int) -> NDArray[np.float64] | None:
    """Read the audit that a hostile child may have written; return None if it wrote none, or one that is not finite."""
    at = get_reply_size(expected_rows)
    if content[at : at + len(_AUDIT_MAGIC)] != _AUDIT_MAGIC:
        return None
    values = np.frombuffer(content, dtype="<f8", count=expected_rows, offset=at + _ALIGNMENT)
    return values if np.isfinite(values).all() else None


def parse_reply(content: bytes, expected_rows: int) -> Reply | None:
    """Read a reply that a hostile child may have written; return None if it wrote none.

    Raises MalformedReply if any number, size or text in it is invalid, or a value is not finite.
    """
    if content[: len(_REPLY_MAGIC)] == b"\0" * len(_REPLY_MAGIC):
        return None
    magic, code, text_length, rows = _REPLY_HEADER.unpack_from(content)
    if magic != _REPLY_MAGIC:
        raise MalformedReply("wrong magic")
    if code not in Status.__members__.values():
        raise MalformedReply(f"unknown status {code}")
    status = Status(code)
    if rows != (expected_rows if status is Status.DONE else 0):
        raise MalformedReply(f"{rows} rows, expected {expected_rows}")
    text_start = _ALIGNMENT + 8 * rows
    if text_length > MAX_TEXT_BYTES or text_start + text_length > len(content):
        raise MalformedReply(f"a text of {text_length} bytes")
    values = np.frombuffer(content, dtype="<f8", count=rows, offset=_ALIGNMENT)
    if not np.isfinite(values).all():
        raise MalformedReply("a value that is not finite")
    return Reply(status=status, values=values, text=_parse_text(content[text_start : text_start + text_length]))


def _parse_text(encoded: bytes) -> Mapping[str, Any]:
    try:
        text = json.loads(encoded.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedReply(f"its text is not JSON: {error}") from error
    if not isinstance(text, dict):
        raise MalformedReply("its text is not an object")
    return text


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
