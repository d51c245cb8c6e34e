"""Sentences for clients as data: a template and its parts, rendered once the API's spelling of fields is known.

A template is a literal of our code. Its gaps:

    {name}      a part: a field's name in the API's spelling, a number, a list joined by commas, or text of ours
    {name:,}    the same in a format of Python's
    {name!r}    what a client, a file or another server sent: quoted, escaped and shortened (`quote`)
    {@limit}    the name of the field `limit` (camelCase, as GraphQL declares it) in the API's spelling

Only gaps are ever replaced, so a value that looks like a field's name or like a gap is not changed.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import islice
from typing import Final, TypeAlias

MAX_QUOTED: Final = 80
"""Characters of a quotation, without its quotation marks."""

_MAX_LISTED: Final = 20
_MAX_LISTED_NAME: Final = 40
_ELLIPSIS: Final = "…"

Spelling: TypeAlias = Callable[[str], str]
"""Returns how an API spells a field's declared name."""


@dataclass(frozen=True, slots=True)
class FieldName:
    """The declared name of a field (camelCase); each API spells it in its own way."""

    name: str


Piece: TypeAlias = str | FieldName


class Text:
    """A sentence whose field names are still to be spelled."""

    __slots__ = ()

    def pieces(self) -> tuple[Piece, ...]:
        """Return the sentence in pieces: text as it is, and the names of fields."""
        raise NotImplementedError

    def render(self, spell: Spelling) -> str:
        """Return the sentence with the field names of one API."""
        return "".join(spell(piece.name) if isinstance(piece, FieldName) else piece for piece in self.pieces())


class Template(Text):
    """A template and its parts; `str` gives the sentence with the fields' declared names, for logs."""

    __slots__ = ("parts", "template")

    def __init__(self, template: str, parts: Mapping[str, object]) -> None:
        self.template: Final = template
        self.parts: Final = parts

    def pieces(self) -> tuple[Piece, ...]:
        pieces: list[Piece] = []
        for literal, name, spec, conversion in string.Formatter().parse(self.template):
            if literal:
                pieces.append(literal)
            if name is None:
                continue
            value = FieldName(name[1:]) if name.startswith("@") else self.parts[name]
            pieces += [quote(value)] if conversion == "r" else _pieces_of(value, spec or "")
        return tuple(pieces)

    def __str__(self) -> str:
        return self.render(str)

    def __repr__(self) -> str:
        return repr(str(self))


class Written(Text):
    """A sentence that is in pieces already, such as one that another process wrote."""

    __slots__ = ("_pieces",)

    def __init__(self, *pieces: Piece) -> None:
        self._pieces: Final = pieces

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces

    def __str__(self) -> str:
        return self.render(str)


def quote(value: object, *, longest: int = MAX_QUOTED) -> str:
    """Return a foreign value for a sentence: in quotation marks if it is text, escaped, and not too long.

    JSON's names are used, such as null and true: clients need not know Python's.
    """
    if isinstance(value, Enum):
        value = value.value
    written = _write(value, longest=longest)
    mark = written[0] if isinstance(value, str) else ""
    if len(written) <= longest + 2 * len(mark):
        return written
    return written[: longest + len(mark)] + _ELLIPSIS + mark


_WORDS: Final[Mapping[object, str]] = {None: "null", True: "true", False: "false"}
_MAX_QUOTED_DEPTH: Final = 8


def _write(value: object, *, longest: int, depth: int = 0) -> str:
    """Return a value as text; a long one is cut to slightly more than `longest` characters."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, str):
        return repr(value[: longest + 1])  # only the beginning of a long text is escaped
    if isinstance(value, float):
        return repr(float(value))  # numpy's floats name their type
    return _write_container(value, longest, depth) if isinstance(value, (dict, list)) else repr(value)


def _write_container(value: dict[object, object] | list[object], longest: int, depth: int) -> str:
    if depth == _MAX_QUOTED_DEPTH:
        return _ELLIPSIS
    write = partial(_write, longest=longest, depth=depth + 1)
    if isinstance(value, list):
        return f"[{', '.join(map(write, value[:longest]))}]"
    fields = islice(value.items(), longest)
    return f"{{{', '.join(f'{write(name)}: {write(item)}' for name, item in fields)}}}"


def quote_all(values: Iterable[object]) -> str:
    """Return foreign names for a sentence: the first few, each as `quote` gives it but shorter."""
    names = list(values)
    quoted = ", ".join(quote(name, longest=_MAX_LISTED_NAME) for name in names[:_MAX_LISTED])
    return quoted if len(names) <= _MAX_LISTED else f"{quoted} and {len(names) - _MAX_LISTED} more"


def _pieces_of(value: object, spec: str) -> list[Piece]:
    if isinstance(value, FieldName):
        return [value]
    if isinstance(value, Text):
        return list(value.pieces())
    if isinstance(value, (tuple, list)):
        pieces: list[Piece] = []
        for item in value:
            pieces += [*([", "] if pieces else []), *_pieces_of(item, spec)]
        return pieces
    return [format(value, spec)]
