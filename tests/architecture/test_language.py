"""Check the words in docstrings and comments, and the form of test names, in the rooms that follow STYLE."""

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
    "api", "bar_cache", "bars", "binance", "concurrency", "datasets", "demo", "domain", "engines", "features", "files",
    "jobs", "judgement", "metrics", "model_formats", "runtime", "sandbox", "service", "settings", "stores",
    "strategies", "tearsheet",
)  # fmt: skip
SUITES = (
    "contracts", "integration", "properties", "scenarios", "security", "unit/api", "unit/bar_cache", "unit/demo",
    "unit/jobs", "unit/judgement", "unit/tearsheet",
)  # fmt: skip
MAX_NAME_WORDS = 9
FORBIDDEN = re.compile(
    r"\b(candles?|farewell|hope|lest|nobody|somebody|whoever|unforeseen|nonsense|ruin(?:ed|ous)?|he|his|him)\b", re.I
)
"""Words of the glossary's right-hand column that have no other meaning here, and persons where there are none."""
REPLACED = re.compile(r"\bcandles?\b|\bputs? out\b|\w*ectorised\b", re.I)
"""Words of the glossary's right-hand column, and British spellings, that messages once had."""
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


def sentences_of(source: str) -> Iterator[str]:
    """Yield every string of more than one word except docstrings, and the parts of f-strings; names in code are cut."""
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    strings = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    for text in (str(node.value) for node in strings if id(node) not in docstrings):
        if " " in text:
            yield re.sub(r"`[^`]*`", "", text)


def modules() -> list[str]:
    folders = [ROOT / "src" / room for room in ROOMS] + [ROOT / "tests" / suite for suite in SUITES]
    files = [
        ROOT / "run.py",
        *(ROOT / "src").glob("*.py"),
        *(file for folder in folders for file in folder.rglob("*.py")),
    ]
    return sorted(str(file.relative_to(ROOT)) for file in files if file.stat().st_size)


def names_of_tests(folder: Path) -> list[str]:
    files = sorted(folder.rglob("test_*.py"))
    return [name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text())]


def test_messages_avoid_words_the_glossary_replaces() -> None:
    found = {
        module: [sentence for sentence in sentences_of((ROOT / module).read_text()) if REPLACED.search(sentence)]
        for module in modules()
        if module.startswith("src/")
    }
    assert {module: sentences for module, sentences in found.items() if sentences} == {}


def test_message_check_reads_parts_of_f_strings() -> None:
    source = (
        'a = f"{n:,} candle{s} missing"\nb = "candles"\nc = "The model puts out labels"\nd = "see `candles` there"\n'
    )
    assert [bool(REPLACED.search(sentence)) for sentence in sentences_of(source)] == [True, False, True, False]


def test_docstrings_and_comments_avoid_forbidden_words() -> None:
    found = {module: forbidden_words((ROOT / module).read_text()) for module in modules()}
    assert {module: words for module, words in found.items() if words} == {}


def test_module_docstring_begins_with_one_sentence() -> None:
    code = [module for module in modules() if not module.startswith("tests/")]
    docstrings = {module: ast.get_docstring(ast.parse((ROOT / module).read_text())) or "" for module in code}
    first_lines = {module: docstring.split("\n")[0] for module, docstring in docstrings.items()}
    assert {module: line for module, line in first_lines.items() if not line.endswith((".", ":"))} == {}


@pytest.mark.parametrize("folder", [*(f"unit/{room}" for room in ROOMS), *SUITES])
def test_names_of_tests_have_no_leading_article(folder: str) -> None:
    found = [name for name in names_of_tests(ROOT / "tests" / folder) if re.match(r"test_(?:a|an|the|what|it)_", name)]
    assert not found


@pytest.mark.parametrize("suite", SUITES)
def test_names_of_tests_are_short(suite: str) -> None:
    found = [name for name in names_of_tests(ROOT / "tests" / suite) if len(name.split("_")) > MAX_NAME_WORDS]
    assert not found


def test_forbidden_words_are_found_in_texts_only() -> None:
    source = '"""A candle."""\n# whoever\nclass A:\n    candle = "candle"\n    """See `candle`; nobody."""\n'
    assert sorted(forbidden_words(source)) == ["candle", "nobody", "whoever"]
