"""Random rules from the grammar: printing is the identity, nothing crashes, nothing looks ahead."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from src.domain.errors import InvalidRule
from src.strategies.rules.compiling import Compiler
from src.strategies.rules.evaluation import RuleInputs, evaluate
from src.strategies.rules.parsing import parse
from src.strategies.rules.printing import print_rule
from src.strategies.rules.program import Program
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
from src.strategies.rules.vocabulary import COLUMNS
from tests.market import random_bars
from tests.thoroughness import examples
from tests.unit.strategies.rules.reference import Reference

BARS = random_bars(160, seed=21, interval="1h")
PARAMETERS = {"n": 5.0, "level": 1.5}
PREDICTIONS = np.where(np.arange(len(BARS)) % 7 == 3, np.nan, np.random.default_rng(1).random(len(BARS)))

lengths = st.integers(2, 9).map(lambda value: Number(float(value))) | st.just(Parameter("n"))
columns = st.sampled_from([Column(name) for name in COLUMNS])
literals = st.sampled_from([0.0, 0.5, 1.0, 2.0, 30.0, 70.0, 100.0, 1e-7, 1e20]).map(Number) | st.just(
    Parameter("level")
)
of_range = st.builds(
    Call,
    st.sampled_from(["atr", "adx", "cci", "mfi", "donchian_high", "donchian_low", "stoch_k", "supertrend", "plus_di"]),
    st.tuples(lengths),
) | st.sampled_from([Call("vwap", ()), Call("obv", ()), Call("rsi", ()), Call("model", ()), Call("macd", ())])


def _numbers_of(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    series = columns | of_range | st.builds(Arithmetic, st.sampled_from("+-*/%"), columns, inner)
    return st.one_of(
        st.builds(
            Call,
            st.sampled_from(["sma", "ema", "wma", "rsi", "roc", "mom", "stdev", "zscore", "highest", "lowest"]),
            st.tuples(lengths) | st.tuples(series, lengths),
        ),
        st.builds(Arithmetic, st.sampled_from("+-*/%"), inner, inner),
        st.builds(Negative, inner),
        st.builds(Call, st.just("abs"), st.tuples(inner)),
        st.builds(Call, st.sampled_from(["min", "max"]), st.tuples(inner, inner) | st.tuples(inner, inner, inner)),
        st.builds(Earlier, series, st.integers(0, 9).map(lambda value: Number(float(value))) | st.just(Parameter("n"))),
    )


numbers: st.SearchStrategy[Node] = st.recursive(columns | literals | of_range, _numbers_of, max_leaves=5)
comparisons = st.builds(Comparison, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers, numbers) | st.builds(
    Call, st.sampled_from(["crosses_above", "crosses_below"]), st.tuples(numbers, numbers)
)


def _conditions_of(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Not, inner),
        st.builds(Logic, st.sampled_from(["and", "or"]), several),
        st.builds(Earlier, inner, st.integers(0, 5).map(lambda value: Number(float(value)))),
    )


rules: st.SearchStrategy[Node] = st.recursive(comparisons, _conditions_of, max_leaves=4)
"""Trees of conditions, well typed; a few divide by a constant 0 or are larger than the limits."""

slowly = settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def compiled(tree: Node) -> Program:
    compiler = Compiler(PARAMETERS)
    try:
        compiler.add_rule(print_rule(tree), "buy")
    except InvalidRule as error:
        # The only faults that a well-typed tree can have.
        wanted = (
            "Division by zero", "nested more than", "is the same at each bar", "too large a number", "more than",
            "which it never is",
        )  # fmt: skip
        assert any(text in error.message for text in wanted), error.message
        assume(False)
    return compiler.build()


def truth(program: Program, stop: int) -> list[bool]:
    inputs = RuleInputs(bars=BARS.slice(0, stop), predictions=PREDICTIONS[:stop])
    found: list[bool] = evaluate(program, inputs)["buy"].tolist()
    return found


@settings(max_examples=examples(150), deadline=None)
@given(rules)
def test_parsing_a_printed_rule_gives_the_same_rule(tree: Node) -> None:
    text = print_rule(tree)
    assume(len(text) <= 2000)
    try:
        parsed = parse(text, "buy")
    except InvalidRule as error:
        assert "more than" in error.message
        return
    assert parsed == tree
    assert print_rule(parsed) == text


@slowly
@given(rules)
def test_rule_equals_the_slow_evaluator(tree: Node) -> None:
    program = compiled(tree)
    assert truth(program, len(BARS)) == Reference(BARS, PARAMETERS, PREDICTIONS).condition(tree)


@slowly
@given(rules, st.lists(st.integers(1, len(BARS)), min_size=3, max_size=6))
def test_first_bars_do_not_depend_on_later_ones(tree: Node, stops: list[int]) -> None:
    program = compiled(tree)
    whole = truth(program, len(BARS))
    for stop in (1, 2, *stops):
        assert truth(program, stop) == whole[:stop]


@slowly
@given(rules)
def test_lookback_and_warm_up_are_counts(tree: Node) -> None:
    program = compiled(tree)
    assert 0 <= program.lookback_bars <= program.warm_up_bars(BARS.interval) <= 5000


@settings(max_examples=examples(200), deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="ab1.5(){}[]<>=!+-*/%, andornot\n", max_size=60))
def test_any_text_is_a_rule_or_an_error(text: str) -> None:
    try:
        Compiler({}).add_rule(text, "buy")
    except InvalidRule as error:
        assert error.field == "buy"
        lines = text.split("\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
