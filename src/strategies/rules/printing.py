"""Write a tree as text: one space around operators, and only the brackets that the tree needs."""

from __future__ import annotations

from typing import Final

from src.strategies.rules.tree import (
    Arithmetic,
    Call,
    Column,
    Comparison,
    Earlier,
    Logic,
    Negative,
    Node,
    Not,
    Number,
    Parameter,
)

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _VALUE = range(8)
_LOGIC: Final = {"or": _OR, "and": _AND}
_LEVELS: Final = {Not: _NOT, Comparison: _COMPARISON, Negative: _SIGN}


def print_rule(tree: Node) -> str:
    """Return the text of a tree; parsing it gives an equal tree."""
    match tree:
        case Number(value):
            text = _print_number(value)
        case Parameter(name):
            text = f"{{{name}}}"
        case Column(name):
            text = name
        case Call(name, arguments):
            text = f"{name}({', '.join(map(print_rule, arguments))})"
        case Earlier(value, bars):
            text = f"{_print_within(value, _VALUE)}[{print_rule(bars)}]"
        case Negative(value):
            text = f"-{_print_within(value, _SIGN)}"
        case Not(value):
            text = f"not {_print_within(value, _NOT)}"
        case Logic(operator, items):
            text = f" {operator} ".join(_print_within(item, _LOGIC[operator] + 1) for item in items)
        case Comparison(operator, left, right):
            text = f"{_print_within(left, _SUM)} {operator} {_print_within(right, _SUM)}"
        case Arithmetic(operator, left, right):
            # Operators of one level associate to the left.
            level = _level(tree)
            text = f"{_print_within(left, level)} {operator} {_print_within(right, level + 1)}"
        case _:
            raise TypeError(f"{type(tree).__name__} has no text")
    return text


def _print_within(tree: Node, level: int) -> str:
    """Return the text of a part, in brackets if it binds less than `level`."""
    text = print_rule(tree)
    return f"({text})" if _level(tree) < level else text


def _level(tree: Node) -> int:
    """Return how strongly a tree's outermost operator binds."""
    if isinstance(tree, Logic):
        return _LOGIC[tree.operator]
    if isinstance(tree, Arithmetic):
        return _SUM if tree.operator in "+-" else _PRODUCT
    return _LEVELS.get(type(tree), _VALUE)


def _print_number(value: float) -> str:
    """Return the shortest text that parses to this number."""
    return str(int(value)) if value == int(value) and value < 1e16 else repr(float(value))
