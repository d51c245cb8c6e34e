"""Describe what is wrong with a rule, and where: line, column and a caret under the text."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from src.domain.error_text import Template
from src.domain.errors import InvalidRule

_INDENT: Final = "    "
_MAX_SHOWN: Final = 60
"""Characters of the line that are shown on each side of the fault."""


@dataclass(frozen=True, slots=True)
class Source:
    """A rule's text, and the field of the request that holds it."""

    text: str
    field: str

    def fault(self, at: int, problem: str, **parts: object) -> InvalidRule:
        """Build the error for a fault at a character; `problem` is a template of sentences."""
        line, column = self.place_of(at)
        return InvalidRule(
            "{field}, line {line}, column {column}: {problem}\n{excerpt}",
            field=self.field, line=line, column=column,
            problem=Template(problem, parts), excerpt=self._excerpt(at),
        )  # fmt: skip

    def note(self, at: int, problem: str, **parts: object) -> str:
        """Return a warning about valid text at a character that the client probably did not mean."""
        line, column = self.place_of(at)
        return f"{self.field}, line {line}, column {column}: {Template(problem, parts)}"

    def place_of(self, at: int) -> tuple[int, int]:
        """Return line and column of a character, both from 1."""
        start = self.text.rfind("\n", 0, at) + 1
        return self.text.count("\n", 0, at) + 1, at - start + 1

    def _excerpt(self, at: int) -> str:
        """Return the line around a character, and a caret below it."""
        start = self.text.rfind("\n", 0, at) + 1
        stop = self.text.find("\n", at)
        first = max(start, at - _MAX_SHOWN)
        last = min(len(self.text) if stop < 0 else stop, at + _MAX_SHOWN)
        shown = "".join(map(_visible, self.text[first:last]))
        head, tail = "…" if first > start else "", "…" if last < (len(self.text) if stop < 0 else stop) else ""
        return f"{_INDENT}{head}{shown}{tail}\n{_INDENT}{' ' * (len(head) + at - first)}^"


def _visible(char: str) -> str:
    """Return a character that takes one place on a screen, so that the caret points where it should."""
    if char.isspace():
        return " "
    is_plain = char.isprintable() and not unicodedata.combining(char) and unicodedata.east_asian_width(char) not in "WF"
    return char if is_plain else "�"


_MEANT: Final = {
    **dict.fromkeys(("ma", "average", "mean", "moving_average"), "sma"),
    **dict.fromkeys(("bbands", "bollinger", "bollinger_upper"), "bb_upper"),
    **dict.fromkeys(("crossunder", "cross_under"), "crosses_below"),
    **dict.fromkeys(("change", "pct_change", "rate_of_change"), "roc"),
    **dict.fromkeys(("dow", "dayofweek", "day_of_week", "monday"), "weekday"),
    "bollinger_lower": "bb_lower", "momentum": "mom", "price": "close", "stochastic": "stoch_k",
}  # fmt: skip
"""Other platforms' words for known names that similarity of letters misses or confuses."""


def similar_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a client may have meant; None if none is similar."""
    names, lowered = list(known), name.lower()
    if _MEANT.get(lowered) in names:
        return _MEANT[lowered]
    found = difflib.get_close_matches(lowered, names, n=1, cutoff=0.6)
    return found[0] if found else None
