"""Reject text that cannot be a rule before it is parsed: too long, empty, hostile characters, deep brackets."""

from __future__ import annotations

import unicodedata
from typing import Final

from src.domain.errors import InvalidRule
from src.strategies.rules.faults import Source

MAX_CHARACTERS: Final = 2_000
MAX_DEPTH: Final = 32
"""The maximum depth of brackets, and of the tree."""

_ALLOWED: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,+-*/%<>=!()[]{} \t\r\n")
_OPENING: Final = frozenset("([{")
_CLOSING: Final = {")": "(", "]": "[", "}": "{"}

_LOOK_ALIKES: Final = dict(
    zip(
        "аеорсухіјѕԁһԛԝАВЕКМНОРСТХІЈЅαορνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ−–—×÷",
        "aeopcyxijsdhqwABEKMHOPCTXIJSaopvABEZHIKMNOPTYX---*/",
        strict=True,
    )
)
"""Cyrillic and Greek letters and mathematical signs, with the ASCII text that they resemble."""

_MEANINGS: Final = {
    "#": "Rules have no comments.",
    "&": "Write and.",
    "|": "Write or.",
    "≤": "Write <=.",
    "≥": "Write >=.",
    "≠": "Write !=.",
    "'": "Rules have no text.",
    '"': "Rules have no text.",
    ";": "A rule is one condition: join several by and, or.",
    "^": "Rules have no powers: write x * x.",
}


def check_text(source: Source) -> None:
    """Raise InvalidRule if the text cannot be a rule; takes time in proportion to its length, up to the maximum."""
    text = source.text
    if len(text) > MAX_CHARACTERS:
        problem = "The rule has {count:,} characters. Maximum: {most:,}."
        raise source.fault(MAX_CHARACTERS, problem, count=len(text), most=MAX_CHARACTERS)
    if not text.strip():
        raise source.fault(0, "The rule is empty. Write a condition, such as rsi(14) < 30, or leave the field out.")
    if not _ALLOWED.issuperset(text):
        raise _refuse_character(source, *next((at, char) for at, char in enumerate(text) if char not in _ALLOWED))
    _check_brackets(source)


def _refuse_character(source: Source, at: int, char: str) -> InvalidRule:
    name = unicodedata.name(char, "a control character" if unicodedata.category(char) == "Cc" else "no name")
    plain = _LOOK_ALIKES.get(char) or unicodedata.normalize("NFKC", char)
    hint = _MEANINGS.get(char, "")
    if not hint and len(plain) == 1 and plain in _ALLOWED and plain.strip():
        hint = f"Did you mean {plain}?"
    problem = "{got!r} (U+{code:04X}, {name}) is no character of rules.{hint} Allowed: letters a to z, digits, {signs}."
    signs = "_ . , + - * / % < > = ! ( ) [ ] { }"
    return source.fault(at, problem, got=char, code=ord(char), name=name, hint=hint and f" {hint}", signs=signs)


def _check_brackets(source: Source) -> None:
    opened: list[int] = []
    for at, char in enumerate(source.text):
        if char in _OPENING:
            opened.append(at)
            if len(opened) > MAX_DEPTH:
                raise source.fault(at, "Brackets are nested more than {most} deep.", most=MAX_DEPTH)
        elif char in _CLOSING:
            if not opened:
                raise source.fault(at, "{got!r} closes no bracket.", got=char)
            if source.text[opened[-1]] != _CLOSING[char]:
                line, column = source.place_of(opened[-1])
                problem = "{got!r} does not close {bracket!r} of line {line}, column {column}."
                raise source.fault(
                    at, problem, got=char, bracket=source.text[opened[-1]], line=line, column=column
                )  # fmt: skip
            opened.pop()
    if opened:
        raise source.fault(opened[-1], "{got!r} is never closed.", got=source.text[opened[-1]])
