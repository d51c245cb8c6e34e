"""Frozen graphs and SavedModels, written byte by byte: TensorFlow itself (1.3 GB) is not needed to read or test them.

Field numbers are those of tensorflow/core/framework/{graph,node_def,attr_value,tensor,tensor_shape}.proto and
core/protobuf/{saved_model,meta_graph,tensor_bundle}.proto; the variables' index is a table as in
tensorflow/core/lib/io/table_format.txt.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Weights = Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""A matrix [inputs, outputs] and a bias [outputs] for each layer."""

FLOAT, STRING, RESOURCE = 1, 7, 20


def frozen_graph(weights: Weights, *, last: str | None = "Sigmoid") -> bytes:
    """Return the GraphDef of a network with ReLU between its layers and `last` after them, weights as constants."""
    nodes = [_placeholder(weights[0][0].shape[0])]
    for index, arrays in enumerate(weights):
        nodes += [_constant(f"{part}{index}", array) for part, array in zip(("kernel", "bias"), arrays, strict=True)]
    return _graph(nodes + _layers(len(weights), last, suffix=""))


def write_saved_model(weights: Weights, folder: Path) -> None:
    """Write the folder that `tf.saved_model.save` makes: graph and signature in one file, weights in another."""
    nodes = [_placeholder(weights[0][0].shape[0])]
    variables = {}
    for index, arrays in enumerate(weights):
        for part, array in zip(("kernel", "bias"), arrays, strict=True):
            name = f"{part}{index}"
            variables[name] = array
            nodes += [
                _node(name, "VarHandleOp", dtype=_type(FLOAT), shape=_field(7, _shape(array.shape)),
                      shared_name=_field(2, name.encode())),
                _node(f"{name}/Read", "ReadVariableOp", name, dtype=_type(FLOAT)),
            ]  # fmt: skip
    graph = _graph(nodes + _layers(len(weights), "Sigmoid", suffix="/Read"))
    signature = (
        _entry(1, b"x", _tensor_info("x", weights[0][0].shape[0]))
        + _entry(2, b"probability", _tensor_info("output", weights[-1][0].shape[1]))
        + _field(3, b"tensorflow/serving/predict")
    )
    meta = _field(1, _field(4, b"serve") + _field(5, b"2.19.0")) + _field(2, graph)
    meta += _entry(5, b"serving_default", signature)
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(_field(1, 1) + _field(2, meta))
    _write_variables(variables, folder / "variables")


def zip_folder(folder: Path, file: Path, *, root: str = "") -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, root + path.relative_to(folder).as_posix())


def _layers(count: int, last: str | None, *, suffix: str) -> list[bytes]:
    nodes, flowing = [], "x"
    for index in range(count):
        nodes.append(_node(f"product{index}", "MatMul", flowing, f"kernel{index}{suffix}", T=_type(FLOAT)))
        nodes.append(_node(f"sum{index}", "BiasAdd", f"product{index}", f"bias{index}{suffix}", T=_type(FLOAT)))
        flowing = f"sum{index}"
        if index < count - 1:
            nodes.append(_node(f"relu{index}", "Relu", flowing, T=_type(FLOAT)))
            flowing = f"relu{index}"
    return [*nodes, _node("output", last or "Identity", flowing, T=_type(FLOAT))]


def _graph(nodes: list[bytes]) -> bytes:
    return b"".join(_field(1, node) for node in nodes) + _field(4, _field(1, 1882) + _field(2, 12))


def _node(name: str, operator: str, *inputs: str, **attributes: bytes) -> bytes:
    message = _field(1, name.encode()) + _field(2, operator.encode())
    message += b"".join(_field(3, name.encode()) for name in inputs)
    return message + b"".join(_entry(5, key.encode(), value) for key, value in attributes.items())


def _placeholder(columns: int) -> bytes:
    return _node("x", "Placeholder", dtype=_type(FLOAT), shape=_field(7, _shape((-1, columns))))


def _constant(name: str, array: NDArray[np.float32]) -> bytes:
    tensor = _field(1, FLOAT) + _field(2, _shape(array.shape)) + _field(4, array.astype("<f4").tobytes())
    return _node(name, "Const", dtype=_type(FLOAT), value=_field(8, tensor))


def _tensor_info(name: str, columns: int) -> bytes:
    return _field(1, f"{name}:0".encode()) + _field(2, FLOAT) + _field(3, _shape((-1, columns)))


def _type(number: int) -> bytes:
    return _field(6, number)


def _shape(sizes: Sequence[int]) -> bytes:
    return b"".join(_field(2, _field(1, size)) for size in sizes)


def _entry(number: int, key: bytes, value: bytes) -> bytes:
    return _field(number, _field(1, key) + _field(2, value))


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    text = bytearray()
    while number >= 0x80:
        text.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*text, number])


def _write_variables(variables: dict[str, NDArray[np.float32]], folder: Path) -> None:
    rows = {b"": _field(1, 1) + _field(3, _field(1, 1))}
    shard = b""
    for name in sorted(variables):
        content = variables[name].astype("<f4").tobytes()
        entry = _field(1, FLOAT) + _field(2, _shape(variables[name].shape)) + _field(4, len(shard))
        rows[name.encode()] = entry + _field(5, len(content)) + _varint(6 << 3 | 5) + struct.pack("<I", _crc(content))
        shard += content
    (folder / "variables.data-00000-of-00001").write_bytes(shard)
    (folder / "variables.index").write_bytes(_table(rows))


def _table(rows: dict[bytes, bytes]) -> bytes:
    data = _block(rows)
    handles = [(0, len(data))]
    table = data + _trailer(data)
    for block in (_block({}), _block({max(rows) + b"\xff": _varint(0) + _varint(len(data))})):
        handles.append((len(table), len(block)))
        table += block + _trailer(block)
    footer = b"".join(_varint(offset) + _varint(size) for offset, size in handles[1:])
    return table + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def _block(rows: dict[bytes, bytes]) -> bytes:
    entries = b"".join(b"\0" + _varint(len(key)) + _varint(len(value)) + key + value for key, value in rows.items())
    return entries + struct.pack("<II", 0, 1)


def _trailer(block: bytes) -> bytes:
    return b"\0" + struct.pack("<I", _crc(block + b"\0"))


def _crc(content: bytes) -> int:
    """Return the masked CRC-32C that tables use."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
