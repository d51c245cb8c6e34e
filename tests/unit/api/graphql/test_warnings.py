"""Bars over GraphQL, and warnings in a response's extensions."""

from __future__ import annotations

from tests.graphql_app import GraphQLClient


async def test_fetch_ohlcv_returns_bars_oldest_first() -> None:
    client = GraphQLClient()
    data = await client.data(
        '{ fetchOhlcv(input: {symbol: "BTCUSDT", interval: "1h", limit: 2, startDate: "2024-01-01", '
        'source: "simulated", seed: 3}) '
        "{ Date Open High Low Close Volume } }"
    )
    assert data["fetchOhlcv"][1] == {
        "Date": "2020-09-14T12:26:40Z", "Open": 100.5, "High": 102.0, "Low": 100.0, "Close": 101.0, "Volume": 12.5,
    }  # fmt: skip
    (market,) = client.backtests.markets
    assert (market.interval.name, market.limit, market.start_ms, market.seed) == ("1h", 2, 1_704_067_200_000, 3)


async def test_warnings_of_a_list_stand_in_extensions() -> None:
    client = GraphQLClient()
    client.backtests.candle_warnings = ("limit 2 cut the range.", "There is a gap.")
    ask = 'fetchOhlcv(input: {symbol: "BTCUSDT", limit: 2}) { Close }'
    answer = await client.post(f"{{ {ask} late: {ask} }}")
    assert answer["extensions"] == {
        "warnings": [
            {"message": message, "path": [path]}
            for path in ("fetchOhlcv", "late")
            for message in client.backtests.candle_warnings
        ]
    }
    snake = await client.post('{ fetch_ohlcv(input: {symbol: "BTCUSDT", limit: 2}) { Close } }')
    assert [warning["path"] for warning in snake["extensions"]["warnings"]] == [["fetch_ohlcv"], ["fetch_ohlcv"]]


async def test_response_without_warnings_has_no_extensions() -> None:
    client = GraphQLClient()
    assert "extensions" not in await client.post('{ fetchOhlcv(input: {symbol: "BTCUSDT", limit: 2}) { Close } }')
    client.backtests.candle_warnings = ("There is a gap.",)
    for document in (
        "{ health }",
        "{ nothing }",
        "{",
        '{ fetchOhlcv(input: {symbol: "BTCUSDT", limit: 0}) { Close } }',
    ):
        assert "extensions" not in await client.post(document)


async def test_warnings_come_with_the_errors_of_other_fields() -> None:
    client = GraphQLClient()
    client.backtests.candle_warnings = ("There is a gap.",)
    answer = await client.post(
        '{ fetchOhlcv(input: {symbol: "BTCUSDT", limit: 2}) { Close } backtest(id: "no") { id } }'
    )
    assert answer["errors"][0]["extensions"]["code"] == "RESULT_NOT_FOUND"
    assert answer["extensions"]["warnings"] == [{"message": "There is a gap.", "path": ["fetchOhlcv"]}]
