"""Warnings about several symbols: equal ones, and many of one kind, are one sentence that names the symbols."""

from __future__ import annotations

import pickle

from src.domain.market import SymbolWarning
from src.service.symbol_warnings import group_warnings

NAMES = tuple(f"{letter}{letter}" for letter in "ABCDEFGH")


def gap(symbol: str) -> tuple[str, str]:
    return symbol, SymbolWarning(f"{symbol} has {ord(symbol[0])} gaps.", "gaps")


def test_few_warnings_of_a_kind_stay_as_they_are() -> None:
    assert list(group_warnings([gap(name) for name in NAMES[:3]])) == [
        "AA has 65 gaps.",
        "BB has 66 gaps.",
        "CC has 67 gaps.",
    ]


def test_many_warnings_of_a_kind_name_their_symbols() -> None:
    assert list(group_warnings([gap(name) for name in NAMES])) == [
        "AA has 65 gaps. 7 more symbols have a warning of this kind: BB, CC, DD, EE, FF and 2 more."
    ]
    # Several texts about one symbol are not of several symbols.
    jumps = [("AA", SymbolWarning(f"AA jumps {number} times.", "jumps")) for number in range(5)]
    assert list(group_warnings(jumps)) == [text for _, text in jumps]


def test_equal_texts_name_all_their_symbols() -> None:
    assert list(group_warnings([(name, "a hole") for name in NAMES[:2]])) == ["AA, BB: a hole"]
    assert list(group_warnings([(name, "a hole") for name in NAMES])) == ["AA, BB, CC, DD, EE and 3 more: a hole"]
    assert list(group_warnings([("AA", "a hole"), ("AA", "a hole")])) == ["AA: a hole"]


def test_text_that_names_its_symbol_is_not_prefixed() -> None:
    assert list(group_warnings([("AA", "AA has a hole."), ("BB", "BB has a hole.")])) == [
        "AA has a hole.",
        "BB has a hole.",
    ]


def test_kind_of_a_warning_survives_pickling() -> None:
    found = pickle.loads(pickle.dumps(SymbolWarning("AA has a gap.", "gaps")))
    assert (found, found.kind) == ("AA has a gap.", "gaps")
