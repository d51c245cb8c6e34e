"""Check the description in a Keras file before Keras builds the model from it.

Keras' own `safe_mode` refuses stored code, but a description can still call nearly every function of Keras' API with
any arguments, for example as an operation that no output depends on. So only parts that models consist of are allowed.
"""

from __future__ import annotations

import re
from typing import Any, Final

from src.model_formats.failures import refused

_PARTS: Final = re.compile(
    r"keras|keras\.(src\.)?(layers|models|initializers|regularizers|constraints|activations|dtype_policies|losses"
    r"|metrics|optimizers)(\.\w+)*|keras\.src\.ops\.(numpy|math|nn|linalg|operation|function)"
)
"""Modules whose classes a description may name."""
_FUNCTIONS: Final = re.compile(r"(keras\.(src\.)?(activations|initializers|regularizers|constraints)(\.\w+)*)|builtins")
_CORE: Final = "keras.src.ops.core"
_CORE_OPERATIONS: Final = frozenset(
    {"Cast", "ConvertToTensor", "SaturateCast", "Scatter", "ScatterUpdate", "Slice", "SliceUpdate", "StopGradient",
     "Unstack"}
)  # fmt: skip
"""The operations that call no other function; `Switch`, `Map` and others call functions that the description names."""
_RUN_OR_READ: Final = frozenset({"Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"})
"""Classes that hold code, or open files that a description names."""
_MAX_NESTING: Final = 200


def check_config(config: object) -> None:
    """Check every class and function that a model's description names, at any depth.

    Raises ModelRejected if one is not a part of a model.
    """
    waiting: list[tuple[object, int]] = [(config, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > _MAX_NESTING:
            raise ValueError("the description is nested too deep")
        if isinstance(part, dict):
            _check_part(part)
            waiting.extend((value, depth + 1) for value in part.values())
        elif isinstance(part, list):
            waiting.extend((value, depth + 1) for value in part)


def _check_part(part: dict[str, Any]) -> None:
    name, module = part.get("class_name"), part.get("module")
    if not isinstance(name, str):
        return
    if name in _RUN_OR_READ:
        raise refused("keras_code")
    if not isinstance(module, str):
        return  # older files name no modules; Keras then searches its layers only
    if name == "function":
        if module.partition(".")[0] == "keras" and not _FUNCTIONS.fullmatch(module):
            raise refused("keras_class", name=f"{module}.{part.get('config')}")
    elif module == _CORE and name in _CORE_OPERATIONS:
        return
    elif module.partition(".")[0] == "keras" and not _PARTS.fullmatch(module):
        raise refused("keras_class", name=f"{module}.{name}")
