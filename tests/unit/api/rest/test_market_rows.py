"""Bars and features over REST, as JSON and as files."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.api.rest.formats import MAX_WARNINGS_BYTES, WARNINGS_HEADER, warnings_header
from src.domain.bars import Bars
from src.domain.market import LimitOrigin, MarketRequest, MarketSeries
from src.features.ohlcv import FEATURE_NAMES, build_features
from tests.graphql_app import MemoryMarket
from tests.market import random_bars
from tests.rest_app import MemoryServices, make_rest_app

BARS = random_bars(90, seed=6)


class RandomMarket(MemoryMarket):
    warnings: tuple[str, ...] = ("One bar is missing.",)

    async def fetch_bars(self, market: MarketRequest, *, user_id: str | None = None) -> MarketSeries:
        series = await super().fetch_bars(market, user_id=user_id)
        bars = random_bars(market.limit, seed=6)
        return MarketSeries(bars=bars, quality=series.quality, origin="memory", warnings=self.warnings)


@pytest.fixture
def market() -> RandomMarket:
    return RandomMarket()


@pytest.fixture
async def client(market: RandomMarket) -> AsyncIterator[httpx.AsyncClient]:
    app = make_rest_app(MemoryServices(backtests=market))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client:
        yield client


async def get(client: httpx.AsyncClient, path: str) -> Any:
    response = await client.get(f"/api/data/{path}")
    assert response.status_code == 200, response.text
    return response.json()["data"]


def columns_of(bars: Bars) -> dict[str, list[float]]:
    return {name: getattr(bars, name).tolist() for name in ("open", "high", "low", "close", "volume")}


async def test_bars_are_columns(client: httpx.AsyncClient, market: RandomMarket) -> None:
    data = await get(client, "ohlcv?symbol=BTCUSDT&interval=1h&limit=90&source=simulated&seed=3")
    columns = data["columns"]
    assert columns.pop("date")[:2] == ["2020-09-13T00:00:00Z", "2020-09-14T00:00:00Z"]
    assert columns == columns_of(BARS)
    assert (data["total"], data["offset"], data["origin"]) == (90, 0, "memory")
    assert data["warnings"] == ["One bar is missing."]
    [asked] = market.markets
    assert (asked.symbol, asked.interval.name, asked.seed, asked.source) == ("BTCUSDT", "1h", 3, "simulated")


async def test_features_are_those_of_models_to_the_bit(client: httpx.AsyncClient) -> None:
    data = await get(client, "features?symbol=BTCUSDT&limit=90")
    assert tuple(data["columns"]) == ("date", *FEATURE_NAMES)
    values = build_features(BARS).values
    for place, name in enumerate(FEATURE_NAMES):
        read = np.array(data["columns"][name], dtype=np.float64)
        assert np.array_equal(read, values[:, place], equal_nan=True), name
    assert data["columns"]["SMA_5"][:5].count(None) == 4


@pytest.mark.parametrize(
    ("kind", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet), ("arrow", pd.read_feather)]
)
async def test_files_hold_what_json_holds(client: httpx.AsyncClient, kind: str, read: Any) -> None:
    for name in ("ohlcv", "features"):
        path = f"{name}?symbol=BTCUSDT&limit=90"
        data = await get(client, path)
        response = await client.get(f"/api/data/{path}&format={kind}")
        assert response.headers["content-disposition"] == f'attachment; filename="{name}.{kind}"'
        frame = read(io.BytesIO(response.content))
        expected = pd.DataFrame(data["columns"])
        assert (pd.to_datetime(frame.pop("date")) == pd.to_datetime(expected.pop("date"))).all()
        pd.testing.assert_frame_equal(frame, expected, check_exact=kind != "csv")


def metadata_of(kind: str, content: bytes) -> dict[bytes, bytes]:
    schema = pq.read_schema(io.BytesIO(content)) if kind == "parquet" else pa.ipc.open_file(content).schema
    return schema.metadata or {}


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
async def test_files_carry_warnings_of_json(client: httpx.AsyncClient, market: RandomMarket, kind: str) -> None:
    market.warnings = ("limit 90 cut the range of 币安人生USDT.", 'One "bar" is\nmissing.')
    for name in ("ohlcv", "features"):
        for page in ("", "&first=2&offset=88"):
            path = f"{name}?symbol=BTCUSDT&limit=90{page}"
            expected = (await get(client, path))["warnings"]
            response = await client.get(f"/api/data/{path}&format={kind}")
            assert response.headers[WARNINGS_HEADER].isascii()
            assert json.loads(response.headers[WARNINGS_HEADER]) == expected == list(market.warnings)
            if kind != "csv":
                assert json.loads(metadata_of(kind, response.content)[b"warnings"]) == expected


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
async def test_files_without_warnings_have_no_header(
    client: httpx.AsyncClient, market: RandomMarket, kind: str
) -> None:
    market.warnings = ()
    response = await client.get(f"/api/data/ohlcv?symbol=BTCUSDT&limit=90&format={kind}")
    assert WARNINGS_HEADER not in response.headers
    assert kind == "csv" or b"warnings" not in metadata_of(kind, response.content)


async def test_long_warnings_are_cut_in_header_only(client: httpx.AsyncClient, market: RandomMarket) -> None:
    market.warnings = tuple(f"Bar {number} is missing." for number in range(1000))
    response = await client.get("/api/data/ohlcv?symbol=BTCUSDT&limit=90&format=arrow")
    header = response.headers[WARNINGS_HEADER]
    *shown, rest = json.loads(header)
    assert MAX_WARNINGS_BYTES - 30 < len(header) <= MAX_WARNINGS_BYTES
    assert shown == list(market.warnings[: len(shown)])
    assert rest == f"{1000 - len(shown)} more: see `warnings` of the JSON response."
    assert json.loads(metadata_of("arrow", response.content)[b"warnings"]) == list(market.warnings)


@pytest.mark.parametrize("length", [MAX_WARNINGS_BYTES - 4, MAX_WARNINGS_BYTES - 3])
def test_sentence_fits_header_or_is_counted(length: int) -> None:
    text = "x" * length
    fits = length + len('[""]') <= MAX_WARNINGS_BYTES
    expected = text if fits else "1 more: see `warnings` of the JSON response."
    assert json.loads(warnings_header([text])) == [expected]


async def test_openapi_names_header_of_warnings(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for name in ("ohlcv", "features"):
        success = paths[f"/api/data/{name}"]["get"]["responses"]["200"]
        assert WARNINGS_HEADER in success["headers"]


async def test_limit_of_maximum_means_all(client: httpx.AsyncClient, market: RandomMarket) -> None:
    maximum = 100_000
    for limit in (maximum, 90):
        await client.get(f"/api/data/ohlcv?symbol=BTCUSDT&limit={limit}&end_date=2024-01-01&first=1")
    assert [(asked.limit, asked.limit_origin) for asked in market.markets] == [
        (maximum, LimitOrigin.MAXIMUM),
        (90, LimitOrigin.CLIENT),
    ]


async def test_pages_of_features_are_parts_of_the_whole(client: httpx.AsyncClient) -> None:
    whole = await get(client, "features?symbol=BTCUSDT&limit=90")
    page = await get(client, "features?symbol=BTCUSDT&limit=90&first=10&offset=85")
    assert page["columns"] == {name: values[85:] for name, values in whole["columns"].items()}
    assert (page["total"], page["offset"]) == (90, 85)


async def test_rows_beyond_limit_are_refused(client: httpx.AsyncClient) -> None:
    for name in ("ohlcv", "features"):
        for query in ("", "&format=csv"):
            response = await client.get(f"/api/data/{name}?symbol=BTCUSDT&limit=101{query}")
            assert (response.status_code, response.json()["field"]) == (422, "first")
            assert "101 rows: one response holds 100" in response.json()["detail"]
        assert (await get(client, f"{name}?symbol=BTCUSDT&limit=101&first=100"))["total"] == 101


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "symbol"),
        ("symbol=BTCUSDT&interval=7m", "interval"),
        ("symbol=BTCUSDT&seed=1", "seed"),
        ("symbol=BTCUSDT&first=101", "first"),
        ("symbol=BTCUSDT&offset=-1", "offset"),
        ("symbol=BTCUSDT&points=5", "points"),
        ("symbol=BTCUSDT&Symbol=X", "symbol"),
    ],
)
async def test_wrong_query_names_field(client: httpx.AsyncClient, query: str, field: str) -> None:
    for name in ("ohlcv", "features"):
        response = await client.get(f"/api/data/{name}?{query}")
        assert (response.status_code, response.json()["field"]) == (422, field)


async def test_unknown_media_type_is_not_acceptable(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/data/ohlcv?symbol=BTCUSDT", headers={"Accept": "text/html"})
    assert (response.status_code, response.json()["code"]) == (406, "NOT_ACCEPTABLE")
