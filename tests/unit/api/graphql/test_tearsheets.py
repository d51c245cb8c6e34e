"""Tear sheets, features and model files over GraphQL, beside what REST gives."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest

from src.domain.simulation import FillReason
from src.domain.tearsheet import SERIES_COLUMNS
from src.features.ohlcv import FEATURE_NAMES, build_features
from tests.graphql_app import GraphQLClient, MemoryMarket
from tests.rest_app import MemoryServices, make_rest_app
from tests.unit.service.test_tearsheets import BARS, OneSource, make_stored


@pytest.fixture
def services() -> MemoryServices:
    services = MemoryServices(backtests=MemoryMarket(), sources={"binance": OneSource()})
    services.backtests.results["result-1"] = make_stored()
    return services


@pytest.fixture
def client(services: MemoryServices) -> GraphQLClient:
    return GraphQLClient(services, max_rows=1000)


async def ask(client: GraphQLClient, fields: str) -> Any:
    return (await client.data(f'{{ backtest(id: "result-1") {{ {fields} }} }}'))["backtest"]


async def rest(services: MemoryServices, path: str) -> Any:
    transport = httpx.ASGITransport(app=make_rest_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return (await client.get(f"/api/backtests/result-1/{path}")).json()["data"]


async def test_series_equal_those_of_rest(client: GraphQLClient, services: MemoryServices) -> None:
    names = [
        *SERIES_COLUMNS,
        *(f"{one}_{end}" for one in ("close", "equity", "buy_and_hold") for end in ("low", "high")),
    ]
    found = (await ask(client, f"series(points: 60) {{ total bars_per_point warnings {' '.join(names)} }}"))["series"]
    shown = await rest(services, "series?points=60")
    assert {name: found[name] for name in names} == shown["columns"]
    assert (found["total"], found["bars_per_point"], found["warnings"]) == (300, 5, [])


async def test_series_without_points_are_all_bars(client: GraphQLClient) -> None:
    found = await ask(client, 'series(start: "2020-09-20", end: "2020-09-23") { Signal: signal date close equityLow }')
    assert found["series"]["Signal"] == ["hold", "hold", "hold", "buy"]
    assert found["series"]["close"] == BARS.close[7:11].tolist()
    assert found["series"]["date"][0] == "2020-09-20T00:00:00Z"
    assert found["series"]["equityLow"] is None


async def test_only_selected_columns_are_read(client: GraphQLClient, services: MemoryServices) -> None:
    source: Any = services.sources["binance"]
    await ask(client, "series(points: 5) { equity drawdown total } data(first: 3) { Date close drawdown }")
    assert source.asked == []
    await ask(client, "series(points: 5) { ... on ResultSeries { volume } }")
    assert len(source.asked) == 1


async def test_rows_have_bars_drawdown_and_hold(client: GraphQLClient, services: MemoryServices) -> None:
    fields = "Date open high low close volume drawdown buyAndHold portfolioValue"
    rows = (await ask(client, f"data(first: 50, offset: 20) {{ {fields} }}"))["data"]
    columns = (await ask(client, "series { open high low close volume drawdown buyAndHold date equity }"))["series"]
    assert [row["Date"] for row in rows] == columns["date"][20:70]
    assert [row["portfolioValue"] for row in rows] == columns["equity"][20:70]
    for name in ("open", "high", "low", "close", "volume", "drawdown", "buyAndHold"):
        assert [row[name] for row in rows] == columns[name][20:70], name


async def test_missing_bars_are_null_with_warning(client: GraphQLClient, services: MemoryServices) -> None:
    services.sources["binance"] = OneSource(bars=BARS.slice(1, 300))
    document = (
        '{ backtest(id: "result-1") { data(first: 2) { close open } series(points: 5) { equity open warnings } } }'
    )
    answer = await client.post(document)
    assert [row["open"] for row in answer["data"]["backtest"]["data"]] == [None, None]
    assert answer["data"]["backtest"]["series"]["open"] is None
    assert "have changed" in answer["data"]["backtest"]["series"]["warnings"][0]
    [warning] = answer["extensions"]["warnings"]
    assert (warning["path"], "have changed" in warning["message"]) == (["backtest", "data"], True)
    error = await client.error('{ backtest(id: "result-1") { series(points: 5) { date open } } }')
    assert error["extensions"]["code"] == "CONFLICT"


async def test_rows_whose_bars_are_unchanged_have_them(client: GraphQLClient, services: MemoryServices) -> None:
    services.sources["binance"] = OneSource(bars=BARS.slice(0, 299))
    found = await ask(client, "data(first: 2) { open } series(points: 5) { equity open warnings }")
    assert [row["open"] for row in found["data"]] == list(BARS.open[:2])
    assert found["series"]["open"] is None and "have changed" in found["series"]["warnings"][0]


async def test_figures_equal_those_of_rest(client: GraphQLClient, services: MemoryServices) -> None:
    found = await ask(
        client,
        "months { years { year months total } } drawdowns(first: 3) { start bottom end depth bars } "
        "distribution { bins { low high count } bars mean median deviation worst best gaining_bars losing_bars "
        "value_at_risk_95 expected_shortfall_95 } costs { gross_profit slippage fees funding net_profit }",
    )
    assert found["months"] == await rest(services, "months")
    assert found["drawdowns"] == (await rest(services, "drawdowns?first=3"))["items"]
    assert found["distribution"] == await rest(services, "distribution")
    assert found["costs"] == await rest(services, "costs")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ("series(points: 0) { total }", "points"),
        ("series(points: 1001) { total }", "points"),
        ('series(points: 5, start: "never") { total }', "start"),
        ('series(points: 5, start: "2021-01-02", end: "2021-01-01") { total }', "start"),
        ("drawdowns(first: 1001) { depth }", "first"),
    ],
)
async def test_wrong_arguments_name_field(client: GraphQLClient, fields: str, field: str) -> None:
    error = await client.error(f'{{ backtest(id: "result-1") {{ {fields} }} }}')
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_INPUT", field)


async def test_more_bars_than_rows_need_points(services: MemoryServices) -> None:
    client = GraphQLClient(services, max_rows=299)
    error = await client.error('{ backtest(id: "result-1") { series { equity } } }')
    assert error["extensions"]["field"] == "points"


async def test_aliased_columns_count_as_rows(services: MemoryServices) -> None:
    client = GraphQLClient(services, max_rows=300)
    # 300 values are 18 rows of 17 fields, and a document may ask for 900 rows.
    await ask(client, f"series {{ {' '.join(f'a{n}: equity' for n in range(50))} }}")
    error = await client.error(
        f'{{ backtest(id: "result-1") {{ series {{ {" ".join(f"a{n}: equity" for n in range(51))} }} }} }}'
    )
    assert error["extensions"]["code"] == "TOO_LARGE"


async def test_features_are_those_of_models(client: GraphQLClient) -> None:
    fields = "total dates columns { name values }"
    found = (await client.data(f'{{ fetchFeatures(input: {{symbol: "BTCUSDT", limit: 30}}) {{ {fields} }} }}'))[
        "fetchFeatures"
    ]
    series = await client.backtests.fetch_bars(client.backtests.markets[-1])
    values = build_features(series.bars).values
    assert tuple(column["name"] for column in found["columns"]) == FEATURE_NAMES
    read = np.array([column["values"] for column in found["columns"]], dtype=np.float64).T
    assert np.array_equal(read, values, equal_nan=True)
    assert (found["total"], len(found["dates"])) == (30, 30)
    page = f'fetchFeatures(input: {{symbol: "BTCUSDT", limit: 30}}, first: 2, offset: 25) {{ {fields} }}'
    part = (await client.data(f"{{ {page} }}"))["fetchFeatures"]
    assert part["dates"] == found["dates"][25:27]
    assert part["columns"][5]["values"] == found["columns"][5]["values"][25:27]


async def test_models_are_uploaded_listed_and_deleted(client: GraphQLClient, services: MemoryServices) -> None:
    fields = (
        "filename originalFilename fileSize userId modelName fileExtension sha256 trainedFrom trainedTo labelHorizon"
    )
    document = (
        "mutation ($file: Upload!, $input: UploadModelInput!) { uploadModel(file: $file, input: $input) "
        f"{{ {fields} model {{ format }} }} }}"
    )
    variables = {
        "file": None,
        "input": {"userId": "alice", "modelName": "m", "trainedTo": "2023-12-31", "labelHorizon": 3},
    }
    response = await client.http.post(
        "/graphql",
        data={
            "operations": json.dumps({"query": document, "variables": variables}),
            "map": '{"0": ["variables.file"]}',
        },
        files={"0": ("<script>.pkl", b"content")},
    )
    uploaded = response.json()["data"]["uploadModel"]
    assert uploaded["originalFilename"] == "<script>.pkl"
    assert (uploaded["fileSize"], uploaded["modelName"], uploaded["model"]) == (7.0, "m", None)
    assert (uploaded["trainedFrom"], uploaded["labelHorizon"]) == (None, 3)
    assert uploaded["trainedTo"] == "2023-12-31T23:59:59.999Z"
    listed = (await client.data(f'{{ models(userId: "alice") {{ {fields} model {{ format }} }} }}'))["models"]
    assert listed == [uploaded]
    assert (await client.data('{ models(userId: "bob") { filename } }'))["models"] == []
    delete = f'mutation {{ deleteModel(userId: "%s", filename: "{uploaded["filename"]}") {{ filename }} }}'
    assert (await client.error(delete % "bob"))["extensions"]["code"] == "MODEL_NOT_FOUND"
    await client.data(delete % "alice")
    assert (await client.data('{ models(userId: "alice") { filename } }'))["models"] == []


async def test_model_file_is_a_part_of_the_request(client: GraphQLClient) -> None:
    document = 'mutation ($file: Upload!) { uploadModel(file: $file, input: {userId: "alice"}) { filename } }'
    error = await client.error(document, {"file": "text"})
    assert error["extensions"]["field"] == "file"


async def test_return_of_trade_is_in_per_cent(client: GraphQLClient, services: MemoryServices) -> None:
    [trade] = (await ask(client, "trades { profit quantity entryPrice return direction exit_reason }"))["trades"]
    assert trade["return"] == pytest.approx(trade["profit"] / trade["quantity"] / trade["entryPrice"] * 100)
    stored = services.backtests.results["result-1"].simulation.trades
    assert trade["return"] == stored["return"][0] * 100
    assert (await rest(services, "trades"))["items"][0]["return"] == trade["return"]
    assert (trade["direction"], trade["exit_reason"]) == ("long", "signal")


async def test_words_are_enums_with_the_same_text(client: GraphQLClient) -> None:
    document = """{ __type(name: "%s") { kind enumValues { name } } }"""
    words = {
        "Signal": {"buy", "sell", "hold"}, "Side": {"buy", "sell"}, "TradeDirection": {"long", "short"},
        "FillReason": {reason.word for reason in FillReason}, "RunStatus": {"success"},
    }  # fmt: skip
    for name, expected in words.items():
        found = (await client.data(document % name))["__type"]
        assert found["kind"] == "ENUM"
        assert {value["name"] for value in found["enumValues"]} == expected
    found = await ask(client, "status data(first: 11) { signal } fills { side reason }")
    assert found["status"] == "success"
    assert [row["signal"] for row in found["data"]] == [*["hold"] * 10, "buy"]
    assert found["fills"] == [{"side": "buy", "reason": "signal"}, {"side": "sell", "reason": "signal"}]
