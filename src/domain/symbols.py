"""Trading symbols: which texts are symbols, and the one spelling of each."""

from __future__ import annotations

import re
import string
import unicodedata
from typing import Final

from src.domain.errors import bad_value

MAX_SYMBOL_LENGTH: Final = 32
_INVISIBLE_LETTERS: Final = "\u115f\u1160\u3164\uffa0"
"""Hangul fillers: letters in Unicode, but invisible."""
_INVISIBLE_MARKS: Final = frozenset(
    map(chr, (0x034F, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
"""Marks that Unicode calls default-ignorable: joiners, variation selectors, inherent vowels."""
_FIRST: Final = r"[\p{L}\p{Nd}]"
_LATER: Final = r"[\p{L}\p{M}\p{Nd}]"
SYMBOL_PATTERN: Final = rf"^(?:{_FIRST}{_LATER}{{0,{MAX_SYMBOL_LENGTH - 1}}}|{_FIRST}{_LATER}*[/-]{_FIRST}{_LATER}*)$"
"""What `normalize_symbol` allows, as a regular expression of JSON Schema (ECMA-262 with the flag u).

It needs `MAX_SYMBOL_TEXT_LENGTH` and `NOT_IN_SYMBOLS_PATTERN` beside it; blanks around the symbol are allowed as
well. The exceptions stand apart, because generators of examples cannot subtract from a class of letters."""
NOT_IN_SYMBOLS_PATTERN: Final = (
    r"[\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u180b-\u180d\u180f\ufe00-\ufe0f"
    "\U000e0100-\U000e01ef"  # themselves: engines disagree on how such characters are escaped
    r"\u0488\u0489\u1abe\u20dd-\u20e0\u20e2-\u20e4\ua670-\ua672]"
)
"""Characters that `SYMBOL_PATTERN` allows but no symbol has: invisible letters and marks, enclosing marks (Me)."""
MAX_SYMBOL_TEXT_LENGTH: Final = MAX_SYMBOL_LENGTH + 1
"""A symbol and one separator."""
_MAX_SYMBOL_INPUT: Final = 200
_SYMBOL_CATEGORIES: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"})
_MARK_CATEGORIES: Final = frozenset({"Mn", "Mc"})
_ASCII_UPPER: Final = {ord(letter): letter.upper() for letter in string.ascii_lowercase}


def normalize_symbol(symbol: str, *, field: str = "symbol") -> str:
    """Return the exchange's spelling of a symbol: `btcusdt`, `BTC/USDT` and `BTC-USDT` are all `BTCUSDT`.

    Letters and digits may be of any script (币安人生USDT), with their marks (हिन्दीUSDT). Only ASCII letters become
    upper case, as an exchange's rule for others is unknown. Composed and decomposed spellings are one symbol, in
    Unicode's NFC.

    Raises InvalidInput if the symbol, without one separating / or -, is not 1 to 32 letters and digits with marks.
    """
    parts = re.split("[/-]", symbol.strip()) if len(symbol) <= _MAX_SYMBOL_INPUT else []
    name = "".join(parts)
    if len(parts) <= 2 and is_symbol(name) and all(is_symbol(part) for part in parts):
        # Upper case can create pairs that have a composed form: I with a dot above has one, i has none.
        composed = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).translate(_ASCII_UPPER))
        if is_symbol(composed):  # a few composed letters have a longer NFC
            return composed
    allowed = f"1 to {MAX_SYMBOL_LENGTH} letters and digits, such as BTCUSDT, BTC/USDT or BTC-USDT"
    raise bad_value(field, got=symbol, allowed=allowed)


def is_symbol(text: str) -> bool:
    """Return whether a text is 1 to 32 letters and digits of any script with their marks, and nothing invisible."""
    return (
        1 <= len(text) <= MAX_SYMBOL_LENGTH
        and not _is_mark(text[0])
        and all(_is_letter_or_digit(char) or _is_mark(char) for char in text)
    )


def _is_letter_or_digit(char: str) -> bool:
    return unicodedata.category(char) in _SYMBOL_CATEGORIES and char not in _INVISIBLE_LETTERS


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in _MARK_CATEGORIES and char not in _INVISIBLE_MARKS
