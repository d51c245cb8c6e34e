"""docs/rules.md says what the code does: grammar, names, the ten rules, the error shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from src.domain.errors import InvalidRule
from src.indicators.registry import INDICATORS
from src.strategies.rules.compiling import Compiler
from src.strategies.rules.grammar import GRAMMAR
from src.strategies.rules.vocabulary import COLUMNS, FUNCTIONS, signature_of
from tests.unit.strategies.rules.ten_rules import TEN_RULES

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], maxsplit=1, flags=re.M)[0]


def rows_of(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_page_has_the_grammar_of_the_parser() -> None:
    assert f"```lark\n{GRAMMAR.strip()}\n```" in PAGE


def test_page_lists_every_column_function_and_indicator() -> None:
    assert rows_of("Columns") == [[f"`{name}`", meaning] for name, meaning in COLUMNS.items()]
    assert rows_of("Functions") == [[f"`{written}`", meaning] for written, meaning in FUNCTIONS.values()]
    assert rows_of("Indicators") == [
        [f"`{signature_of(name)}`", item.meaning.replace("|", "∣"), item.formula.replace("|", "∣")]
        for name, item in INDICATORS.items()
    ]


def test_page_has_the_ten_rules_that_are_tested() -> None:
    blocks = re.findall(r"### ([^\n]+)\n\n```text\n(.+?)\n```", section("Ten rules"), re.S)
    assert [title for title, _ in blocks] == list(TEN_RULES)
    for title, block in blocks:
        known = TEN_RULES[title]
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        numbers = lines.pop("parameters", "")
        assert lines == known.rules
        assert dict(re.findall(r"(\w+) = (\w+)", numbers)) == {name: str(one) for name, one in known.parameters.items()}


def test_page_shows_an_error_as_it_is() -> None:
    [shown] = re.findall(r"```text\n(buy, line .+?)\n```", section("Limits and errors"), re.S)
    with pytest.raises(InvalidRule) as caught:
        Compiler({}).add_rule("rsi(1.5) < 30", "buy")
    assert caught.value.message == shown
