"""Build texts for clients from what a sandboxed child sends: codes of the catalog and checked parts, no free text.

A model file that controls its child can choose any code and any parts. A part is a number, one short word, or a
quotation marked as the file's own, so a file cannot forge messages of the service.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from src.domain.error_text import FieldName, Piece, Text
from src.domain.signals import OutputKind
from src.model_formats.catalog import CATALOG
from src.model_formats.hostile_text import clean

MAX_QUOTED: Final = 300
_MAX_LABEL: Final = 40
_MAX_WORD: Final = 60
_MAX_WORDS: Final = 10
_MAX_NUMBER: Final = 10**15
_MAX_SENTENCES: Final = 4
_NOT_IN_A_WORD: Final = re.compile(r"[^\w.()<>\[\]/:+|=-]")
_INSTALLED: Final = "installed"
_FIELD_MARK: Final = "@"

Item = tuple[str, Mapping[str, Any]]
"""A code and its parts."""


class NoSentence(ValueError):
    """A code that is not in the catalog, or parts that do not fit it; the message is for the log."""


class Sentences(str, Text):
    """Text for a client, with the codes and parts that it was made of; as `str` it has the fields' declared names."""

    __slots__ = ("items",)
    items: tuple[Item, ...]

    def pieces(self) -> tuple[Piece, ...]:
        return _pieces(self.items)


def sentence(code: str, **parts: Any) -> Sentences:
    """Return a sentence of the catalog.

    Raises NoSentence if there is none with that code, or the parts are not those of its gaps.
    """
    return _of((code, parts))


def join(*texts: Sentences) -> Sentences:
    """Return texts one after the other."""
    return _of(*(item for text in texts for item in text.items))


def to_plain(text: str) -> list[list[Any]]:
    """Return what a child sends instead of a text; a text outside the catalog becomes a quotation."""
    items = text.items if isinstance(text, Sentences) else sentence("said", said=text[:MAX_QUOTED]).items
    return [[code, dict(parts)] for code, parts in items]


def from_plain(plain: object) -> Sentences:
    """Read what a hostile child may have sent.

    Raises NoSentence if it is anything but codes and parts of the catalog.
    """
    if not isinstance(plain, list) or not 1 <= len(plain) <= _MAX_SENTENCES:
        raise NoSentence("not a short list of sentences")
    items: list[Item] = []
    for item in plain:
        match item:
            case [str() as code, dict() as parts]:
                items.append((code, parts))
            case _:
                raise NoSentence("not a code and its parts")
    return _of(*items)


def word(value: object) -> str:
    """Return one short word; characters that a name or version never has become underscores."""
    text = clean(value, _MAX_WORD)
    if not text:
        raise NoSentence("a word is missing")
    return _NOT_IN_A_WORD.sub("_", text)


def _of(*items: Item) -> Sentences:
    text = Sentences("".join(piece.name if isinstance(piece, FieldName) else piece for piece in _pieces(items)))
    text.items = items
    return text


def _pieces(items: Sequence[Item]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for code, parts in items:
        pieces += [*([" "] if pieces else []), *_fill_template(code, parts)]
    return tuple(pieces)


def _fill_template(code: str, parts: Mapping[str, Any]) -> list[Piece]:
    if code not in CATALOG:
        raise NoSentence("an unknown code")
    template = list(string.Formatter().parse(CATALOG[code]))
    gaps = {name: kind or "" for _, name, kind, _ in template if name is not None and not name.startswith(_FIELD_MARK)}
    if parts.keys() != {name for name, kind in gaps.items() if kind != _INSTALLED}:
        raise NoSentence(f"other parts than those of {code}")
    filled = {name: _fill(kind, name, parts.get(name)) for name, kind in gaps.items()}
    pieces: list[Piece] = []
    for text, name, _, _ in template:
        pieces.append(text)
        if name is not None:
            pieces.append(filled[name] if name in filled else FieldName(name.removeprefix(_FIELD_MARK)))
    return pieces


def _fill(kind: str, name: str, value: object) -> str:
    return _installed(name) if kind == _INSTALLED else KINDS[kind](value)


@functools.cache
def _installed(library: str) -> str:
    try:
        return importlib.metadata.version(library.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _number(value: object) -> str:
    if type(value) is not int or abs(value) > _MAX_NUMBER:
        raise NoSentence("no number")
    return str(value)


def _quoted(value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise NoSentence("no text")
    return '"' + clean(value, longest).replace('"', "'") + '"'


def _quote(value: object) -> str:
    return _quoted(value, MAX_QUOTED)


def _label(value: object) -> str:
    return _quoted(value, _MAX_LABEL)


def _shape(value: object) -> str:
    sizes = _list(value)
    return " × ".join("any" if size is None else _number(size) for size in sizes) or "no dimension"


def _kind(value: object) -> str:
    if value not in OutputKind.__members__.values():
        raise NoSentence("no output kind")
    return OutputKind(str(value)).value


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise NoSentence("no list")
    return value[:_MAX_WORDS]


KINDS: Final[Mapping[str, Callable[[object], str]]] = {
    "number": _number,
    "word": word,
    "words": lambda value: ", ".join(word(item) for item in _list(value)),
    "label": _label,
    "labels": lambda value: ", ".join(_label(item) for item in _list(value)),
    "quote": _quote,
    "shape": _shape,
    "kind": _kind,
}
"""How each kind of part is checked and shown; raises NoSentence."""
