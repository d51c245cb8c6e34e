"""JSON of clients: what orjson reads, and no name twice."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.api.json_bodies import check_names, read_json
from src.domain.errors import MalformedRequest
from tests.graphql_app import GraphQLClient
from tests.rest_app import MemoryServices

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    | st.integers(-(2**63), 2**63 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)  # fmt: skip


@given(VALUES)
def test_unique_names_are_read_as_by_orjson(value: object) -> None:
    content = orjson.dumps(value)
    assert read_json(content) == orjson.loads(content)
    check_names(content.decode())


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'{"user_id": "a", "user_id": "b"}', "'user_id'"),
        (b'{"a": 1, "b": 2, "b": 2}', "'b'"),
        (b'{"a": 1, "\\u0061": 2}', "'a'"),
        (b'[{"x": {"first": 1, "deep": 1, "deep": 2}}]', "'deep'"),
        (b'{"": 1, "": 2}', "''"),
        (b'{"%b": 1, "%b": 2}' % (b"n" * 200, b"n" * 200), f"'{'n' * 80}…'"),
    ],
)
def test_name_that_comes_twice_is_named(content: bytes, name: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        read_json(content)
    assert refused.value.message == f"An object in the body has the name {name} twice. Allowed: once."


@pytest.mark.parametrize("content", [b"", b"{", b"NaN", b'{"a": 1e999}', b"\xef\xbb\xbf{}", b'"\xff"'])
def test_invalid_json_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedRequest, match=r"^The body is not JSON: "):
        read_json(content)


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    with pytest.raises(MalformedRequest, match="nested too deeply"):
        read_json(b'{"a":' * 1_000 + b"1" + b"}" * 1_000)


async def test_graphql_refuses_them_too() -> None:
    client = GraphQLClient(MemoryServices())
    content_type = {"content-type": "application/json"}
    for body in (
        b'{"query": "{ health }", "query": "{ health }"}',
        b'{"query": "{ health }", "variables": {"a": 1, "a": 2}}',
    ):
        response = await client.http.post("/graphql", content=body, headers=content_type)
        assert response.status_code == 400
        [error] = response.json()["errors"]
        assert error["extensions"]["code"] == "MALFORMED_REQUEST"
        assert " twice. Allowed: once." in error["message"]
    response = await client.http.get("/graphql", params={"query": "{ health }", "variables": '{"a": 1, "a": 2}'})
    assert (response.status_code, "twice" in response.text) == (400, True)
