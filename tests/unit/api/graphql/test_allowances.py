"""How many rows and results one GraphQL document may read, and what is cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from graphql import (
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
)

from src.api.graphql.limits import DocumentLimits
from src.api.graphql.schema import build_schema
from src.api.spelling import snake_case
from src.domain.bar_quality import DataQuality, Gap
from src.domain.instants import format_instant
from src.domain.intervals import DAY_MS
from tests.factories import START_MS, make_result
from tests.graphql_app import GraphQLClient, without_hint

SCHEMA: GraphQLSchema = build_schema(DocumentLimits(max_depth=12, max_aliases=100, max_tokens=4000)).graphql_schema


def fields_of(name: str) -> dict[str, Any]:
    declared = SCHEMA.get_type(name)
    assert isinstance(declared, GraphQLObjectType | GraphQLInputObjectType)
    return dict(declared.fields)


async def test_document_fields_share_allowance_of_listed_results() -> None:
    client = GraphQLClient()
    client.backtests.results["one"] = make_result(id="one", user_id="alice")
    pages = " ".join(f'p{number}: backtests(userId: "alice", first: 100) {{ nodes {{ id }} }}' for number in range(9))
    ids = str(["one"] * 100).replace("'", '"')
    compared = f"compareBacktests(ids: {ids}) {{ id }}"
    assert len(await client.data(f"{{ {pages} {compared} }}")) == 10
    for more in (
        'more: compareBacktests(ids: ["one"]) { id }',
        'more: backtests(userId: "a", first: 1) { nodes { id } }',
    ):
        error = await client.error(f"{{ {pages} {compared} {more} }}")
        assert without_hint(error["extensions"]) == {"code": "TOO_LARGE"}
        assert error["path"] == ["more"]
        assert error["message"] == (
            "The fields of this document list 1,001 stored results or more in all. Maximum: 1,000. Send several "
            "requests, or ask for fewer by first or ids."
        )


async def test_fields_of_one_document_share_max_bars() -> None:
    client = GraphQLClient()
    two = (
        '{ a: fetchOhlcv(input: {symbol: "BTCUSDT", limit: 60000}, first: 1) { Date } '
        'b: %s(input: {symbol: "BTCUSDT", limit: %d}) { %s } }'
    )
    assert await client.data(two % ("fetchOhlcv", 40_000, "Date"))
    for field, selection in (("fetchOhlcv", "Date"), ("marketDataQuality", "presentBars")):
        error = (await client.post(two % (field, 40_001, selection)))["errors"][0]
        assert error["extensions"]["code"] == "TOO_LARGE"
        assert "Maximum: 100,000 (MAX_BARS)" in error["message"]


async def test_long_result_is_cut_and_paged() -> None:
    client = GraphQLClient()
    client.backtests.results["long"] = result = make_result(257, id="long")
    document = """query ($first: Int, $offset: Int) {
        backtest(id: "long") { warnings data(first: $first, offset: $offset) { portfolioValue } }
    }"""
    read = (await client.data(document))["backtest"]
    assert len(read["data"]) == 100
    assert read["warnings"] == [
        "data has 257 rows, and one response holds 100 of them at most (MAX_ROWS_PER_ANSWER): read the rest page by "
        "page, beginning with data(first: 100, offset: 100)."
    ]
    values = []
    for offset in (0, 100, 200):
        page = (await client.data(document, {"first": 100, "offset": offset}))["backtest"]["data"]
        values += [row["portfolioValue"] for row in page]
    assert values == result.simulation.equity.tolist()
    error = await client.error(document, {"first": 101})
    assert without_hint(error["extensions"]) == {"code": "INVALID_INPUT", "field": "first"}


async def test_rows_of_one_response_share_an_allowance() -> None:
    client = GraphQLClient()
    client.backtests.results["long"] = make_result(257, id="long")
    whole = " ".join(f"a{number}: data {{ close }}" for number in range(3))
    assert len((await client.data(f'{{ backtest(id: "long") {{ {whole} }} }}'))["backtest"]) == 3
    for more in ("b: data(first: 1) { close }", "b: data(first: 1, offset: 256) { close }"):
        error = await client.error(f'{{ backtest(id: "long") {{ {whole} {more} }} }}')
        assert error["extensions"]["code"] == "TOO_LARGE"
        assert error["message"].startswith(
            "The fields of this document ask for 301 rows or more in all. Maximum: 300 (3 × MAX_ROWS_PER_ANSWER)."
        )
    candles = 'fetchOhlcv(input: {symbol: "BTCUSDT", interval: "1d", limit: 100}) { Close }'
    aliases = " ".join(f"c{number}: {candles}" for number in range(4))
    error = await client.error(f"{{ {aliases} }}")
    assert error["extensions"]["code"] == "TOO_LARGE"


async def test_fields_of_rows_count_as_well() -> None:
    client = GraphQLClient()
    client.backtests.results["long"] = make_result(257, id="long")
    document = '{ backtest(id: "long") { data(first: 100) { %s } } }'
    for selected in (
        " ".join(f"x{number}: Date" for number in range(51)),
        " ".join(f"{'y' * 62}{number:02}: Date" for number in range(25)),
    ):
        assert len((await client.data(document % selected))["backtest"]["data"]) == 100
    for fields, selected in (
        ("52 fields", " ".join(f"x{number}: Date" for number in range(52))),
        ("52 fields", f"{' '.join(f'x{number}: close' for number in range(51))} ... on DataPoint {{ __typename }}"),
        ("1 field", f"{'x' * (51 * 32 + 1)}: Date"),
    ):
        error = await client.error(document % selected)
        assert without_hint(error["extensions"]) == {"code": "TOO_LARGE"}
        assert error["path"] == ["backtest", "data"]
        assert error["message"] == (
            f"The fields of this document ask for 400 rows or more in all, where 100 rows of {fields} count 4 "
            "times: 17 fields with names of 32 characters are one row. Maximum: 300 (3 × MAX_ROWS_PER_ANSWER). Send "
            "several requests, or ask for fewer by first."
        )


async def test_gaps_of_a_result_count_as_rows() -> None:
    client = GraphQLClient()
    gaps = tuple(
        Gap(after_ms=START_MS + 2 * number * DAY_MS, next_ms=START_MS + (2 * number + 2) * DAY_MS, missing_bars=1)
        for number in range(150)
    )
    quality = DataQuality(expected_bars=10, present_bars=10, gaps=gaps)
    client.backtests.results["gaps"] = make_result(id="gaps", quality=quality)
    alias = 'a%d: backtest(id: "gaps") { dataQuality { gaps { after next missingBars } } }'
    data = await client.data(f"{{ {alias % 0} {alias % 1} }}")
    rows = data["a1"]["dataQuality"]["gaps"]
    assert [row["after"] for row in rows] == [format_instant(gap.after_ms) for gap in gaps]
    assert [row["next"] for row in rows] == [format_instant(gap.next_ms) for gap in gaps]
    error = await client.error(f"{{ {alias % 0} {alias % 1} {alias % 2} }}")
    assert without_hint(error["extensions"]) == {"code": "TOO_LARGE"}
    assert error["message"].startswith("The fields of this document ask for 450 rows or more in all. Maximum: 300")


async def test_three_tables_with_every_field_are_one_answer() -> None:
    client = GraphQLClient()
    simulation = make_result(100).simulation
    whole = replace(simulation, fills=np.resize(simulation.fills, 100), trades=np.resize(simulation.trades, 100))
    client.backtests.results["long"] = make_result(100, id="long", simulation=whole)
    for spell in (str, snake_case):
        tables = {
            name: " ".join(["__typename", *(name if name == "Date" else spell(name) for name in fields_of(row_type))])
            for name, row_type in (("data", "DataPoint"), ("fills", "Fill"), ("trades", "Trade"))
        }
        selected = " ".join(f"{name} {{ {fields} }}" for name, fields in tables.items())
        read = (await client.data(f'{{ backtest(id: "long") {{ {selected} }} }}'))["backtest"]
        assert [len(read[name]) for name in tables] == [100, 100, 100]


async def test_cut_table_of_a_result_warns_in_extensions() -> None:
    client = GraphQLClient()
    client.backtests.results["long"] = make_result(150, id="long")
    answer = await client.post('{ old: backtest(id: "long") { data { Date } } }')
    assert len(answer["data"]["old"]["data"]) == 100
    [warning] = answer["extensions"]["warnings"]
    assert warning["path"] == ["old", "data"]
    assert warning["message"].startswith("data has 150 rows, and one response holds 100")
    assert "beginning with data(first: 100, offset: 100)" in warning["message"]
    for page in ("first: 100", "offset: 100", "first: 60, offset: 20"):
        asked = await client.post(f'{{ backtest(id: "long") {{ data({page}) {{ Date }} }} }}')
        assert "extensions" not in asked, page


async def test_long_ohlcv_is_cut_with_a_warning() -> None:
    client = GraphQLClient()
    document = """query ($first: Int, $offset: Int) {
        fetchOhlcv(input: {symbol: "BTCUSDT", interval: "1d", limit: 150}, first: $first, offset: $offset) { Close }
    }"""
    answer = await client.post(document)
    assert len(answer["data"]["fetchOhlcv"]) == 100
    [warning] = answer["extensions"]["warnings"]
    assert warning["path"] == ["fetchOhlcv"]
    assert "beginning with fetchOhlcv(first: 100, offset: 100)" in warning["message"]
    rest = await client.post(document, {"first": 100, "offset": 100})
    assert len(rest["data"]["fetchOhlcv"]) == 50
    assert "extensions" not in rest
