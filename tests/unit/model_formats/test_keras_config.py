"""What a Keras description may name: the parts of models, and no function or class that runs code or reads files."""

from __future__ import annotations

from typing import Any

import pytest

from src.domain.errors import ModelRejected
from src.model_formats.keras_config import check_config


def named(module: str | None, class_name: str, config: object = None) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": [{"deep": [
        {"class_name": class_name, "config": config} | ({} if module is None else {"module": module})]}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        ("keras.layers", "Dense", {}), ("keras.src.layers.core.dense", "Dense", {}), (None, "Dense", {}),
        ("keras.src.models.functional", "Functional", {}), ("keras", "DTypePolicy", {}), ("keras", "Sequential", {}),
        ("keras.initializers", "GlorotUniform", {}), ("keras.src.ops.numpy", "Add", {}),
        ("keras.regularizers", "L2", {}),
        ("keras.activations", "function", "relu"), ("builtins", "function", "relu"), (None, "__keras_tensor__", {}),
        ("my.own", "Layer", {}), ("keras.src.ops.core", "Cast", {}),
    ],
)  # fmt: skip
def test_parts_of_models_pass(module: str | None, name: str, config: object) -> None:
    check_config(named(module, name, config))


@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        ("keras.saving", "function", "KerasFileEditor"), ("keras.saving", "KerasFileEditor", {}),
        ("keras.utils", "function", "plot_model"), ("keras.datasets.mnist", "load_data", {}),
        ("keras.datasets.mnist", "function", "load_data"), ("keras.config", "function", "set_backend"),
        ("keras.applications", "function", "VGG16"), ("keras.src.ops.core", "Switch", {}),
        ("keras.src.ops.core", "Map", {}), ("keras.callbacks", "CSVLogger", {}),
        ("keras.models", "function", "clone_model"),
        ("keras.layersx", "Dense", {}), ("keras.src.utils.torch_utils", "Anything", {}),
    ],
)  # fmt: skip
def test_functions_of_keras_api_are_rejected(module: str, name: str, config: object) -> None:
    with pytest.raises(ModelRejected, match=f'names "{module}') as caught:
        check_config(named(module, name, config))
    assert "no part of a model" in caught.value.message


@pytest.mark.parametrize("name", ["Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"])
@pytest.mark.parametrize("module", [None, "keras.layers", "my.own"])
def test_stored_code_is_rejected(name: str, module: str | None) -> None:
    with pytest.raises(ModelRejected, match="stored code, which is never run"):
        check_config(named(module, name))


def test_too_deep_description_is_rejected() -> None:
    config: object = {}
    for _ in range(300):
        config = [config]
    with pytest.raises(ValueError, match="too deep"):
        check_config(config)


def test_names_of_other_types_are_left_to_keras() -> None:
    check_config({"class_name": 1, "module": ["keras"]})
    check_config({"class_name": "Dense", "module": 3})
