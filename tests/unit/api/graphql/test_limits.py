"""Check that documents that cost too much end before validation, and that ordinary ones pass."""

from __future__ import annotations

import pytest
from graphql import get_introspection_query

from src.api.graphql.limits import DocumentLimits, LimitExceeded
from tests.counting import counted_calls
from tests.graphql_app import GraphQLClient

MAX_CALLS = 300_000
"""Python functions that a document may cost."""

LIMITS = DocumentLimits(max_depth=4, max_aliases=6, max_tokens=400)


@pytest.mark.parametrize(
    "document",
    [
        "{ a { b { c { d } } } }",
        "{ a { ... { b { ... on X { c { ...f } } } } } } fragment f on Y { d }",
        "{ __schema { a { b { c { d { e { x: f } } } } } } }",
        "{ a: a b: a c: a d: a e: a f: a }",
        "{ ...f } fragment f on Q { x: a y: a z: a }",
        "{ ...f } fragment f on Q { ...f a }",
        "{ ...f } fragment f on Q { a { ...g } } fragment g on A { b { ...f } }",
        "{ ...unknown }",
        "query one { a: a b: a c: a d: a } query two { a: a b: a c: a d: a }",
    ],
)
def test_document_within_limits_is_parsed(document: str) -> None:
    LIMITS.parse(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{ a { b { c { d { e } } } } }", "nested 5 fields deep. Maximum: 4"),
        ("{ a { ...f } } fragment f on A { b { c { ...g } } } fragment g on C { d { e } }", "nested 5 fields deep"),
        ("fragment g on C { d { e } } { a { ...f } } fragment f on A { b { c { ...g } } }", "nested 5 fields deep"),
        ("{ " + " ".join(f"a{index}: a" for index in range(7)) + " }", "7 aliases. Maximum: 6"),
        ("{ p { ...f } q { ...f } r { ...f } } fragment f on Q { x: a y: a z: a }", "9 aliases"),
        (
            "{ ...a ...a } fragment a on Q { ...b ...b } fragment b on Q { ...c ...c } fragment c on Q { x: y }",
            "8 aliases",
        ),
    ],
)
def test_document_beyond_limits_is_refused(document: str, message: str) -> None:
    with pytest.raises(LimitExceeded, match=message):
        LIMITS.parse(document)


HOSTILE = {
    "200 deep": ("{" + "a {" * 200 + "b" + "}" * 201, "GRAPHQL_LIMIT_EXCEEDED"),
    "1,900 deep": ("{" + "a{" * 1900 + "b" + "}" * 1901, "GRAPHQL_LIMIT_EXCEEDED"),
    "100,000 deep": ("{" + "a{" * 100_000 + "b" + "}" * 100_001, "GRAPHQL_LIMIT_EXCEEDED"),
    "a literal 1,900 deep": ("{ backtest(id: " + "[" * 1900 + "]" * 1900 + ") { id } }", "GRAPHQL_LIMIT_EXCEEDED"),
    "a literal 150 deep": ("{ backtest(id: " + "[" * 150 + "]" * 150 + ") { id } }", "GRAPHQL_VALIDATION_FAILED"),
    "10,000 aliases": ("{" + " ".join(f"a{i}: health" for i in range(10_000)) + "}", "GRAPHQL_LIMIT_EXCEEDED"),
    "1,000 aliases": ("{" + " ".join(f"a{i}: health" for i in range(1_000)) + "}", "GRAPHQL_LIMIT_EXCEEDED"),
    "100,000 comments": ("#\n" * 100_000 + "{ health }", "GRAPHQL_LIMIT_EXCEEDED"),
    "a chain of 400 fragments": (
        "{ ...f0 } " + " ".join(f"fragment f{i} on Query {{ ...f{i + 1} }}" for i in range(400)),
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "an exponential spread": (
        "{ ...f0 } "
        + " ".join(f"fragment f{i} on Query {{ ...f{i + 1} ...f{i + 1} }}" for i in range(200))
        + " fragment f200 on Query { x: health }",
        "GRAPHQL_LIMIT_EXCEEDED",
    ),
    "a circle of fragments": ("{ ...f } fragment f on Query { ...f health }", "GRAPHQL_VALIDATION_FAILED"),
    "recursive introspection": (
        "{ __schema { types { " + "fields { type { " * 8 + "name" + " } }" * 8 + " } } }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_documents_get_a_clear_error_soon(name: str) -> None:
    document, code = HOSTILE[name]
    client = GraphQLClient()
    with counted_calls() as count:
        answer = await client.post(document)
    assert "data" not in answer
    assert {error["extensions"]["code"] for error in answer["errors"]} == {code}, answer["errors"][0]
    assert all(len(error["message"]) < 1000 for error in answer["errors"])
    assert count.calls < MAX_CALLS


async def test_validation_of_thousands_of_equal_fields_is_aborted() -> None:
    async def calls_of(fields: int) -> int:
        client = GraphQLClient()
        with counted_calls() as count:
            await client.post("{" + "health " * fields + "}")
        return count.calls

    await calls_of(1)  # the schema is built at the first document
    # Comparing each field with each other would cost 15 times as much.
    assert await calls_of(3900) < 2 * await calls_of(1000)


async def test_introspection_works_within_the_limits() -> None:
    data = await GraphQLClient().data(get_introspection_query())
    names = {declared["name"] for declared in data["__schema"]["types"]}
    assert {"OHLCVFetchInput", "BacktestInput", "MLBacktestInput", "Upload", "BacktestResult"} <= names


async def test_introspection_can_be_switched_off() -> None:
    client = GraphQLClient(has_introspection=False)
    error = await client.error('{ __type(name: "Query") { name } }')
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert "introspection" in error["message"]
    assert await client.data("{ health __typename }") == {"health": "ok", "__typename": "Query"}
    page = await client.http.get("/graphql", headers={"accept": "text/html"})
    assert page.status_code == 404


async def test_document_is_validated_until_it_is_valid() -> None:
    client = GraphQLClient()
    for _ in range(2):
        error = await client.error("{ nothing_of_the_kind }")
        assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    for _ in range(2):
        assert await client.data("{ health }") == {"health": "ok"}
