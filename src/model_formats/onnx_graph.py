"""Read from an ONNX file's protobuf what onnxruntime does not report: producer, classes, activations, external data.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Only names are copied, so a large
file needs no extra memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from src.model_formats.protobuf import read_fields, to_integers, to_message, to_text
from src.model_formats.tensors import Activation

_EXTERNAL: Final = 1
_NUMBER_TYPES: Final = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}
_MAX_CLASSES: Final = 100
_PASSED_THROUGH: Final = frozenset({"Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Cast"})
_ACTIVATIONS: Final = {"Sigmoid": Activation.SIGMOID, "Softmax": Activation.SOFTMAX}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph:
    """The producer of a file, whether its weights are in another file, and the origin of its outputs.

    `class_labels` are the classes if the first output is a label; `activations` are the last ones before each output.
    """

    producer: str
    producer_version: str | None
    has_external_data: bool
    class_labels: tuple[int | float | str, ...] | None
    activations: dict[str, Activation]


@dataclass(slots=True)
class _Node:
    operator: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    labels: list[int | str] = field(default_factory=list)
    has_external_data: bool = False


def read_graph(content: bytes) -> OnnxGraph:
    """Read the bytes of a `.onnx` file; raises ValueError if they are no protobuf message."""
    producer, version, graph = "", "", memoryview(b"")
    for number, value in read_fields(memoryview(content)):
        if isinstance(value, memoryview):
            producer = to_text(value) if number == 2 else producer
            version = to_text(value) if number == 3 else version
            graph = value if number == 7 else graph
    nodes: list[_Node] = []
    outputs: list[str] = []
    constants: dict[str, memoryview] = {}
    for number, value in read_fields(graph):
        if number == 1:
            nodes.append(_node(to_message(value)))
        elif number == 5:
            tensor = to_message(value)
            constants[next((to_text(name) for inner, name in read_fields(tensor) if inner == 8), "")] = tensor
        elif number == 12:
            outputs += [to_text(name) for inner, name in read_fields(to_message(value)) if inner == 1]
    is_external = any(_is_external(tensor) for tensor in constants.values())
    made_by = {name: node for node in nodes for name in node.outputs}
    return OnnxGraph(
        producer=producer[:60],
        producer_version=version[:60] or None,
        has_external_data=is_external or any(node.has_external_data for node in nodes),
        class_labels=_class_labels(made_by, constants, outputs[0]) if outputs else None,
        activations={output: _last_activation(made_by, output) for output in outputs},
    )


def _node(message: memoryview) -> _Node:
    node = _Node()
    for number, value in read_fields(message):
        if number == 1:
            node.inputs.append(to_text(value))
        elif number == 2:
            node.outputs.append(to_text(value))
        elif number == 4:
            node.operator = to_text(value)
        elif number == 5:
            _read_attribute(node, to_message(value))
    return node


def _read_attribute(node: _Node, message: memoryview) -> None:
    name = ""
    values: list[int | str] = []
    for number, value in read_fields(message):
        if number == 1:
            name = to_text(value)
        elif number == 5:
            node.has_external_data |= _is_external(to_message(value))
        elif number == 8:
            values += to_integers(value)
        elif number == 9:
            values.append(to_text(value))
    if name.startswith("classlabels_") or name == "class_labels":
        node.labels += values


def _is_external(tensor: memoryview) -> bool:
    return any(number == 13 or (number == 14 and value == _EXTERNAL) for number, value in read_fields(tensor))


def _source(made_by: Mapping[str, _Node], output: str) -> _Node | None:
    """Return the node that an output comes from, skipping nodes that only reshape it."""
    # Bounded, because a forged graph may have a cycle.
    for _ in range(len(made_by)):
        node = made_by.get(output)
        if node is None or node.operator not in _PASSED_THROUGH or not node.inputs:
            return node
        output = node.inputs[0]
    return None


def _last_activation(made_by: Mapping[str, _Node], output: str) -> Activation:
    node = _source(made_by, output)
    return Activation.UNKNOWN if node is None else _ACTIVATIONS.get(node.operator, Activation.UNKNOWN)


def _class_labels(
    made_by: Mapping[str, _Node], constants: Mapping[str, memoryview], output: str
) -> tuple[int | float | str, ...] | None:
    """Return the classes that a label is taken from: those of the classifier node, or of a table of constants."""
    node = _source(made_by, output)
    if node is None:
        return None
    if node.labels:
        return tuple(node.labels)
    if node.operator == "ArrayFeatureExtractor" and node.inputs and node.inputs[0] in constants:
        return tuple(_values(constants[node.inputs[0]]))
    return None


def _values(tensor: memoryview) -> list[int | float | str]:
    """Return the values of a short constant; exporters store them as raw bytes or in the field of their type."""
    data_type, raw = 0, b""
    values: list[int | float | str] = []
    for number, value in read_fields(tensor):
        if number == 2 and isinstance(value, int):
            data_type = value
        elif number == 6:
            values.append(to_text(value))
        elif number == 9:
            raw = bytes(to_message(value)[: 8 * _MAX_CLASSES])
        elif number in (5, 7):
            values += to_integers(value)
        elif number == 4:
            values += np.frombuffer(to_message(value), dtype="<f4").tolist()
    if raw and data_type in _NUMBER_TYPES:
        values = np.frombuffer(raw, dtype=_NUMBER_TYPES[data_type]).tolist()
    return values[:_MAX_CLASSES]
