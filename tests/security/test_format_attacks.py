"""Check hostile files of every format, opened by its own library: no effect, a clear error, service goes on."""

from __future__ import annotations

import io
import json
import pickle
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import pytest_asyncio

from src.domain.errors import ModelRejected, TimedOut
from src.sandbox.runner import SandboxedModelRunner
from tests.security import crafted
from tests.security.hostile import model_file
from tests.security.strikes import TABLE, open_runner, save_honest, strike
from tests.security.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner() -> AsyncIterator[SandboxedModelRunner]:
    async with open_runner(deadline_s=2.0) as opened:
        yield opened


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_honest(tmp_path_factory.mktemp("honest"))


class Call:
    """A pickle that calls one function of a library with plain arguments: a gadget, no code of its own."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def gadget(function: Callable[..., object], *arguments: object) -> bytes:
    return pickle.dumps(Call(function, *arguments))


def numpy_memmap(world: World) -> bytes:
    import numpy

    return gadget(numpy.memmap, str(world.canary), "uint8", "w+", 0, (1 << 20,))


def numpy_tofile(world: World) -> bytes:
    import numpy

    return gadget(numpy.ndarray.tofile, numpy.zeros(9), str(world.canary))


def numpy_load_of_pickles(world: World) -> bytes:
    import numpy

    stream = io.BytesIO(pickle.dumps(Call(open, str(world.canary), "w")))
    return gadget(numpy.load, stream, None, True)


def numpy_runstring(world: World) -> bytes:
    from numpy.testing._private.utils import runstring

    return gadget(runstring, f"open({str(world.canary)!r}, 'w')", {})


def joblib_dump(world: World) -> bytes:
    import joblib

    return gadget(joblib.dump, [1], str(world.canary))


def joblib_memory(world: World) -> bytes:
    import joblib

    return gadget(joblib.Memory, str(world.canary))


def getattr_chain(world: World) -> bytes:
    import operator

    return gadget(operator.methodcaller("touch"), world.canary)


def memo_bomb(_: World) -> bytes:
    # Lists of lists of the same list: 2⁶⁰ elements when walked.
    bomb: list[object] = [0]
    for _round in range(60):
        bomb = [bomb, bomb]
    return pickle.dumps(bomb)


def nested_too_deep(_: World) -> bytes:
    return b"\x80\x04" + b"(" * 100_000 + b"l" * 100_000 + b"."


def size_that_lies(_: World) -> bytes:
    return b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f" + b"x" * 100


def h5_lambda(world: World) -> bytes:
    stream = io.BytesIO()
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 2], "dtype": "float32", "name": "input"}},
        crafted.lambda_layer(world.canary)]}}  # fmt: skip
    with h5py.File(stream, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "3.15.1"
        file.create_group("model_weights").attrs["layer_names"] = []
    return stream.getvalue()


def h5_external_link(world: World) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["model_config"] = "{}"
        file["model_weights"] = h5py.ExternalLink(str(world.secret), "/")
    return stream.getvalue()


def torch_script(world: World, body: str) -> bytes:
    import torch

    source = f"""
import torch
class Hostile(torch.nn.Module):
    def forward(self, x):
        {body.replace("CANARY", str(world.canary))}
        return x[:, 0]
"""
    # TorchScript reads the source of a class from its file.
    module_file = world.models / "hostile_script.py"
    module_file.write_text(source)
    import importlib.util

    spec = importlib.util.spec_from_file_location("hostile_script", module_file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # torch calls TorchScript deprecated
        torch.jit.save(torch.jit.script(module.Hostile()), stream)
    module_file.unlink()
    return stream.getvalue()


SAVED_MODEL = {"saved_model.pb": b"x", "variables/variables.index": b"x"}

CRAFTED: dict[str, tuple[str, Callable[[World], bytes]]] = {
    "gadget: numpy.memmap": ("a.pkl", numpy_memmap),
    "gadget: ndarray.tofile": ("a.pkl", numpy_tofile),
    "gadget: numpy.load of pickles": ("a.pkl", numpy_load_of_pickles),
    "gadget: numpy runstring": ("a.pkl", numpy_runstring),
    "gadget: joblib.dump": ("a.joblib", joblib_dump),
    "gadget: joblib.Memory": ("a.joblib", joblib_memory),
    "gadget: methodcaller": ("a.joblib", getattr_chain),
    "pickle: memo bomb": ("a.pkl", memo_bomb),
    "pickle: nested too deep": ("a.pkl", nested_too_deep),
    "pickle: size that lies": ("a.pkl", size_that_lies),
    "joblib: decompression bomb": ("a.joblib", lambda _: crafted.joblib_bomb(3)),
    "zip: bomb": ("a.pb", lambda _: crafted.zip_bomb("saved_model.pb", 2)),
    "zip: path traversal": (
        "a.zip", lambda world: crafted.zip_of(SAVED_MODEL | {f"../../..{world.canary}": b"x", "../canary": b"x"})),
    "zip: absolute path": ("a.zip", lambda world: crafted.zip_of(SAVED_MODEL | {str(world.canary): b"x"})),
    "zip: path traversal behind a known name": (
        "a.pb", lambda _: crafted.zip_of({"saved_model.pb": b"x", "variables/../../../canary": b"x"})),
    "zip: symbolic link": (
        "a.zip", lambda world: crafted.zip_of(
            {"saved_model.pb": b"x"}, {"variables/variables.index": str(world.secret)})),
    "zip: symbolic link as graph": ("a.zip", lambda world: crafted.zip_of({}, {"saved_model.pb": str(world.secret)})),
    "zip: many members": (
        "a.zip", lambda _: crafted.zip_of({f"variables/{number}": b"" for number in range(30_000)})),
    "pb: writes a file": ("a.pb", lambda world: crafted.frozen_graph("WriteFile", str(world.canary))),
    "pb: reads a file": ("a.pb", lambda world: crafted.frozen_graph("ReadFile", str(world.secret))),
    "pb: noise": ("a.pb", lambda _: bytes(range(256)) * 40),
    "keras: Lambda": ("a.keras", lambda world: crafted.keras_archive(crafted.lambda_layer(world.canary))),
    "keras: function of os": (
        "a.keras", lambda world: crafted.keras_archive(
            crafted.function_layer("os", "system", f"touch {world.canary}"))),
    "keras: class of subprocess": (
        "a.keras", lambda world: crafted.keras_archive(
            crafted.module_layer("subprocess", "Popen", ["touch", str(world.canary)]))),
    "keras: download": (
        "a.keras", lambda _: crafted.keras_archive(crafted.function_layer("keras.utils", "get_file", "http://x"))),
    "h5: Lambda": ("a.h5", h5_lambda),
    "h5: external link": ("a.h5", h5_external_link),
    "torch: pickled module": ("a.pt", lambda world: crafted.torch_archive(f"open({str(world.canary)!r}, 'w')")),
    "torch: script with hostile pickles": (
        "a.pth", lambda world: crafted.script_archive(f"open({str(world.canary)!r}, 'w')")),
    "torch: bare pickle": ("a.pth", lambda world: gadget(open, str(world.canary), "w")),
    "torch: script that maps a file": (
        "a.pt", lambda world: torch_script(world, "x = x + torch.from_file('CANARY', True, 1 << 20).sum()")),
    "torch: script that never ends": (
        "a.pt", lambda world: torch_script(world, "while bool(x[0, 0] == x[0, 0]): x = x + 0")),
    "torch: script that takes memory": (
        "a.pt", lambda world: torch_script(world, "x = x + torch.ones([1 << 20, 1 << 14]).sum()")),
    "onnx: external data": ("a.onnx", lambda world: crafted.onnx_model(location=f"../../..{world.secret}")),
    "onnx: external data, absolute": ("a.onnx", lambda world: crafted.onnx_model(location=str(world.secret))),
    "onnx: far too large": ("a.onnx", lambda _: crafted.onnx_model(huge=True)),
    "onnx: endless loop": ("a.onnx", lambda _: crafted.onnx_model(endless=True)),
    "onnx: noise": ("a.onnx", lambda _: bytes(range(256)) * 40),
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
async def test_nothing_comes_of(name: str, runner: SandboxedModelRunner, world: World, honest: Path) -> None:
    filename, craft = CRAFTED[name]
    error = await strike(runner, world, honest, craft(world), filename)
    assert isinstance(error, ModelRejected | TimedOut)


async def test_script_that_writes_writes_nothing(runner: SandboxedModelRunner, world: World) -> None:
    """TorchScript's own `save` does not check whether it could open its file, so the model still works."""
    path = world.models / "writer.pt"
    path.write_bytes(torch_script(world, "torch.save(x, 'CANARY')"))
    predictions = await runner.predict(model_file(path), TABLE, list(TABLE.names), None)
    path.unlink()
    assert world.harm() == []
    np.testing.assert_allclose(predictions.values, TABLE.values[:, 0], rtol=1e-6)
