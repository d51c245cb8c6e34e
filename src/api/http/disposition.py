"""Read the names in a form part's Content-Disposition field."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from python_multipart.multipart import parse_options_header

_PARAMETER: Final = re.compile(r";\s*(?P<name>[^\s=;\"]+)\s*=\s*(?P<value>\"(?:[^\"\\]|\\.)*\"|[^;]*)")
_CHARSETS: Final = frozenset({"utf-8", "iso-8859-1"})


class PartNames(NamedTuple):
    """A part's field name and file name, as the client wrote them; None if there is none.

    A file's part may have an empty file name, or one that cannot be decoded (which counts as empty).
    """

    field: str | None
    filename: str | None


def read_disposition(header: str | bytes | None) -> PartNames:
    """Read the names that the client gave.

    RFC 7578 forbids `filename*` (RFC 8187: `UTF-8''m%C3%B6del.pkl`) in forms, but some clients send only that for names
    beyond ASCII. It counts only if there is no `filename`, so that parsers that ignore it read the same name.
    """
    _, options = parse_options_header(header)
    field, filename = options.get(b"name"), options.get(b"filename")
    return PartNames(
        field=None if field is None else field.decode("utf-8", "replace"),
        filename=_extended_filename(header) if filename is None else filename.decode("utf-8", "replace"),
    )


def _extended_filename(header: str | bytes | None) -> str | None:
    text = header.decode("latin-1") if isinstance(header, bytes) else header or ""
    for parameter in _PARAMETER.finditer(text):
        if parameter["name"].lower() == "filename*":
            return _decode_extended(parameter["value"].strip().strip('"'))
    return None


def _decode_extended(value: str) -> str:
    """Return the text of an extended value; empty if its character set is unknown or does not fit its bytes."""
    charset, first, rest = value.partition("'")
    _, second, encoded = rest.partition("'")
    if not (first and second) or charset.lower() not in _CHARSETS:
        return ""
    try:
        return unquote(encoded, encoding=charset, errors="strict")
    except UnicodeDecodeError:
        return ""
