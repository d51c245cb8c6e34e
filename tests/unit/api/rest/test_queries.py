"""Check query parameters: either spelling, each once, no unknown ones."""

from __future__ import annotations

import httpx
import pytest
from fastapi.routing import APIRoute

from src.api.rest import backtests, data
from src.api.rest.queries import NamedQueryRoute, read_query
from src.domain.errors import InvalidInput
from tests.graphql_app import MemoryMarket
from tests.rest_app import MemoryServices, make_rest_app

KNOWN = ["user_id", "start_date", "first"]


@pytest.mark.parametrize(
    ("query", "read"),
    [
        (b"userId=a&startDate=2024-01-01", b"user_id=a&start_date=2024-01-01"),
        (b"user_id=a%20b%26c&first=", b"user_id=a+b%26c&first="),
        (b"user_id=%FF%00", b"user_id=%EF%BF%BD%00"),
    ],
)
def test_either_spelling_is_read(query: bytes, read: bytes) -> None:
    assert read_query(query, KNOWN) == read


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        (b"userid=a", "userid", "Unknown parameter 'userid'. Known parameters: user_id, start_date, first."),
        (b"user_id=a&limitt=5", "limitt", "Known parameters: user_id, start_date, first."),
        (b"user_id=a&user_id=b", "user_id", "'user_id' and 'user_id' are the same one. Allowed: once."),
        (b"user_id=a&userId=a", "user_id", "'user_id' and 'userId' are the same one"),
    ],
)
def test_unknown_or_repeated_parameter_is_named(query: bytes, field: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_query(query, KNOWN)
    assert caught.value.field == field
    assert says in caught.value.message


@pytest.mark.parametrize("router", [backtests.router, data.router], ids=["backtests", "data"])
def test_every_route_with_parameters_reads_them_so(router: object) -> None:
    routes = [route for route in router.routes if isinstance(route, APIRoute)]  # type: ignore[attr-defined]
    assert any(route.dependant.query_params for route in routes)
    assert all(isinstance(route, NamedQueryRoute) for route in routes)


async def test_quality_report_accepts_camel_case() -> None:
    market = MemoryMarket()
    transport = httpx.ASGITransport(app=make_rest_app(MemoryServices(backtests=market)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        query = {"symbol": "BTCUSDT", "startDate": "2024-01-01", "endDate": "2024-02-01", "userId": "me"}
        assert (await client.get("/api/data/quality", params=query)).status_code == 200
        wrong = await client.get("/api/data/quality", params=query | {"from": "2024-01-01"})
    assert market.markets[0].start_ms == 1_704_067_200_000
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["field"]) == (422, "INVALID_INPUT", "from")
    assert "Known parameters: symbol, interval, limit, start_date" in wrong.json()["message"]


async def test_lists_hear_camel_case(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/backtests?userId=alice&first=5")).status_code == 200
    twice = await client.get("/api/backtests?user_id=alice&first=5&first=6")
    assert (twice.status_code, twice.json()["field"]) == (422, "first")
