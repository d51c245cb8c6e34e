"""Read JSON from clients with orjson, but reject an object that has one name twice.

RFC 8259 (section 4) leaves open what such an object means. Parsers silently keep the last value, so the first one would
be ignored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import orjson

from src.domain.errors import MalformedRequest


def read_json(content: bytes) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    MalformedRequest
        If it is not JSON, or an object in it has one name twice; the message names it.
    """
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest("The body is not JSON: {reason}.", reason=str(error)) from error
    check_names(content)
    return value


def check_names(content: bytes | str) -> None:
    """Raise MalformedRequest if an object of a JSON text, which orjson has read, has one name twice."""
    try:
        _SCANNER.decode(content if isinstance(content, str) else content.decode())
    except RecursionError as error:
        raise MalformedRequest("The body is nested too deeply.") from error


def _check_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    if len(dict(pairs)) == len(pairs):
        return
    counts = Counter(name for name, _ in pairs)
    twice = next(name for name, count in counts.items() if count > 1)
    raise MalformedRequest("An object in the body has the name {name!r} twice. Allowed: once.", name=twice)


_SCANNER: Final = json.JSONDecoder(object_pairs_hook=_check_pairs)
