"""The words that STYLE forbids in docstrings and comments, and the form of test names, in the rooms written by it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    "bars", "binance", "concurrency", "datasets", "domain", "engines", "features", "files", "metrics",
    "model_formats", "runtime", "sandbox", "service", "stores", "strategies",
)  # fmt: skip
FORBIDDEN = re.compile(
    r"\b(candles?|farewell|hope|lest|nobody|somebody|whoever|unforeseen|nonsense|ruin(?:ed|ous)?|he|his|him)\b", re.I
)
"""Words of the glossary's right-hand column that have no other meaning here, and persons where there are none."""
CODE = re.compile(r"`[^`]*`|^ *[a-z_, ]+$", re.M)
"""Names in code, and the lines of parameter names in docstrings."""


def texts_of(source: str) -> Iterator[str]:
    """Yield every docstring, attribute docstring and comment."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def forbidden_words(source: str) -> list[str]:
    """Return the forbidden words in the docstrings and comments of a module."""
    return [found[0] for text in texts_of(source) for found in FORBIDDEN.finditer(CODE.sub("", text))]


def modules() -> list[str]:
    return sorted(str(file.relative_to(ROOT)) for room in ROOMS for file in (ROOT / "src" / room).rglob("*.py"))


@pytest.mark.parametrize("module", modules())
def test_docstrings_and_comments_avoid_forbidden_words(module: str) -> None:
    assert forbidden_words((ROOT / module).read_text()) == []


@pytest.mark.parametrize("module", modules())
def test_module_docstring_begins_with_one_sentence(module: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / module).read_text())) or ""
    assert docstring.split("\n")[0].endswith((".", ":")), f"{module}: {docstring[:80]!r}"


@pytest.mark.parametrize("room", ROOMS)
def test_names_of_tests_have_no_leading_article(room: str) -> None:
    for file in sorted((ROOT / "tests" / "unit" / room).rglob("test_*.py")):
        names = re.findall(r"def (test_(?:a|an|the|what|it)_\w+)\(", file.read_text())
        assert not names, f"{file.relative_to(ROOT)}: {', '.join(names)}"


def test_forbidden_words_are_found_in_texts_only() -> None:
    source = '"""A candle."""\n# whoever\nclass A:\n    candle = "candle"\n    """See `candle`; nobody."""\n'
    assert sorted(forbidden_words(source)) == ["candle", "nobody", "whoever"]
