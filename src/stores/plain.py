"""Convert domain values to plain values (None, bool, int, float, str, list, dict) and back: cattrs, by annotations.

A dataclass becomes a dict of its fields, so a field added to the domain is stored without a change here. Documents of
other builds are read by these rules: a missing field gets its default, else None if its type allows None; an unknown
field is ignored. A new field without a default must therefore allow None. Arrays are not plain: they are returned
separately under their path ("simulation.equity"), and the plain value is `{"column": path}`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

import numpy as np
from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn
from numpy.typing import NDArray

from src.domain.intervals import Interval
from src.domain.signals import ParameterValue
from src.domain.strategy import StrategyParams
from src.stores.pages import is_storable_text
from src.strategies.registry import STORED_PARAMS

Columns = Mapping[str, NDArray[Any]]

KINDS: Final[Mapping[type, str]] = {params: name for name, params in STORED_PARAMS.items()}
"""The strategy's name identifies the type of its parameters in a document."""

_RENAMED_KINDS: Final = {"crossover": "ma_crossover"}
"""Names that strategies had in documents of earlier builds."""

_INT64: Final = range(-(2**63), 2**63)
_UNIONS: Final = (typing.Union, types.UnionType)
_SCALARS: Final = (str, int, float, bool)


def to_plain(value: object, columns: dict[str, NDArray[Any]]) -> Any:
    """Return the plain form of a domain value; its arrays go to `columns` under their paths.

    Raises
    ------
    TypeError
        If the value is of a kind that has no plain form.
    """
    plain = _CONVERTER.unstructure(value)
    for path in _array_paths(typing.cast("typing.Hashable", type(value))):
        _take_column(plain, path, columns)
    return plain


def from_plain(hint: Any, plain: object, columns: Columns) -> Any:
    """Return the domain value of type `hint` that `plain` represents.

    Raises
    ------
    ValueError
        If the plain value does not fit the type; the message names the field.
    """
    for path, column in columns.items():
        plain = _with_column(plain, path.split("."), path, column)
    try:
        return _CONVERTER.structure(plain, hint)
    except BaseValidationError as error:
        raise ValueError("; ".join(transform_error(error, format_exception=_describe_fault))) from error


def prepare(hint: Any) -> None:
    """Generate the functions that convert values of a type, which the first conversion would wait for."""
    _CONVERTER.get_unstructure_hook(hint)
    _CONVERTER.get_structure_hook(hint)


@functools.cache
def _array_paths(kind: Any) -> tuple[tuple[str, ...], ...]:
    """Return the path of each array field of a dataclass and of the dataclasses in it."""
    found: list[tuple[str, ...]] = []
    for name, hint in typing.get_type_hints(kind).items():
        for inner in typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,):
            if typing.get_origin(inner) is np.ndarray:
                found.append((name,))
            elif dataclasses.is_dataclass(inner):
                found += [(name, *path) for path in _array_paths(typing.cast("typing.Hashable", inner))]
    return tuple(found)


def _take_column(plain: dict[str, Any], path: tuple[str, ...], columns: dict[str, NDArray[Any]]) -> None:
    *parents, name = path
    holder: Any = plain
    for parent in parents:
        holder = None if holder is None else holder[parent]
    if holder is not None and isinstance(holder[name], np.ndarray):
        dotted = ".".join(path)
        columns[dotted] = holder[name]
        holder[name] = {"column": dotted}


def _with_column(plain: Any, names: list[str], path: str, column: NDArray[Any]) -> Any:
    if not names:
        return column if plain == {"column": path} else plain
    return {**plain, names[0]: _with_column(plain[names[0]], names[1:], path, column)}


def _describe_fault(error: BaseException, _: type | None) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _write_scalar(value: Any) -> Any:
    # Nearly all values are plain already: checking their exact type first takes half as long.
    kind = type(value)
    if kind is str or kind is bool or (kind is float and math.isfinite(value)):
        return value
    # JSON has no NaN or infinity and BSON no integer above 64 bits: those few are stored with their kind.
    plain = value.value if isinstance(value, Enum) else value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, int) and plain not in _INT64:
        return {"int": str(plain)}
    if isinstance(plain, float) and not math.isfinite(plain):
        return {"float": repr(plain)}
    return plain


def _read_scalar(plain: Any, hint: Any) -> Any:
    """Read the value of a field, which every API can write as JSON: a strategy's own parameters may be any value."""
    value = plain if type(plain) is hint else hint(plain) if issubclass(hint, Enum) else _read_one_of((hint,), plain)
    if isinstance(value, int) and value not in _INT64:
        raise ValueError("a number stands there that 64 bits cannot hold")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} stands where a finite number belongs")
    if isinstance(value, str) and not is_storable_text(value):
        raise ValueError("a text stands there that is not valid Unicode")
    return value


def _read_one_of(allowed: tuple[type, ...], plain: Any) -> Any:
    if isinstance(plain, dict) and len(plain) == 1:
        [(kind, text)] = plain.items()
        if kind in ("int", "float"):
            plain = int(text) if kind == "int" else float(text)
    # A float field may hold a whole number: the domain does not convert, so neither does a document.
    accepted = (*allowed, int) if float in allowed else allowed
    if not isinstance(plain, accepted) or (isinstance(plain, bool) and bool not in allowed):
        names = " or ".join(kind.__name__ for kind in allowed)
        raise ValueError(f"a {type(plain).__name__} stands where a {names} belongs")
    # BSON gives a subclass of int for 64 bits.
    return int(plain) if isinstance(plain, int) and not isinstance(plain, bool) else plain


def _is_mapping(plain: Any) -> bool:
    """Return whether this is a mapping of names, and not a number that JSON or BSON lack (see `_write_scalar`)."""
    return isinstance(plain, dict) and not any(isinstance(value, str) for value in plain.values())


def _read_parameter(plain: Any, _: Any) -> Any:
    if isinstance(plain, (list, tuple)):
        return _CONVERTER.structure(plain, tuple[str, ...])
    if _is_mapping(plain):
        return {name: _read_one_of((int, float), value) for name, value in plain.items()}
    return None if plain is None else _read_one_of(_SCALARS, plain)


def _read_tuple(plain: Any, hint: Any) -> tuple[Any, ...]:
    if not isinstance(plain, (list, tuple)):  # cattrs takes a text for a list of letters
        raise ValueError(f"a {type(plain).__name__} stands where a list belongs")
    [item, _] = typing.get_args(hint)
    return tuple(_CONVERTER.structure(value, item) for value in plain)


def _read_column(column: Any, _: Any) -> NDArray[Any]:
    if not isinstance(column, np.ndarray):
        raise ValueError("its column is missing")
    return column


def _dataclass_reader(cls: Any) -> Callable[[Any, Any], Any]:
    read = make_dict_structure_fn(cls, _CONVERTER)
    hints = typing.get_type_hints(cls)
    required = [item for item in dataclasses.fields(cls) if item.default is item.default_factory is dataclasses.MISSING]
    absent = {item.name: None for item in required if types.NoneType in typing.get_args(hints[item.name])}
    return lambda plain, _: read({**absent, **plain}, cls)


def _params_writer(cls: Any) -> Callable[[Any], dict[str, Any]]:
    write = make_dict_unstructure_fn(cls, _CONVERTER)
    return lambda params: {"kind": KINDS[cls], **write(params)}


def _read_params(plain: Any, _: Any) -> Any:
    kind = _RENAMED_KINDS.get(plain["kind"], plain["kind"])
    if kind not in STORED_PARAMS:
        raise ValueError(f"its kind is {kind!r}; known: {', '.join(STORED_PARAMS)}")
    return _CONVERTER.structure(plain, STORED_PARAMS[kind])


def _is(origin: type) -> Callable[[Any], bool]:
    return lambda hint: (typing.get_origin(hint) or hint) is origin


def _refuse(kind: Any) -> Any:
    raise TypeError(f"a {getattr(kind, '__name__', kind)} has no plain form")


def _build_converter() -> Converter:
    converter = Converter(unstructure_fallback_factory=_refuse)
    for scalar in _SCALARS:
        converter.register_unstructure_hook(scalar, _write_scalar)
        converter.register_structure_hook(scalar, _read_scalar)
    converter.register_unstructure_hook(np.generic, _write_scalar)
    converter.register_unstructure_hook(types.NoneType, lambda none: none)
    converter.register_unstructure_hook(Interval, lambda interval: interval.name)
    converter.register_structure_hook(Interval, lambda name, _: Interval.named(name))
    converter.register_unstructure_hook_func(_is(np.ndarray), lambda column: column)
    converter.register_structure_hook_func(_is(np.ndarray), _read_column)
    converter.register_structure_hook_func(lambda hint: typing.get_args(hint)[1:] == (...,), _read_tuple)
    converter.register_structure_hook_factory(dataclasses.is_dataclass, _dataclass_reader)
    converter.register_unstructure_hook_func(_is(StrategyParams), converter.unstructure)
    converter.register_unstructure_hook_factory(KINDS.__contains__, _params_writer)
    converter.register_structure_hook_func(_is(StrategyParams), _read_params)
    converter.register_structure_hook(ParameterValue, _read_parameter)
    return converter


_CONVERTER: Final = _build_converter()
