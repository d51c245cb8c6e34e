"""Errors are data: their templates are literals with the gaps that their parts fill."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

from src.domain import errors
from tests.architecture.test_floors import SOURCES, SRC

NAMES = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)} | {
    "BarFileRejected",
    "Template",
    "describe_http_error",
}
NOT_PARTS = {"retry_after_s"}


def constructions(path: Path) -> Iterator[ast.Call]:
    """Yield every call that makes an error of the tree, or a template."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in NAMES and node.args:
                yield node


def literals(node: ast.expr) -> Iterator[str]:
    """Yield the literals that a template may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def template_of(call: ast.Call) -> ast.expr:
    is_edge = isinstance(call.func, ast.Name) and call.func.id == "describe_http_error"
    return call.args[1 if is_edge else 0]


def faults_of_templates(path: Path) -> Iterator[str]:
    """Yield what is wrong with the gaps of the templates in a file, and with the parts that fill them."""
    for call in constructions(path):
        where, template = f"{path.relative_to(SRC)}:{call.lineno}", template_of(call)
        if isinstance(template, ast.JoinedStr | ast.BinOp):
            yield f"{where}: a sentence is put together too early"
        parts = {keyword.arg for keyword in call.keywords}
        if None in parts or (isinstance(call.func, ast.Name) and call.func.id == "Template"):
            continue
        for text in literals(template):
            gaps = {name for _, name, _, _ in string.Formatter().parse(text) if name and not name.startswith("@")}
            if gaps - parts:
                yield f"{where}: nothing fills {gaps - parts}"
            if unused := parts - {"field", "library"} - NOT_PARTS - gaps:
                yield f"{where}: {unused} stand nowhere"


def test_templates_are_literals_whose_gaps_are_filled() -> None:
    assert [fault for path in SOURCES for fault in faults_of_templates(path)] == []


def test_sentences_begin_and_end_as_sentences() -> None:
    for path in SOURCES:
        for call in constructions(path):
            if isinstance(call.func, ast.Name) and call.func.id == "Template":
                continue  # may be a part of a sentence
            for text in literals(template_of(call)):
                where = f"{path.relative_to(SRC)}:{call.lineno}: {text}"
                assert text[0].isupper() or text[0] in "{", where
                assert text[-1] in ".}", where
                assert "; allowed" not in text, where


def test_planted_early_sentence_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("raise errors.InvalidInput(f'{value} is wrong.', field='limit')")
    [call] = constructions(planted)
    assert isinstance(template_of(call), ast.JoinedStr)
