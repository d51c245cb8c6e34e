"""List hostile files that are tried without each layer, and the layers that hold each of them alone.

`FORMAT` means the checks of the format: those of `src/model_formats` and the safeties that they leave on.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from src.sandbox.layers import Layer
from tests.security import crafted
from tests.security.world import World

FORMAT = "format"


@dataclass(frozen=True)
class HostileFile:
    """`holds` names each layer that alone keeps the file from having an effect."""

    extension: str
    craft: Callable[[World], bytes]
    holds: frozenset[str]


class Call:
    """Unpickles to the result of one call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def text_call(*steps: str) -> bytes:
    """A pickle of protocol 0, as no pickler writes it: globals, then calls with the words that follow."""
    return "".join(steps).encode() + b"."


def getattr_static(world: World) -> bytes:
    """`inspect.getattr_static(inspect.os, "system")("touch …")`: no name of `os` or `builtins` is looked up."""
    found = "cinspect\ngetattr_static\n(cinspect\nos\nVsystem\ntR"
    return text_call(found, f"(V/usr/bin/touch {world.canary}\ntR")


def builtins_dict(world: World) -> bytes:
    """`builtins.__dict__.get("exec")`: a name with dots, which protocol 4 walks."""
    source = f"open({str(world.canary)!r}, 'w').close()".encode()
    return (
        b"\x80\x04\x8c\x08builtins\x8c\x0c__dict__.get\x93\x8c\x04exec\x85R"
        + b"X" + len(source).to_bytes(4, "little") + source + b"\x85R."
    )  # fmt: skip


def joblib_objects(world: World) -> bytes:
    """joblib reads an array of objects with an unpickler of its own kind, not with the one that it was given."""
    stream = io.BytesIO()
    array = np.empty(2, dtype=object)
    array[:] = [Call(open, str(world.canary), "w"), 1]
    joblib.dump({"coef": array}, stream)
    return stream.getvalue()


def lightgbm_saves(world: World) -> bytes:
    """A library's own method writes the file, in C++."""
    import lightgbm

    booster = lightgbm.train(
        {"verbose": -1, "num_leaves": 2, "min_data_in_leaf": 1},
        lightgbm.Dataset(np.arange(40.0).reshape(20, 2), np.arange(20.0)),
        1,
    )
    return pickle.dumps(Call(lightgbm.Booster.save_model, booster, str(world.canary)))


def xgboost_saves(world: World) -> bytes:
    import xgboost

    booster = xgboost.train({}, xgboost.DMatrix(np.arange(40.0).reshape(20, 2), np.arange(20.0)), 1)
    return pickle.dumps(Call(xgboost.Booster.save_model, booster, f"{world.canary}.json"))


def lightgbm_reads(world: World) -> bytes:
    import lightgbm

    return pickle.dumps(Call(lightgbm.Booster, None, None, str(world.secret)))


def xgboost_reads(world: World) -> bytes:
    import xgboost

    return pickle.dumps(Call(xgboost.Booster, None, (), str(world.secret)))


def connects(world: World) -> bytes:
    import socket

    return pickle.dumps(Call(socket.create_connection, world.address, 1.0))


def hdf5_model(config: str, fill: Callable[[Any], object]) -> bytes:
    """A Keras HDF5 file with a configuration, and with weights that `fill` makes in their group."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="latest") as file:
        file.attrs["model_config"] = config
        file.attrs["keras_version"] = "3"
        fill(file.create_group("model_weights"))
    return stream.getvalue()


def dense_config(layer: dict[str, Any] | None = None) -> str:
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, 2], "dtype": "float32", "name": "input"}}
    dense = {"class_name": "Dense", "config": {"units": 1, "name": "dense"}}
    return json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [first, layer or dense]}})


def hdf5_shape_bomb(_: World) -> bytes:
    """Return an array of 6 GiB in a file of less than 500 bytes; none of it is ever written."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="latest") as file:
        file.attrs.create("model_config", np.bytes_(b"{}"))
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.CONTIGUOUS)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((3 << 29,))
        h5py.h5d.create(file.id, b"kernel", h5py.h5t.IEEE_F32LE, space, properties)
    return stream.getvalue()


def hdf5_external_storage(world: World) -> bytes:
    """The bytes of the weights are those of another file."""

    def fill(weights: Any) -> None:
        weights.create_dataset("kernel", (8,), "u1", external=[(str(world.secret), 0, 8)])

    return hdf5_model(dense_config(), fill)


def hdf5_torch_module(world: World) -> bytes:
    """Keras' layer around a module of torch, which is pickled inside its configuration."""
    pickled = crafted.torch_archive(f"open({str(world.canary)!r}, 'w').close()")
    layer = {"module": "keras.layers", "class_name": "TorchModuleWrapper", "registered_name": None,
             "config": {"name": "wrapper", "module": base64.b64encode(pickled).decode()}}  # fmt: skip
    return hdf5_model(dense_config(layer), lambda _: None)


def keras_dead_operation(world: World) -> bytes:
    """An operation that no output depends on, and that is run when the model is built: `Switch(0, [f], path)`."""
    named = world.secret.with_name("secret.weights.h5")
    tensor = {"class_name": "__keras_tensor__",
              "config": {"shape": [None, 2], "dtype": "float32", "keras_history": ["input", 0, 0]}}  # fmt: skip
    function = {"module": "keras.saving", "class_name": "function", "config": "KerasFileEditor",
                "registered_name": "KerasFileEditor"}  # fmt: skip
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None, "name": "input",
         "config": {"batch_shape": [None, 2], "dtype": "float32", "name": "input"}, "inbound_nodes": []},
        {"module": "keras.src.ops.core", "class_name": "Switch", "registered_name": None, "name": "dead",
         "config": {"name": "dead"}, "inbound_nodes": [{"args": [0, [function], str(named)], "kwargs": {}}]},
        {"module": "keras.layers", "class_name": "Dense", "registered_name": None, "name": "dense",
         "config": {"name": "dense", "units": 1}, "inbound_nodes": [{"args": [tensor], "kwargs": {}}]},
    ]  # fmt: skip
    config = {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional",
              "config": {"name": "f", "trainable": True, "layers": layers, "input_layers": [["input", 0, 0]],
                         "output_layers": [["dense", 0, 0]]}, "build_config": {"input_shape": [None, 2]}}  # fmt: skip
    metadata = {"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}
    return crafted.zip_of({"metadata.json": json.dumps(metadata).encode(), "config.json": json.dumps(config).encode(),
                           "model.weights.h5": b""})  # fmt: skip


def exported_program(world: World) -> bytes:
    """A `.pt2`: torch reads its weights as data, and unpickles anything if that fails."""
    weights = crafted.torch_archive(f"open({str(world.canary)!r}, 'w').close()")
    return crafted.zip_of(
        {"archive/archive_format": b"pt2", "archive/version": b"0", "archive/data/weights/model.pt": weights}
    )


def torchscript_reads(world: World) -> bytes:
    """TorchScript's own `from_file` maps any file into a tensor."""
    import torch

    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.path = str(world.secret)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, 0] + torch.from_file(self.path, False, 1, dtype=torch.uint8)[0]

    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Reader()), content)
    return content.getvalue()


def onnx_location(locate: Callable[[World], str]) -> Callable[[World], bytes]:
    return lambda world: crafted.onnx_model(location=locate(world))


def made_link(world: World, name: str, make: Callable[[Path, Path], object]) -> str:
    link = world.folder / name
    if not link.exists():
        make(link, world.secret)
    return f"../../../../../../../..{link}"


WRITES = frozenset({Layer.LANDLOCK, Layer.SECCOMP})
"""Opening a file to write it. (The limit on what files may hold stops what is written, and not that one is made.)"""
RUNS = frozenset({Layer.LANDLOCK, Layer.SECCOMP})
"""Running a program: none may be read, and none started."""
READS = frozenset({Layer.LANDLOCK})

FILES: dict[str, HostileFile] = {
    "pickle: inspect.getattr_static": HostileFile(".pkl", getattr_static, RUNS),
    "pickle: builtins.__dict__": HostileFile(".pkl", builtins_dict, WRITES),
    "pickle: connects": HostileFile(".pkl", connects, frozenset({Layer.LANDLOCK, Layer.SECCOMP})),
    "joblib: array of objects": HostileFile(".joblib", joblib_objects, WRITES),
    "lightgbm: writes": HostileFile(".pkl", lightgbm_saves, WRITES),
    "lightgbm: reads": HostileFile(".pkl", lightgbm_reads, READS),
    "xgboost: writes": HostileFile(".pkl", xgboost_saves, WRITES),
    "xgboost: reads": HostileFile(".pkl", xgboost_reads, READS),
    "h5: shape bomb": HostileFile(".h5", hdf5_shape_bomb, frozenset({Layer.LIMITS, FORMAT})),
    "h5: external storage": HostileFile(".h5", hdf5_external_storage, READS | {FORMAT}),
    "h5: module of torch": HostileFile(".h5", hdf5_torch_module, WRITES | {FORMAT}),
    "keras: dead operation": HostileFile(".keras", keras_dead_operation, READS | {FORMAT}),
    "pt2: weights that are code": HostileFile(".pt", exported_program, WRITES | {FORMAT}),
    "torchscript: reads": HostileFile(".pt", torchscript_reads, READS),
    "onnx: data up the folders": HostileFile(
        ".onnx", onnx_location(lambda world: f"../../../../../../../..{world.secret}"), READS | {FORMAT}),
    "onnx: data through a symbolic link": HostileFile(
        ".onnx", onnx_location(lambda world: made_link(world, "link", Path.symlink_to)), READS | {FORMAT}),
    "onnx: data through a hard link": HostileFile(
        ".onnx", onnx_location(lambda world: made_link(world, "hard", Path.hardlink_to)), READS | {FORMAT}),
    "onnx: data through the own root": HostileFile(
        ".onnx", onnx_location(lambda world: f"/proc/self/root{world.secret}"), READS | {FORMAT}),
}  # fmt: skip
