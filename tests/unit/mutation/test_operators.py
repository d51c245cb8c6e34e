"""Each operator on the smallest source that has it."""

from __future__ import annotations

import ast

import pytest

from tests.mutation.operators import find_mutants


def mutants_of(source: str) -> list[str]:
    encoded = source.encode()
    return [mutant.apply(encoded).decode() for mutant in find_mutants("a.py", encoded)]


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("a < b", ["(a <= b)", "(a >= b)"]),
        ("a >= b", ["(a < b)", "(a > b)"]),
        ("a < b == c", ["(a < b != c)", "(a <= b == c)", "(a >= b == c)"]),
        ("a is None", ["(a is not None)"]),
        ("a in b", ["(a not in b)"]),
        ("a + b", ["(a - b)"]),
        ("a / b", ["(a * b)"]),
        ("a ** b", ["(a * b)"]),
        ("a & b", ["(a | b)"]),
        ("a += b", ["a -= b"]),
        ("not a", ["(a)"]),
        ("-a", ["(a)"]),
        ("a = 1", ["a = (0)", "a = 2"]),
        ("a = 0.5", ["a = (-0.5)", "a = 1.5"]),
        ("a = True", ["a = False"]),
        ("a and f(b)", ["(not a) and f(b)", "(a or f(b))", "a and (not f(b))"]),
        ("a = b if f(c) else d", ["a = b if (not f(c)) else d"]),
        ("if a.b:\n    c = d", ["if (not a.b):\n    c = d"]),
        ("a = min(b, c)", ["a = max(b, c)"]),
        ("a = b.max()", ["a = b.min()"]),
        ("f(a)", ["pass"]),
        ("a.b = c", ["pass"]),
        ("a['b'] = c", ["pass"]),
    ],
)
def test_operator_makes_its_mutants(source: str, mutants: list[str]) -> None:
    assert mutants_of(source) == mutants


@pytest.mark.parametrize(
    "source",
    [
        '"""A text of 3 words."""',
        "import a",
        "from a import b",
        "a: NDArray[1] = b",
        "raise ValueError(1 + 2)",
        "a = f'{b + 1}'",
        "@cached(size=3)\ndef f(a: Literal[1]) -> Literal[2]:\n    return a",
        "class A(B, size=3):\n    a: int",
        "a = None",
    ],
)
def test_texts_annotations_and_errors_stay(source: str) -> None:
    assert mutants_of(source) == []


def test_default_argument_is_mutated() -> None:
    assert mutants_of("def f(a, b=1, *, c=True): ...") == [
        "def f(a, b=(0), *, c=True): ...",
        "def f(a, b=2, *, c=True): ...",
        "def f(a, b=1, *, c=False): ...",
    ]


def test_text_before_that_is_not_ascii_moves_nothing() -> None:
    assert mutants_of("a = '≤', b < c") == ["a = '≤', (b <= c)", "a = '≤', (b >= c)"]


def test_mutants_of_several_lines_are_valid_and_know_their_line() -> None:
    source = b"a = (\n    b\n    + c\n)\nd = e < (\n    f\n)\n"
    found = find_mutants("a.py", source)
    assert [mutant.line for mutant in found] == [2, 5, 5]
    for mutant in found:
        assert ast.dump(ast.parse(mutant.apply(source))) != ast.dump(ast.parse(source))


def test_diff_shows_the_changed_line_only() -> None:
    source = b"a = b\nc = d < e\n"
    assert find_mutants("a.py", source)[0].diff(source) == "-c = d < e\n+c = (d <= e)"
