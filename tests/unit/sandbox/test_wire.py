"""The layouts between server and child: what is written comes back, and nothing else is believed."""

from __future__ import annotations

import mmap
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.signals import OutputKind
from src.sandbox import wire
from src.sandbox.layers import Layer
from src.sandbox.limits import Limits
from src.sandbox.memory_files import create_reply_file, read_reply


def task(**changes: object) -> wire.ChildTask:
    fields: dict[str, object] = {
        "kind": "predict",
        "registry": "formats",
        "extension": ".pkl",
        "model_path": "/x/model.pkl",
        "layers": (Layer.SECCOMP, Layer.LIMITS),
        "limits": Limits(memory_bytes=5),
        "uid": 60_123,
        "readable": ("/lib",),
        "names": ("a", "b"),
        "requested": ("b",),
        "ranges": ((0, 2), (0, 3)),
        "declared": OutputKind.PROBABILITY,
    }
    return wire.ChildTask(**fields | changes)  # type: ignore[arg-type]


def build_reply(status: wire.Status, text: dict[str, object], values: list[np.ndarray], rows: int) -> bytes:
    memory = create_reply_file(wire.get_reply_size(rows))
    try:
        with mmap.mmap(memory, wire.get_reply_size(rows)) as mapped:
            wire.write_reply(mapped, status, text, values)
        return read_reply(memory, wire.get_reply_size(rows))
    finally:
        os.close(memory)


def test_task_round_trip_keeps_fields_and_rows() -> None:
    values = np.arange(6.0).reshape(3, 2)
    descriptor = wire.write_task(task(), values)
    try:
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"x", 0)
        back, rows = wire.read_task(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
    assert back == task()
    assert back.reply_rows == 5
    np.testing.assert_array_equal(rows, values)


def test_task_without_rows_round_trips() -> None:
    descriptor = wire.write_task(task(kind="inspect", names=(), requested=None, ranges=(), declared=None))
    try:
        back, rows = wire.read_task(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
    assert back.kind == "inspect"
    assert len(rows) == 0


def test_reply_round_trip_keeps_status_and_values() -> None:
    content = build_reply(wire.Status.DONE, {"kind": "value"}, [np.array([1.0, 2.0]), np.array([3.0])], 3)
    reply = wire.parse_reply(content, 3)
    assert reply is not None
    assert reply.status is wire.Status.DONE
    assert reply.text == {"kind": "value"}
    np.testing.assert_array_equal(reply.values, [1.0, 2.0, 3.0])


def test_empty_reply_is_none() -> None:
    assert wire.parse_reply(bytes(wire.get_reply_size(2)), 2) is None


@pytest.mark.parametrize(
    ("values", "rows", "reason"),
    [([1.0], 2, "rows"), ([np.nan, 1.0], 2, "not finite"), ([np.inf], 1, "not finite"), ([], 1, "rows")],
)
def test_reply_with_wrong_values_is_malformed(values: list[float], rows: int, reason: str) -> None:
    content = build_reply(wire.Status.DONE, {}, [np.array(values)], rows)
    with pytest.raises(wire.MalformedReply, match=reason):
        wire.parse_reply(content, rows)


HEADER = struct.Struct("<8sIIQ")
MAGIC = b"BTans\x00\x00\x01"


def forged(magic: bytes = MAGIC, status: int = 1, length: int = 2, rows: int = 1, text: bytes = b"{}") -> bytes:
    head = HEADER.pack(magic, status, length, rows).ljust(64, b"\0") + struct.pack("<d", 0.5) + text
    return head.ljust(wire.get_reply_size(1), b"\0")


@pytest.mark.parametrize(
    "content",
    [
        forged(magic=b"\x80\x04pickle"),
        forged(status=0),
        forged(status=99),
        forged(rows=0),
        forged(rows=2**63),
        forged(rows=2**61),
        forged(length=2**32 - 1),
        forged(length=65_537),
        forged(text=b"[]"),
        forged(text=b"\xff\xfe"),
        forged(length=0),
        forged(length=3, text=b"NaN"),
        forged(length=60_000, text=b"[" * 60_000),
        forged(length=10_006, text=b'{"a":' + b"9" * 10_000 + b"}"),
    ],
)
def test_forged_reply_is_malformed(content: bytes) -> None:
    with pytest.raises(wire.MalformedReply):
        wire.parse_reply(content, 1)
    assert wire.parse_reply(forged(), 1) is not None


@given(st.binary(min_size=64, max_size=400), st.integers(0, 40))
def test_random_bytes_never_crash_parser(noise: bytes, rows: int) -> None:
    content = (MAGIC + noise[8:]).ljust(wire.get_reply_size(rows), b"\0")
    try:
        reply = wire.parse_reply(content, rows)
    except wire.MalformedReply:
        return
    assert reply is not None
    assert np.isfinite(reply.values).all()


def test_oversized_reply_is_not_written() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        build_reply(wire.Status.DONE, {}, [np.zeros(9000)], 1)
    with pytest.raises(ValueError, match="bytes; 65536 are allowed"):
        build_reply(wire.Status.DONE, {"long": "x" * 70_000}, [], 1)


def build_audited(audit: np.ndarray, rows: int) -> bytes:
    size = wire.get_reply_size(rows, is_audited=True)
    memory = create_reply_file(size)
    try:
        with mmap.mmap(memory, size) as mapped:
            wire.write_reply(mapped, wire.Status.DONE, {"kind": "value"}, [np.ones(rows)])
            if audit.size:
                wire.write_audit(mapped, audit)
        return read_reply(memory, size)
    finally:
        os.close(memory)


def test_audit_round_trip_leaves_reply_as_it_is() -> None:
    content = build_audited(np.array([1.5, -2.0, 3.0]), 3)
    np.testing.assert_array_equal(wire.parse_audit(content, 3), [1.5, -2.0, 3.0])
    reply = wire.parse_reply(content, 3)
    assert reply is not None
    np.testing.assert_array_equal(reply.values, np.ones(3))


def test_reply_without_audit_is_whole() -> None:
    content = build_audited(np.zeros(0), 3)
    assert wire.parse_audit(content, 3) is None
    assert wire.parse_reply(content, 3) is not None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_audit_that_is_not_finite_counts_as_none(value: float) -> None:
    assert wire.parse_audit(build_audited(np.array([0.0, value, 0.0]), 3), 3) is None


def test_audit_of_other_rows_does_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        build_audited(np.zeros(2), 3)
