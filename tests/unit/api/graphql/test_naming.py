"""Check both spellings of every kind of name, and the names that must stay."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, build_schema, parse, print_ast, validate

from src.api.graphql.naming import SpellingRewriter
from src.api.spelling import camel_case
from src.domain.errors import InvalidInput

SCHEMA = build_schema("""
    directive @onlyFor(userId: String) on FIELD
    input BarInput { maxBars: Int, symbols: [String!], inner: [BarInput!], Open: Float, kind: Kind }
    enum Kind { snake_kind camelKind }
    interface Named { fullName: String }
    type Result implements Named {
        fullName: String, totalReturn: Float, Date: String, points(firstRow: Int): [Point!]!
    }
    type Point { portfolioValue: Float, odd_name: Float }
    type Query {
        runIt(userId: String, barInput: BarInput, manyInputs: [BarInput!]): Result
        anyNamed: Named
    }
    type Mutation { saveIt(userId: String): Result }
""")


def rewrite(document: str, schema: GraphQLSchema = SCHEMA) -> str:
    return print_ast(SpellingRewriter(schema).document(parse(document)))


def rewrite_variables(document: str, values: dict[str, Any]) -> dict[str, Any]:
    rewriter = SpellingRewriter(SCHEMA)
    operation = rewriter.document(parse(document)).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return rewriter.variables(operation, values)


@pytest.mark.parametrize(
    ("written", "camel"),
    [
        ("total_return", "totalReturn"),
        ("run_ml_backtest_with_file", "runMlBacktestWithFile"),
        ("model_sha256", "modelSha256"),
        ("max_consecutiveWins", "maxConsecutiveWins"),
        ("totalReturn", "totalReturn"),
        ("Date", "Date"),
        ("__typename", "__typename"),
        ("_private", "_private"),
        ("trailing_", "trailing_"),
        ("double__underscore", "double__underscore"),
    ],
)
def test_snake_case_becomes_camel_case(written: str, camel: str) -> None:
    assert camel_case(written) == camel


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{ run_it { total_return } }", "{ run_it: runIt { total_return: totalReturn } }"),
        ("{ runIt { totalReturn Date __typename } }", "{ runIt { totalReturn Date __typename } }"),
        ("{ mine: run_it { my_own: total_return } }", "{ mine: runIt { my_own: totalReturn } }"),
        ("{ total_return: runIt { Date } }", "{ total_return: runIt { Date } }"),
        ("{ runIt { points { odd_name } } }", "{ runIt { points { odd_name } } }"),
        ('{ runIt(user_id: "a_b") { Date } }', '{ runIt(userId: "a_b") { Date } }'),
        (
            "{ runIt(bar_input: {max_bars: 1, inner: [{max_bars: 2, Open: 1.5, kind: snake_kind}]}) { Date } }",
            "{ runIt(barInput: { maxBars: 1, inner: [{ maxBars: 2, Open: 1.5, kind: snake_kind }] }) { Date } }",
        ),
        (
            "{ runIt(many_inputs: {inner: {max_bars: 2}}) { Date } }",
            "{ runIt(manyInputs: { inner: { maxBars: 2 } }) { Date } }",
        ),
        (
            "{ run_it { ...the_rest } } fragment the_rest on Result { total_return points(first_row: 1) { odd_name } }",
            "{ run_it: runIt { ...the_rest } } "
            "fragment the_rest on Result { total_return: totalReturn points(firstRow: 1) { odd_name } }",
        ),
        (
            "{ any_named { ... on Result { total_return } ... { full_name } } }",
            "{ any_named: anyNamed { ... on Result { total_return: totalReturn } ... { full_name: fullName } } }",
        ),
        (
            'query q($in_put: BarInput = {max_bars: 1}) { runIt(barInput: $in_put) @only_for(user_id: "x") { Date } }',
            "query q($in_put: BarInput = { maxBars: 1 }) "
            '{ runIt(barInput: $in_put) @onlyFor(userId: "x") { Date } }',
        ),
        ("mutation { save_it(user_id: null) { Date } }", "mutation { save_it: saveIt(userId: null) { Date } }"),
    ],
)  # fmt: skip
def test_documents_are_rewritten_to_schema_spelling(written: str, expected: str) -> None:
    assert rewrite(written) == print_ast(parse(expected))
    assert validate(SCHEMA, parse(expected)) == []


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("{ run_itt { Date } }", "run_itt"),
        ("{ runIt { totl_return } }", "totl_return"),
        ("{ runIt(usr_id: 1) { Date } }", "usr_id"),
        ("{ runIt(barInput: {mx_bars: 1}) { Date } }", "mx_bars"),
        ("{ runIt { ...f } } fragment f on No_Type { total_return }", "No_Type"),
        ("{ runIt { Date { below_a_leaf } } }", "Date"),
        ("{ runIt @unknown_directive { Date } }", "unknown_directive"),
    ],
)
def test_unknown_name_is_quoted_as_sent(written: str, named: str) -> None:
    document = SpellingRewriter(SCHEMA).document(parse(written))
    assert any(named in error.message for error in validate(SCHEMA, document))


def test_document_in_schema_spelling_is_not_copied() -> None:
    document = parse(
        'query q($u: String = "x") { runIt(userId: $u, barInput: {maxBars: 1}) { points { __typename } } }'
    )
    assert SpellingRewriter(SCHEMA).document(document) is document


def test_errors_point_at_the_clients_own_text() -> None:
    document = SpellingRewriter(SCHEMA).document(parse("{\n  run_it {\n    no_such\n  }\n}"))
    (error,) = validate(SCHEMA, document)
    assert [(place.line, place.column) for place in error.locations or ()] == [(3, 5)]


VARIABLES = "query q($bar_input: BarInput, $many: [BarInput!], $text: String, $no: Nothing) { runIt { Date } }"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"bar_input": {"max_bars": 1, "Open": 2}}, {"bar_input": {"maxBars": 1, "Open": 2}}),
        (
            {"many": [{"inner": [{"max_bars": 1}, {"maxBars": 2}]}, None]},
            {"many": [{"inner": [{"maxBars": 1}, {"maxBars": 2}]}, None]},
        ),
        ({"many": {"max_bars": 1}}, {"many": {"maxBars": 1}}),
        ({"bar_input": {"symbols": ["max_bars"]}}, {"bar_input": {"symbols": ["max_bars"]}}),
        ({"text": {"max_bars": 1}}, {"text": {"max_bars": 1}}),
        ({"unknown_one": {"max_bars": 1}}, {"unknown_one": {"max_bars": 1}}),
        ({"no": {"max_bars": 1}}, {"no": {"max_bars": 1}}),
        ({"bar_input": "text"}, {"bar_input": "text"}),
        ({"bar_input": {"not_there": 1}}, {"bar_input": {"not_there": 1}}),
    ],
)  # fmt: skip
def test_variables_are_rewritten_to_schema_spelling(values: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(values)
    assert rewrite_variables(VARIABLES, values) == expected
    assert repr(values) == before, "the client's own values are left alone"


@pytest.mark.parametrize(
    ("document", "field", "first", "second"),
    [
        ('{ runIt(userId: "a", user_id: "b") { Date } }', "userId", "userId", "user_id"),
        ('{ runIt(user_id: "a", userId: "b") { Date } }', "userId", "user_id", "userId"),
        ('{ runIt(user_id: "a", user_id: "b") { Date } }', "userId", "user_id", "user_id"),
        ("{ runIt(barInput: {maxBars: 1, max_bars: 1}) { Date } }", "maxBars", "maxBars", "max_bars"),
        ("{ runIt(manyInputs: [{inner: {max_bars: 1, maxBars: 1}}]) { Date } }", "maxBars", "max_bars", "maxBars"),
        ("{ runIt { Date @onlyFor(user_id: 1, userId: 1) } }", "userId", "user_id", "userId"),
        ("query ($i: BarInput = {maxBars: 1, max_bars: 1}) { runIt { Date } }", "maxBars", "maxBars", "max_bars"),
    ],
)
def test_field_in_both_spellings_is_refused_naming_both(document: str, field: str, first: str, second: str) -> None:
    with pytest.raises(GraphQLError) as refused:
        rewrite(document)
    assert refused.value.message == f"{first!r} and {second!r} are both given. Allowed: one of them."
    assert isinstance(refused.value.original_error, InvalidInput)
    assert refused.value.original_error.field == field
    assert len(refused.value.locations or ()) == 2


@pytest.mark.parametrize(
    "keys", [("max_bars", "maxBars"), ("maxBars", "max_bars"), ("max_bars", "maxBars", "max_Bars")]
)
def test_variables_in_both_spellings_are_refused_likewise(keys: tuple[str, ...]) -> None:
    for values in ({"bar_input": dict.fromkeys(keys, 1)}, {"many": [{"inner": [dict.fromkeys(keys, 1)]}]}):
        with pytest.raises(GraphQLError) as refused:
            rewrite_variables(VARIABLES, values)
        assert refused.value.message == f"{keys[0]!r} and {keys[1]!r} are both given. Allowed: one of them."
        assert isinstance(refused.value.original_error, InvalidInput)


def test_repeated_schema_name_is_left_to_validation() -> None:
    document = SpellingRewriter(SCHEMA).document(parse('{ runIt(userId: "a", userId: "b") { Date } }'))
    assert any("only one argument named 'userId'" in error.message for error in validate(SCHEMA, document))
