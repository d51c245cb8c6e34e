"""Text to tree and back: precedence, limits, and errors that say where."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from src.domain.errors import InvalidRule
from src.strategies.rules import parsing
from src.strategies.rules.parsing import MAX_NODES, parse
from src.strategies.rules.printing import print_rule
from src.strategies.rules.scanning import MAX_CHARACTERS, MAX_DEPTH
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
    walk,
)

A, B, C = Column("a"), Column("b"), Column("c")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a or b and not c", Logic("or", (A, Logic("and", (B, Not(C)))))),
        ("a and b and c", Logic("and", (A, B, C))),
        ("a and (b and c)", Logic("and", (A, Logic("and", (B, C))))),
        ("not a < b", Not(Comparison("<", A, B))),
        ("not not a", Not(Not(A))),
        ("a + b * c", Arithmetic("+", A, Arithmetic("*", B, C))),
        ("a - b - c", Arithmetic("-", Arithmetic("-", A, B), C)),
        ("a / b % c", Arithmetic("%", Arithmetic("/", A, B), C)),
        ("-a * b", Arithmetic("*", Negative(A), B)),
        ("a - -b", Arithmetic("-", A, Negative(B))),
        ("-a[1]", Negative(Earlier(A, Number(1)))),
        ("a[1][2]", Earlier(Earlier(A, Number(1)), Number(2))),
        ("(a < b)[3]", Earlier(Comparison("<", A, B), Number(3))),
        ("f()", Call("f", ())),
        ("f(a, -1, {n})", Call("f", (A, Negative(Number(1)), Parameter("n")))),
        ("a+1 <= b", Comparison("<=", Arithmetic("+", A, Number(1)), B)),
        ("1.5e3 != .5", Comparison("!=", Number(1500), Number(0.5))),
        ("android > order", Comparison(">", Column("android"), Column("order"))),
        ("a\n\tand\r\nb", Logic("and", (A, B))),
        ("{ n } == 2.", Comparison("==", Parameter("n"), Number(2))),
    ],
)
def test_text_becomes_the_tree_of_its_precedence(text: str, tree: Node) -> None:
    assert parse(text, "buy") == tree
    assert parse(print_rule(tree), "buy") == tree


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("((a)) and((b<c))", "a and b < c"),
        ("(a and b) or c", "a and b or c"),
        ("a and (b or c)", "a and (b or c)"),
        ("not (a and b)", "not (a and b)"),
        ("not (a < b)", "not a < b"),
        ("(a < b) == (b < c)", "(a < b) == (b < c)"),
        ("a - (b - c)", "a - (b - c)"),
        ("a - (b * c)", "a - b * c"),
        ("(a - b) * -c", "(a - b) * -c"),
        ("-(a + b)", "-(a + b)"),
        ("(a + b)[1]", "(a + b)[1]"),
        ("(-a)[1]", "(-a)[1]"),
        ("(not a)[1]", "(not a)[1]"),
        ("1e3 < 0.10", "1000 < 0.1"),
        ("1e30<1e-7", "1e+30 < 1e-07"),
        ("rsi( close ,14)<30", "rsi(close, 14) < 30"),
    ],
)
def test_printed_rule_has_only_needed_brackets(text: str, printed: str) -> None:
    tree = parse(text, "buy")
    assert print_rule(tree) == printed
    assert parse(printed, "buy") == tree


def test_nodes_know_where_they_begin() -> None:
    text = "not rsi({n})[2] <\n -close"
    places = {type(node).__name__: node.at for node, _ in walk(parse(text, "buy"))}
    assert places == {
        "Not": 0, "Comparison": 4, "Earlier": 4, "Call": 4, "Parameter": 8, "Number": 13, "Negative": 19, "Column": 20,
    }  # fmt: skip


def fault_of(text: str) -> InvalidRule:
    with pytest.raises(InvalidRule) as caught:
        parse(text, "buy")
    assert caught.value.field == "buy"
    return caught.value


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", (1, 1), "The rule is empty."),
        (" \n\t ", (1, 1), "The rule is empty."),
        ("a >", (1, 4), "Found the end, expected a value: a number, a column such as close,"),
        ("a > > b", (1, 5), "Found '>', expected a value:"),
        ("a and and b", (1, 7), "Found 'and', expected a value:"),
        ("a\n and\nb c", (3, 3), "Found 'c', expected one of: + - * / % < <= > >= == != and or [n] ( the end."),
        ("(a)(b)", (1, 4), "Found '(', expected one of:"),
        ("a < b < c", (1, 7), "Comparisons do not chain: write a < b and b < c."),
        ("a = b", (1, 3), "'=' has no meaning. Write == to compare."),
        ("a => b", (1, 3), "'=>' has no meaning. Write >=."),
        ("a =< b", (1, 3), "'=<' has no meaning. Write <=."),
        ("a <> b", (1, 4), "Found '>': write != where <> is meant."),
        ("f(length = 20) > b", (1, 10), "Arguments have no names. Write the values alone, in their order,"),
        ("f(a, length=20) > b", (1, 12), "Arguments have no names."),
        ("b and (a = 20)", (1, 10), "'=' has no meaning. Write == to compare."),
        ("a ! b", (1, 3), "'!' has no meaning alone. Write not, or != to compare."),
        ("a . b", (1, 3), "'.' has no meaning here."),
        ("a ** b", (1, 4), "Found '*': rules have no powers. Write x * x."),
        ("a < 1e999", (1, 5), "The number is too large. Maximum: 1.8e308."),
        ("1.5.2 < a", (1, 4), "Found '.2', expected one of:"),
        ("{and} < a", (1, 2), "Found 'and', expected a name."),
        ("f(a b)", (1, 5), "Found 'b', expected one of: + - * / % < <= > >= == != and or [n] ( , )."),
        ("f(,)", (1, 3), "Found ',', expected a value:"),
        ("a > 1,02", (1, 6), "Found ',': a comma stands between arguments only. Decimals have a point, as in 1.02."),
        ("a[1,5] > b", (1, 4), "Found ',': a comma stands between arguments only."),
        ("a > b AND b > c", (1, 7), "the end. Write and, or, not in small letters."),
        ("a crosses above b", (1, 3), "the end. Write crosses_above(a, b) or crosses_below(a, b)."),
        ("a is b", (1, 3), "the end. Write ==."),
        ("(a", (1, 1), "'(' is never closed."),
        ("a)", (1, 2), "')' closes no bracket."),
        ("f(a]", (1, 4), "']' does not close '(' of line 1, column 2."),
        ("# a", (1, 1), "'#' (U+0023, NUMBER SIGN) is no character of rules. Rules have no comments."),
        ("a & b", (1, 3), "Write and."),
        ("a | b", (1, 3), "Write or."),
        ("a ≤ b", (1, 3), "'≤' (U+2264, LESS-THAN OR EQUAL TO) is no character of rules. Write <=."),
        ("'a' < b", (1, 1), "Rules have no text."),
        ("clоse > 1", (1, 3), "(U+043E, CYRILLIC SMALL LETTER O) is no character of rules. Did you mean o?"),
        ("a > １", (1, 5), "(U+FF11, FULLWIDTH DIGIT ONE) is no character of rules. Did you mean 1?"),
        ("a − b > 1", (1, 3), "(U+2212, MINUS SIGN) is no character of rules. Did you mean -?"),
        ("a\x00 > 1", (1, 2), "'\\x00' (U+0000, a control character) is no character of rules."),
        ("a\u202e > 1", (1, 2), "'\\u202e' (U+202E, RIGHT-TO-LEFT OVERRIDE) is no character of rules."),
        ("a\ud800 > 1", (1, 2), "(U+D800, no name) is no character of rules."),
        ("a;b", (1, 2), "A rule is one condition"),
    ],
)
def test_fault_names_its_place_and_what_is_expected(text: str, place: tuple[int, int], message: str) -> None:
    fault = fault_of(text)
    assert (fault.line, fault.column) == place
    assert fault.message.startswith(f"buy, line {place[0]}, column {place[1]}: ")
    assert message in fault.message


def test_caret_stands_under_the_fault() -> None:
    assert fault_of("close > 1 and\n  volume $ 3").message.split("\n")[1:] == ["      volume $ 3", "             ^"]


def test_caret_stays_under_the_fault_in_long_and_wide_text() -> None:
    long = fault_of("a + " * 100 + "$" + " + b" * 100).message.split("\n")[1:]
    assert long[0][long[1].index("^")] == "$"
    assert max(map(len, long)) < 130
    wide = fault_of("你好\x07 $").message.split("\n")[1:]
    assert (wide[0], wide[1]) == ("    ��� $", "    ^")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * 2000, f"Brackets are nested more than {MAX_DEPTH} deep."),
        ("[" * 2000, f"Brackets are nested more than {MAX_DEPTH} deep."),
        ("(" * 1000 + "1" + ")" * 999, f"Brackets are nested more than {MAX_DEPTH} deep."),
        ("not " * 499 + "a", f"The rule is nested more than {MAX_DEPTH} deep."),
        ("-" * 1999 + "1", f"The rule is nested more than {MAX_DEPTH} deep."),
        ("+".join(["1"] * 1000), f"The rule is nested more than {MAX_DEPTH} deep."),
        ("a[1]" + "[1]" * 600, f"The rule is nested more than {MAX_DEPTH} deep."),
        (" or ".join(["a<b"] * 250), f"The rule has more than {MAX_NODES} parts"),
        ("f(" + ",".join(["1"] * 900) + ")", f"The rule has more than {MAX_NODES} parts"),
        ("1" * (MAX_CHARACTERS + 1), f"The rule has 2,001 characters. Maximum: {MAX_CHARACTERS:,}."),
        ("(" * 10**6, f"The rule has 1,000,000 characters. Maximum: {MAX_CHARACTERS:,}."),
    ],
)
def test_bomb_is_refused_at_its_place(text: str, message: str) -> None:
    parse("a", "buy")  # builds the parser
    started = time.perf_counter()
    assert message in fault_of(text).message
    assert time.perf_counter() - started < 5, "it takes milliseconds; a hang takes minutes"


def test_rule_at_each_limit_is_allowed() -> None:
    brackets = "(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH
    assert parse(brackets, "buy") == A
    assert parse("-" * (MAX_DEPTH - 1) + "a", "buy")
    assert len(list(walk(parse(f"f({','.join(['1'] * (MAX_NODES - 1))})", "buy")))) == MAX_NODES
    assert parse("1" + " " * (MAX_CHARACTERS - 1), "buy") == Number(1)


def test_depth_beyond_the_limit_is_refused() -> None:
    assert "nested more than" in fault_of("-" * MAX_DEPTH + "a").message
    assert fault_of("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1)).column == MAX_DEPTH + 1


def test_equal_trees_differ_in_places_only() -> None:
    left, right = parse("a<b", "buy"), parse("  a  <  b", "sell")
    assert left == right
    assert hash(left) == hash(right)
    assert left.at != right.at


def test_parse_in_many_threads_gives_equal_trees() -> None:
    texts = [f"rsi({length}) < 30 and close > sma({length})" for length in range(2, 202)]
    parsing.parse.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        trees = list(pool.map(lambda text: parse(text, "buy"), texts * 2))
    assert [print_rule(tree) for tree in trees] == texts * 2


def test_importing_the_strategies_does_not_import_the_parser() -> None:
    code = "import sys, src.strategies.rules.strategy; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
