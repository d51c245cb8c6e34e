"""Small trained models in every format. The same network is in all of them, so all of them give the same signals."""

from __future__ import annotations

import importlib.util
import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from src.domain.bars import Bars
from tests.candles import random_bars
from tests.pandas_features import pandas_features
from tests.tensorflow_files import Weights, frozen_graph, write_saved_model, zip_folder

FORMATS = ("pkl", "joblib", "onnx", "h5", "keras", "pb", "zip", "pt", "pth")
"""The names of `make_model_files` whose file holds the network; each is its extension, too."""
BOOSTERS = ("xgboost", "lightgbm")
"""Those whose file is a `.pkl` of trees."""

LIBRARIES = ("onnxruntime", "skl2onnx", "keras", "h5py", "openvino", "torch", *BOOSTERS)
"""What must be installed to make all files."""


def require_libraries() -> None:
    """Skip the test, visibly, where a library is missing; imports none of them."""
    for library in LIBRARIES:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: pip install -r requirements-models.txt -r requirements-dev.txt")


def make_model_files(folder: Path, bars: Bars | None = None) -> Mapping[str, Path]:
    """Train a network and two boosters on all 14 features of `bars` (random ones by default) and save each format.

    The pickles know their columns' names; the others take 14 unnamed columns. All give P(close of the next bar is
    higher). The same bars give the same files' predictions each time.
    """
    pipeline, frame, rises = train_network(bars)
    files = {name: folder / f"network.{name}" for name in FORMATS}
    files["pkl"].write_bytes(pickle.dumps(pipeline))
    joblib.dump(pipeline, files["joblib"], compress=3)
    write_onnx(pipeline, files["onnx"])
    weights = folded_weights(pipeline)
    for name in ("h5", "keras"):
        write_keras(weights, files[name])
    files["pb"].write_bytes(frozen_graph(weights))
    write_saved_model(weights, folder / "saved_model")
    zip_folder(folder / "saved_model", files["zip"], root="my_model/")
    for name in ("pt", "pth"):
        write_torchscript(weights, files[name])
    for name in BOOSTERS:
        files[name] = folder / f"{name}.pkl"
        files[name].write_bytes(pickle.dumps(train_booster(name, frame, rises)))
    return files


def training_table(bars: Bars | None = None) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return complete features of every bar but the last, and whether the next close is higher."""
    bars = random_bars(400, seed=11) if bars is None else bars
    frame = pandas_features(bars)
    rises = (frame["Close"].shift(-1) > frame["Close"]).astype(np.int64)
    known = frame.notna().all(axis=1) & (frame.index < len(frame) - 1)
    return frame[known], np.asarray(rises[known], dtype=np.int64)


def train_network(bars: Bars | None = None) -> tuple[Pipeline, pd.DataFrame, NDArray[np.int64]]:
    """Return a fitted network (scaler, 8 hidden units, sigmoid) and the table that it was fitted on."""
    frame, rises = training_table(bars)
    pipeline = make_pipeline(
        StandardScaler(), MLPClassifier((8,), max_iter=30, learning_rate_init=0.02, random_state=3)
    )
    with warnings.catch_warnings():
        # 30 steps do not converge, and need not.
        warnings.simplefilter("ignore")
        pipeline.fit(frame, rises)
    return pipeline, frame, rises


def train_booster(library: str, frame: pd.DataFrame, rises: NDArray[np.int64]) -> object:
    if library == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=10, max_depth=2, random_state=0, n_jobs=1).fit(frame, rises)
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=10, max_depth=2, random_state=0, n_jobs=1, verbose=-1).fit(frame, rises)


def folded_weights(pipeline: Pipeline) -> Weights:
    """Return the network's layers with the scaler folded into the first, for libraries that get raw features."""
    scaler, network = pipeline[0], pipeline[1]
    kernels = [kernel.copy() for kernel in network.coefs_]
    biases = [bias.copy() for bias in network.intercepts_]
    kernels[0] = kernels[0] / scaler.scale_[:, np.newaxis]
    biases[0] = biases[0] - scaler.mean_ @ kernels[0]
    return [(k.astype(np.float32), b.astype(np.float32)) for k, b in zip(kernels, biases, strict=True)]


def write_onnx(pipeline: Pipeline, file: Path, *, zipmap: bool = False) -> None:
    from skl2onnx import to_onnx  # type: ignore[import-untyped]

    sample = np.zeros((1, pipeline.n_features_in_), dtype=np.float32)
    model = to_onnx(pipeline, sample, options={"zipmap": zipmap}, target_opset=17)
    file.write_bytes(model.SerializeToString())


def write_keras(weights: Weights, file: Path) -> None:
    os.environ["KERAS_BACKEND"] = "openvino"
    import keras

    layers = [keras.layers.Input((weights[0][0].shape[0],))]
    for index, (_, bias) in enumerate(weights):
        layers.append(keras.layers.Dense(len(bias), activation="relu" if index < len(weights) - 1 else "sigmoid"))
    model = keras.Sequential(layers)
    model.set_weights([array for layer in weights for array in layer])
    model.save(file)


def write_torchscript(weights: Weights, file: Path) -> None:
    import torch

    layers: list[torch.nn.Module] = []
    for kernel, bias in weights:
        layer = torch.nn.Linear(*kernel.shape)
        layer.load_state_dict({"weight": torch.from_numpy(kernel.T.copy()), "bias": torch.from_numpy(bias)})
        layers += [layer, torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers[:-1], torch.nn.Sigmoid()).eval()
    with warnings.catch_warnings():
        # torch would rather have torch.export; people have the files that they have.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(module, torch.zeros(1, weights[0][0].shape[0])).save(str(file))
