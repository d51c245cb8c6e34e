"""Open `.pt` and `.pth` files: TorchScript, which is a program, on one thread of the CPU."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from src.model_formats.failures import refused, rejection
from src.model_formats.tensors import Activation, TensorInput, TensorPredictor, build_predictor

_SEQUENCE_LAYERS: Final = frozenset(
    {"LSTM", "GRU", "RNN", "Conv1d", "Conv2d", "MultiheadAttention", "TransformerEncoder", "TransformerEncoderLayer"}
)
_WIDTHS: Final = {"Linear": "weight", "BatchNorm1d": "running_mean", "LayerNorm": "weight"}
"""The parameter of each layer whose last dimension is the number of inputs."""

_DTYPES: Final[Mapping[torch.dtype, type[np.generic]]] = {torch.float64: np.float64, torch.float16: np.float16}
_ACTIVATIONS: Final = {
    "aten::sigmoid": Activation.SIGMOID,
    "aten::softmax": Activation.SOFTMAX,
    "aten::sigmoid_": Activation.SIGMOID,
}
_PASSED_THROUGH: Final = frozenset({"aten::squeeze", "aten::reshape", "aten::view", "aten::flatten", "aten::to"})


def load(file: Path) -> TensorPredictor:
    """Open a TorchScript module; raises ModelRejected, with how to export one, if the file holds anything else."""
    if not _is_torchscript(file):
        _refuse(file)
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            # torch recommends torch.export instead; users still have TorchScript files.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(file, map_location="cpu")
        module.eval()
    except Exception as error:
        raise rejection("torch_not_loaded", error, file) from error
    if sequence := sorted({part.original_name for part in module.modules()} & _SEQUENCE_LAYERS):
        raise refused("torch_sequence", layers=sequence)
    parameter = next((item for item in module.parameters() if item.is_floating_point()), None)

    def run(rows: NDArray[Any]) -> NDArray[Any]:
        try:
            with torch.inference_mode():
                output = module(torch.from_numpy(rows))
        except Exception as error:
            raise rejection("torch_fails", error, file) from error
        if not isinstance(output, torch.Tensor):
            raise refused("torch_outputs")
        return np.asarray(output.numpy(force=True))

    return build_predictor(
        file_format="TorchScript",
        library="torch",
        library_version=None,
        layout=TensorInput(n_features=_width(module)),
        dtype=np.float32 if parameter is None else _DTYPES.get(parameter.dtype, np.float32),
        activation=_last_activation(module),
        run=run,
    )


def rehearse() -> None:
    """Trace, load and run a small module, because torch sets up its compiler the first time (40 ms)."""
    torch.set_num_threads(1)
    stored = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1, 1)), stored)
        stored.seek(0)
        module = torch.jit.load(stored)
        for rows in (1, 2, 3):
            module(torch.zeros(rows, 1))


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise rejection("torch_damaged", error, file) from error


def _refuse(file: Path) -> NoReturn:
    """Raise the error for a file that is not TorchScript, without running any of it."""
    try:
        held = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise refused("torch_pickled") from error
    except Exception as error:
        raise rejection("torch_no_script", error, file) from error
    raise refused("torch_state_dict") if isinstance(held, Mapping) else refused("torch_other", type=type(held).__name__)


def _width(module: Any) -> int | None:
    """Return the number of inputs of the first layer that has parameters; None if the layer does not tell."""
    for part in module.modules():
        own = dict(part.named_parameters(recurse=False))
        if own:
            name = _WIDTHS.get(part.original_name)
            tensor = dict(part.named_buffers(recurse=False)) | own
            return int(tensor[name].shape[-1]) if name in tensor else None
    return None


def _last_activation(module: Any) -> Activation:
    # The nodes live only as long as this reference to the graph.
    graph = module.inlined_graph
    node = next(graph.outputs()).node()
    while node.kind() in _PASSED_THROUGH:
        node = next(node.inputs()).node()
    return _ACTIVATIONS.get(node.kind(), Activation.UNKNOWN)
