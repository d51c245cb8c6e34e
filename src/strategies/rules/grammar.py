"""The grammar of rules, and the parser that lark makes of it (LALR).

`parsing` imports this module at the first rule: lark takes 0.1 s to import, and the parser as long to build. The lexer
does not depend on the context, so `and`, `or` and `not` are never names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

from lark import Lark, Token, Transformer, UnexpectedToken
from lark.common import LexerConf
from lark.lexer import Lexer

from src.domain.errors import InvalidRule
from src.strategies.rules.faults import Source
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

GRAMMAR: Final = r"""
rule: conjunction (_OR conjunction)*
conjunction: negation (_AND negation)*
?negation: NOT negation | comparison
?comparison: sum | sum COMPARED sum
?sum: product | sum (PLUS | MINUS) product -> arithmetic
?product: signed | product MULTIPLIED signed -> arithmetic
?signed: MINUS signed -> negative | value
?value: NUMBER -> number
    | NAME -> column
    | NAME "(" [rule ("," rule)*] ")" -> call
    | LBRACE NAME "}" -> parameter
    | "(" rule ")"
    | value "[" rule "]" -> earlier

COMPARED: "<=" | ">=" | "==" | "!=" | "<" | ">"
PLUS: "+"
MINUS: "-"
MULTIPLIED: "*" | "/" | "%"
LBRACE: "{"
NUMBER: /([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?/
NAME: /(?!(and|or|not)\b)[A-Za-z_][A-Za-z0-9_]*/
_AND: /and\b/
_OR: /or\b/
NOT: /not\b/
%ignore /[ \t\r\n]+/
"""
"""Precedence from weak to strong: or, and, not, comparisons (which do not chain), + and -, * / and %, the sign, x[n].
Operators of one level associate to the left."""

_OPERATORS: Final = {
    "PLUS": "+", "MINUS": "-", "MULTIPLIED": "* / %", "COMPARED": "< <= > >= == !=", "_AND": "and", "_OR": "or",
    "LSQB": "[n]", "LPAR": "(", "COMMA": ",", "RPAR": ")", "RSQB": "]", "RBRACE": "}", "$END": "the end",
    "NAME": "a name",
}  # fmt: skip
"""The names of the terminals in messages, in this order."""


_CROSSES: Final = " Write crosses_above(a, b) or crosses_below(a, b)."

_HINTS: Final = {
    **dict.fromkeys(("and", "or", "not"), " Write and, or, not in small letters."),
    **dict.fromkeys(("cross", "crosses", "crossed", "crossing"), _CROSSES),
    "above": " Write >.",
    "below": " Write <.",
    "is": " Write ==.",
}
"""What to write instead of a word that traders use, by the word."""


def parse_tree(source: Source) -> Node:
    """Return the tree of a text; raises InvalidRule if it does not fit the grammar, or a number is too large."""
    try:
        tree: Any = _PARSER.parse(source.text)
    except _NoToken as error:
        raise _refuse_character(source, error.at) from error
    except UnexpectedToken as error:
        raise _explain(source, error) from error
    except _TooLarge as error:
        raise source.fault(error.at, "The number is too large. Maximum: 1.8e308.") from error
    return tree  # type: ignore[no-any-return]


class _TooLarge(ValueError):
    """A number beyond float64; `at` is its place."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class _NoToken(ValueError):
    """Characters that begin no token; `at` is their place."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class _Lexer(Lexer):
    """Cuts a text into the grammar's tokens by one regular expression.

    Lark's own also counts lines: it takes 47 us for two rules of 29 tokens together, this one 27 us.
    """

    def __init__(self, configuration: LexerConf) -> None:
        # In lark's own order, longest first, so that <= is not read as < and =.
        terminals = sorted(
            configuration.terminals,
            key=lambda one: (-one.priority, -one.pattern.max_width, -len(one.pattern.value), one.name),
        )
        self._tokens: Final = re.compile("|".join(f"(?P<{one.name}>{one.pattern.to_regexp()})" for one in terminals))
        self._ignored: Final = frozenset(configuration.ignore)

    def lex(self, text: str) -> Iterator[Token]:  # type: ignore[override]  # what lark asks of one given by users
        """Yield the tokens with their places; raises _NoToken."""
        end = 0
        for found in self._tokens.finditer(text):
            if found.start() != end:
                break
            end = found.end()
            kind = str(found.lastgroup)
            if kind not in self._ignored:
                yield Token(kind, found.group(), found.start())
        if end != len(text):
            raise _NoToken(end)


_NAMED_ARGUMENT: Final = re.compile(r"(\w\(|,)\s*[A-Za-z_]\w*\s*\Z")
"""What stands before the sign in sma(length = 20)."""


def _refuse_character(source: Source, at: int) -> InvalidRule:
    char = source.text[at]
    if char == "=" and source.text[at + 1 : at + 2] in ("<", ">"):
        return source.fault(at, "{got!r} has no meaning. Write {right}.", got=source.text[at : at + 2],
                            right=f"{source.text[at + 1]}=")  # fmt: skip
    if char == "=" and _NAMED_ARGUMENT.search(source.text, 0, at):
        return source.fault(
            at, "Arguments have no names. Write the values alone, in their order, as in sma(close, 20)."
        )
    if char == "=":
        return source.fault(at, "'=' has no meaning. Write == to compare.")
    if char == "!":
        return source.fault(at, "'!' has no meaning alone. Write not, or != to compare.")
    return source.fault(at, "{got!r} has no meaning here.", got=char)


def _explain(source: Source, error: UnexpectedToken) -> InvalidRule:
    token = error.token
    is_end = token.type == "$END"
    at = len(source.text) if is_end else token.start_pos or 0
    found = "the end" if is_end else repr(str(token)[:40])
    expected = error.accepts or error.expected
    if "NUMBER" in expected:
        problem = (
            "Found {found}, expected a value: a number, a column such as close, a function such as rsi(14), "
            "a parameter such as {example}, ( or -."
        )
        if source.text[max(0, at - 1) : at + 1] == "**":
            problem = "Found {found}: rules have no powers. Write x * x."
        if source.text[max(0, at - 1) : at + 1] == "<>":
            problem = "Found {found}: write != where <> is meant."
        return source.fault(at, problem, found=found, example="{n}")
    if token.type == "COMMA":
        # After a whole rule the parser expects nothing: a comma between arguments would be inside brackets.
        problem = "Found {found}: a comma stands between arguments only. Decimals have a point, as in 1.02."
        return source.fault(at, problem, found=found)
    names = [name for terminal, name in _OPERATORS.items() if terminal in expected]
    problem = "Found {found}, expected one of: {expected}." if len(names) > 1 else "Found {found}, expected {expected}."
    if token.type == "COMPARED":
        problem += " Comparisons do not chain: write a < b and b < c."
    problem += _HINTS.get(str(token).lower(), "")
    return source.fault(at, problem, found=found, expected=" ".join(names))


class _Builder(Transformer[Token, Node]):
    """Builds the tree while lark parses; each method has a grammar rule's name."""

    def rule(self, items: list[Node]) -> Node:
        return _join("or", items)

    def conjunction(self, items: list[Node]) -> Node:
        return _join("and", items)

    def negation(self, items: list[Any]) -> Node:
        return Not(items[1], at=items[0].start_pos)

    def comparison(self, items: list[Any]) -> Node:
        return Comparison(str(items[1]), items[0], items[2], at=items[0].at)

    def arithmetic(self, items: list[Any]) -> Node:
        return Arithmetic(str(items[1]), items[0], items[2], at=items[0].at)

    def negative(self, items: list[Any]) -> Node:
        return Negative(items[1], at=items[0].start_pos)

    def earlier(self, items: list[Node]) -> Node:
        return Earlier(items[0], items[1], at=items[0].at)

    def number(self, items: list[Token]) -> Node:
        value = float(items[0])
        if not math.isfinite(value):
            raise _TooLarge(items[0].start_pos or 0)
        return Number(value, at=items[0].start_pos or 0)

    def column(self, items: list[Token]) -> Node:
        return Column(str(items[0]), at=items[0].start_pos or 0)

    def call(self, items: list[Any]) -> Node:
        arguments = tuple(item for item in items[1:] if item is not None)
        return Call(str(items[0]), arguments, at=items[0].start_pos)

    def parameter(self, items: list[Token]) -> Node:
        return Parameter(str(items[1]), at=items[0].start_pos or 0)


def _join(operator: str, items: list[Node]) -> Node:
    return items[0] if len(items) == 1 else Logic(operator, tuple(items), at=items[0].at)


_PARSER: Final = Lark(
    GRAMMAR, start="rule", parser="lalr", lexer=_Lexer, transformer=_Builder(), propagate_positions=False
)
