"""Equality to the last bit, for types that hold arrays and therefore have no `==` of their own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np


def assert_identical(one: object, other: object, path: str = "result") -> None:
    """Fail, naming the path, where two domain values differ in type, in a field or in a bit of an array."""
    if isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray), path
        assert (one.dtype, one.shape) == (other.dtype, other.shape), path
        assert one.tobytes() == other.tobytes(), path
    elif isinstance(one, Mapping):
        assert isinstance(other, Mapping), path
        assert list(one) == list(other), path
        for key in one:
            assert_identical(one[key], other[key], f"{path}[{key!r}]")
    elif isinstance(one, tuple):
        assert isinstance(other, tuple), path
        assert len(one) == len(other), path
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_identical(left, right, f"{path}[{index}]")
    elif dataclasses.is_dataclass(one):
        assert type(one) is type(other), path
        for field in dataclasses.fields(one):
            assert_identical(getattr(one, field.name), getattr(other, field.name), f"{path}.{field.name}")
    elif isinstance(one, float) and math.isnan(one):
        assert isinstance(other, float) and math.isnan(other), path
    else:
        assert type(one) is type(other) and one == other, f"{path}: {one!r} != {other!r}"
        if isinstance(one, float):
            assert math.copysign(1, one) == math.copysign(1, other), path  # type: ignore[arg-type]
