"""Write JSON in the one form of RFC 8785, so that equal documents have equal bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Final

MAX_WHOLE_NUMBER: Final = 2**53 - 1
"""RFC 8785 writes numbers as doubles, which are exact up to here."""


def canonical_json(value: object) -> bytes:
    """Return a JSON value in canonical form.

    Raises ValueError for NaN, infinity, whole numbers over 2⁵³ − 1, lone surrogates and values that are no JSON.
    """
    return _write(value).encode()


def _write(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        # `str` itself, because an enum's member would otherwise be written by its own rules.
        return json.dumps(str.__str__(value), ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > MAX_WHOLE_NUMBER:
            raise ValueError(f"{value} is not exact as a double")
        return str(int(value))
    if isinstance(value, float):
        return _write_float(float(value))
    if isinstance(value, Mapping):
        # RFC 8785 sorts by UTF-16 code units.
        names = sorted(value, key=lambda name: str(name).encode("utf-16-be"))
        return "{" + ",".join(f"{_write_name(name)}:{_write(value[name])}" for name in names) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return "[" + ",".join(map(_write, value)) + "]"
    raise ValueError(f"{type(value).__name__} is no JSON value")


def _write_name(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError(f"the member name {name!r} is not text")
    return _write(name)


def _write_float(value: float) -> str:
    """Write a double as ECMAScript does: with the fewest digits that are read as the same double."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    digits, exponent = _shortest_digits(abs(value))
    point = exponent + 1
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{exponent:+d}"


def _shortest_digits(value: float) -> tuple[str, int]:
    """Return the significant digits of a positive double, and the exponent of the first."""
    mantissa, _, power = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    leading = len(digits) - len(digits.lstrip("0"))
    return digits.strip("0"), int(power or 0) + len(whole) - 1 - leading
