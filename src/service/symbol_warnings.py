"""Group the warnings about several symbols, so that many of one kind do not hide the others.

1. Equal texts are one warning, which begins with the names of its symbols unless it names the only one itself.
2. If more than three symbols have texts of one kind (`SymbolWarning`), the first text is given, and the names of the
   other symbols.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from src.domain.market import SymbolWarning

MAX_NAMED: Final = 5
MAX_WHOLE: Final = 3
"""If no more symbols have warnings of one kind, all of these are given."""


def group_warnings(found: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield the warnings of symbols, given as pairs of symbol and text, in the order of their first ones."""
    texts: dict[str, list[str]] = {}
    kinds: dict[str, list[str]] = {}
    for symbol, text in found:
        symbols = texts.setdefault(text, [])
        if symbol not in symbols:
            symbols.append(symbol)
        same = kinds.setdefault(text.kind if isinstance(text, SymbolWarning) and text.kind else text, [])
        if text not in same:
            same.append(text)
    for same in kinds.values():
        symbols = list(dict.fromkeys(symbol for text in same for symbol in texts[text]))
        first = texts[same[0]]
        if len(same) == 1 or len(symbols) <= MAX_WHOLE:
            yield from (_begin_with_names(text, texts[text]) for text in same)
        else:
            others = [symbol for symbol in symbols if symbol not in first]
            more = f"{len(others)} more symbol{'s have' if len(others) > 1 else ' has'} a warning of this kind"
            yield f"{_begin_with_names(same[0], first)} {more}: {_list_names(others)}."


def _begin_with_names(text: str, symbols: Sequence[str]) -> str:
    return str(text) if len(symbols) == 1 and symbols[0] in text else f"{_list_names(symbols)}: {text}"


def _list_names(symbols: Sequence[str]) -> str:
    """Return "A, B, C, D, E and 45 more"."""
    more = len(symbols) - MAX_NAMED
    return ", ".join(symbols[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
