"""Convert domain values to plain values (None, bool, int, float, str, list, dict) and back, by their annotations.

A dataclass becomes a dict of its fields, so a field added to the domain is stored without a change here. Documents of
other builds are read by these rules: a missing field gets its default, else None if its type allows None; an unknown
field is ignored. A new field without a default must therefore allow None. Arrays are not plain: they are returned
separately under their path ("simulation.equity"), and the plain value is `{"column": path}`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.market import Interval
from src.domain.strategy import StrategyParams
from src.strategies.registry import PARAMS

Columns = Mapping[str, NDArray[Any]]
Decoder = Callable[[Any, Columns], Any]

KINDS: Final[Mapping[type, str]] = {params: name for name, params in PARAMS.items()}
"""The strategy's name identifies the type of its parameters in a document."""

_RENAMED_KINDS: Final = {"crossover": "ma_crossover"}
"""Names that strategies had in documents of earlier builds."""

_INT64: Final = range(-(2**63), 2**63)
_SCALARS: Final = (str, int, float, bool)


def to_plain(value: object, columns: dict[str, NDArray[Any]], path: str = "") -> Any:
    """Return the plain form of a domain value; put its arrays into `columns` under their paths.

    Raises TypeError if the value has no plain form.
    """
    if value is None or isinstance(value, (str, bool, np.bool_, int, float, np.integer, np.floating, Enum)):
        return _plain_scalar(value)
    if isinstance(value, np.ndarray):
        columns[path] = value
        return {"column": path}
    if isinstance(value, Interval):
        return value.name
    if isinstance(value, Mapping):
        return {key: to_plain(item, columns, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item, columns, f"{path}.{index}") for index, item in enumerate(value)]
    if dataclasses.is_dataclass(value):
        plain = {"kind": KINDS[type(value)]} if type(value) in KINDS else {}
        for field in dataclasses.fields(value):
            below = f"{path}.{field.name}" if path else field.name
            plain[field.name] = to_plain(getattr(value, field.name), columns, below)
        return plain
    raise TypeError(f"{path or 'value'}: a {type(value).__name__} has no plain form")


def from_plain(hint: Any, plain: object, columns: Columns) -> Any:
    """Return the domain value of type `hint` that `plain` stands for.

    Raises ValueError if the plain value does not fit the type; the message names the field.
    """
    return _decoder(hint)(plain, columns)


def _plain_scalar(value: object) -> Any:
    # JSON has no NaN or infinity and BSON no integer above 64 bits, so these are tagged with their type.
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value) if int(value) in _INT64 else {"int": str(int(value))}
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    return value


@cache
def _decoder(hint: Any) -> Decoder:
    """Build the decoder of a type; each is built once."""
    origin = typing.get_origin(hint)
    if origin is not None:
        return _generic_decoder(origin, typing.get_args(hint))
    if hint in _SCALARS:
        return _scalar_decoder((hint,))
    if hint is Interval:
        return lambda plain, _: Interval.named(plain)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda plain, _: hint(plain)
    if hint is StrategyParams:
        return _choice_decoder({name: _decoder(params) for params, name in KINDS.items()}, None, _scalar_decoder(()))
    return _dataclass_decoder(hint)


def _generic_decoder(origin: Any, arguments: tuple[Any, ...]) -> Decoder:
    if origin in (typing.Union, types.UnionType):
        return _union_decoder(arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _tuple_decoder(arguments[0])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_decoder(arguments[1])
    if origin is np.ndarray:
        return _column
    raise TypeError(f"{origin} has no plain form")


def _scalar_decoder(allowed: tuple[type, ...]) -> Decoder:
    # A float field may hold an int: the domain does not convert it, so neither does a document.
    accepted = (*allowed, int) if float in allowed else allowed

    def decode(plain: Any, _: Columns) -> Any:
        if isinstance(plain, dict) and len(plain) == 1:
            [(kind, text)] = plain.items()
            if kind in ("int", "float"):
                plain = int(text) if kind == "int" else float(text)
        if not isinstance(plain, accepted) or (isinstance(plain, bool) and bool not in allowed):
            names = " or ".join(kind.__name__ for kind in allowed)
            raise ValueError(f"a {type(plain).__name__} stands where a {names} belongs")
        # BSON gives a subclass of int for 64 bits.
        return int(plain) if isinstance(plain, int) and not isinstance(plain, bool) else plain

    return decode


def _column(plain: Any, columns: Columns) -> NDArray[Any]:
    if not isinstance(plain, dict) or plain.get("column") not in columns:
        raise ValueError("its column is missing")
    return columns[plain["column"]]


def _tuple_decoder(item: Any) -> Decoder:
    def decode(plain: Any, columns: Columns) -> tuple[Any, ...]:
        if not isinstance(plain, (list, tuple)):
            raise ValueError(f"a {type(plain).__name__} stands where a list belongs")
        one = _decoder(item)
        return tuple(one(value, columns) for value in plain)

    return decode


def _mapping_decoder(item: Any) -> Decoder:
    def decode(plain: Any, columns: Columns) -> dict[str, Any]:
        if not isinstance(plain, dict):
            raise ValueError(f"a {type(plain).__name__} stands where a mapping belongs")
        one = _decoder(item)
        return {key: one(value, columns) for key, value in plain.items()}

    return decode


def _union_decoder(members: tuple[Any, ...]) -> Decoder:
    """Build a decoder that tells a union's members apart: None, tuples and scalars by type, dataclasses by kind."""
    options = [member for member in members if member is not types.NoneType]
    is_optional = len(options) < len(members)
    if len(options) == 1:
        only = _decoder(options[0])
    else:
        lists = [_decoder(member) for member in options if typing.get_origin(member) is tuple]
        scalars = _scalar_decoder(tuple(member for member in options if member in _SCALARS))
        only = _choice_decoder({}, lists[0] if lists else None, scalars)

    def decode(plain: Any, columns: Columns) -> Any:
        return None if plain is None and is_optional else only(plain, columns)

    return decode


def _choice_decoder(by_kind: Mapping[str, Decoder], of_list: Decoder | None, scalars: Decoder) -> Decoder:
    def decode(plain: Any, columns: Columns) -> Any:
        if isinstance(plain, dict) and "kind" in plain:
            kind = _RENAMED_KINDS.get(str(plain["kind"]), str(plain["kind"]))
            if kind not in by_kind:
                raise ValueError(f"its kind is {kind!r}; known: {', '.join(by_kind)}")
            return by_kind[kind](plain, columns)
        if of_list is not None and isinstance(plain, (list, tuple)):
            return of_list(plain, columns)
        return scalars(plain, columns)

    return decode


def _dataclass_decoder(cls: Any) -> Decoder:
    hints = typing.get_type_hints(cls)
    stored = [field for field in dataclasses.fields(cls) if field.init]
    names = [(field.name, _decoder(hints[field.name])) for field in stored]
    absent = {field.name: None for field in stored if not _has_default(field) and _allows_none(hints[field.name])}

    def decode(plain: Any, columns: Columns) -> Any:
        if not isinstance(plain, dict):
            raise ValueError(f"a {type(plain).__name__} stands where a {cls.__name__} belongs")
        values: dict[str, Any] = dict(absent)
        for name, one in names:
            if name not in plain:
                continue
            try:
                values[name] = one(plain[name], columns)
            except ValueError as error:
                raise ValueError(f"{cls.__name__}.{name}: {error}") from error
        try:
            return cls(**values)
        except TypeError as error:  # a field without a default is missing: the message names it
            raise ValueError(str(error)) from error

    return decode


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _allows_none(hint: Any) -> bool:
    return types.NoneType in typing.get_args(hint)
