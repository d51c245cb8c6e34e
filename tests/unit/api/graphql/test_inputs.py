"""Inputs of GraphQL: null, both spellings, and the strategy of a backtest."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
)

from src.api.graphql.limits import DocumentLimits
from src.api.graphql.schema import build_schema
from src.domain.annualization import AnnualizationSettings
from src.domain.strategy import ModelParams, StrategyParams
from src.domain.trading import EngineName
from src.strategies.bollinger import BollingerMode, BollingerParams
from src.strategies.buy_and_hold import BuyAndHoldParams
from src.strategies.crossover import CrossoverParams
from src.strategies.donchian import DonchianParams
from src.strategies.rsi import RsiParams
from src.strategies.up_down import UpDownParams
from tests.graphql_app import GraphQLClient, without_hint

SCHEMA: GraphQLSchema = build_schema(DocumentLimits(max_depth=12, max_aliases=100, max_tokens=4000)).graphql_schema


def fields_of(name: str) -> dict[str, Any]:
    declared = SCHEMA.get_type(name)
    assert isinstance(declared, GraphQLObjectType | GraphQLInputObjectType)
    return dict(declared.fields)


async def test_null_is_not_given() -> None:
    client = GraphQLClient()
    run = "mutation ($input: BacktestInput!) { runVectorizedBacktest(input: $input) { id } }"
    nothing = dict.fromkeys(set(fields_of("BacktestInput")) - {"userId", "symbol"})
    nested = {"fetchInput": dict.fromkeys(fields_of("OHLCVFetchInput")), "maCrossoverParams": {"fast": None}}
    for fields in ({}, nothing, nothing | nested):
        await client.data(run, {"input": {"userId": "alice", "symbol": "BTCUSDT"} | fields})
    first, *others = client.backtests.asked
    assert others == [first, first]
    await client.data(
        """{ fetchOhlcv(input: {symbol: "BTCUSDT"}, first: null, offset: null) { Date }
            fetchCoinList(tradingOnly: null) { coins }
            backtests(userId: "alice", first: null) { nodes { id } }
            backtest(id: "result-1") { fills(offset: null) { bar } trades(offset: null) { bars_held } } }"""
    )


@pytest.mark.parametrize("spelling", ["null", "left out"])
async def test_null_means_not_given(spelling: str) -> None:
    client = GraphQLClient()
    names = set(fields_of("BacktestInput")) - {"userId", "symbol"}
    given = dict.fromkeys(names) if spelling == "null" else {}
    document = "mutation ($input: BacktestInput!) { runEventDrivenBacktest(input: $input) { id } }"
    await client.data(document, {"input": {"userId": "alice", "symbol": "BTCUSDT", **given}})
    (asked,) = client.backtests.asked
    assert asked.rules == type(asked.rules)(fill=asked.rules.fill)
    assert (asked.market.interval.name, asked.market.limit) == ("1d", 1000)


@pytest.mark.parametrize("names", [("barsPerYear", "riskFreeRate"), ("bars_per_year", "risk_free_rate")], ids=str)
@pytest.mark.parametrize("mutation", ["runVectorizedBacktest", "runEventDrivenBacktest"])
async def test_annualization_is_taken_in_either_spelling(mutation: str, names: tuple[str, str]) -> None:
    client = GraphQLClient()
    document = (
        f"mutation ($input: BacktestInput!) {{ {mutation}(input: $input) {{ settings {{ {' '.join(names)} }} }} }}"
    )
    given = dict(zip(names, (252, 0.05), strict=True))
    data = await client.data(document, {"input": {"userId": "alice", "symbol": "BTCUSDT", **given}})
    assert client.backtests.asked[0].annualization == AnnualizationSettings(bars_per_year=252, risk_free_rate=0.05)
    assert list(data[mutation]["settings"]) == list(names)


@pytest.mark.parametrize(
    ("strategy", "params"),
    [
        ("{maCrossover: {fast: 5}}", CrossoverParams(fast=5)),
        ("{ma_crossover: {}}", CrossoverParams()),
        ("{upDown: true}", UpDownParams()),
        ("{buy_and_hold: true}", BuyAndHoldParams()),
        ("{rsi: {low: 25}}", RsiParams(low=25.0)),
        ("{bollinger: {mode: BREAKOUT}}", BollingerParams(mode=BollingerMode.BREAKOUT)),
        ("{donchian: {entryLength: 55, exit_length: 20}}", DonchianParams(entry_length=55, exit_length=20)),
        ('{model: {modelPath: "m.pkl", threshold: 0.4}}', ModelParams(reference="m.pkl", threshold=0.4)),
    ],
)
async def test_run_backtest_takes_any_strategy_on_either_engine(strategy: str, params: StrategyParams) -> None:
    client = GraphQLClient()
    for engine in EngineName:
        given = f'userId: "alice", symbol: "BTCUSDT", engine: {engine}, strategy: {strategy}'
        await client.data(f"mutation {{ runBacktest(input: {{{given}}}) {{ id }} }}")
        asked = client.backtests.asked[-1]
        assert (asked.strategy, asked.engine) == (params, engine)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("{}", "strategy names none. Allowed: exactly one of maCrossover, emaCrossover, rsi, "),
        ("{up_down: true, maCrossover: {}}", "strategy names up_down, maCrossover. Allowed: exactly one of "),
        ("{rsi: null}", "strategy names rsi (null). Allowed: exactly one of "),
        ("{upDown: false}", "upDown is false. Allowed: true"),
        ("{rsi: {low: 80}}", "low (80.0) must be less than high (70.0)."),
        ("{macd: {fast: 26}}", "fast (26) must be less than slow (26)."),
        ("{emaCrossover: {slow: 5001}}", "slow is 5001. Allowed: 2 ≤ x ≤ 5000 (bars)."),
        ("{supertrend: {multiplier: 0}}", "multiplier is 0.0. Allowed: 0 < x ≤ 100 (average true ranges)."),
        ("{model: {threshold: 0.4}}", "modelPath is required"),
        ("{magic: {}}", "magic"),
    ],
)
async def test_run_backtest_names_a_wrong_strategy(strategy: str, message: str) -> None:
    given = f'userId: "alice", symbol: "BTCUSDT", strategy: {strategy}'
    error = await GraphQLClient().error(f"mutation {{ runBacktest(input: {{{given}}}) {{ id }} }}")
    assert message in error["message"]


@pytest.mark.parametrize(
    ("strategy", "named"), [({}, "none"), ({"rsi": {}, "up_down": True}, "rsi, upDown"), ({"rsi": None}, "rsi (null)")]
)
@pytest.mark.parametrize("declared", ["RunBacktestInput", "StrategyInput"])
async def test_variable_must_name_exactly_one_strategy(declared: str, strategy: Any, named: str) -> None:
    client = GraphQLClient()
    if declared == "StrategyInput":
        given, value = '{userId: "alice", symbol: "BTCUSDT", strategy: $strategy}', strategy
    else:
        given, value = "$strategy", {"userId": "alice", "symbol": "BTCUSDT", "strategy": strategy}
    document = f"mutation ($strategy: {declared}!) {{ runBacktest(input: {given}) {{ id }} }}"
    error = await client.error(document, {"strategy": value})
    assert error["message"].startswith(f"strategy names {named}. Allowed: exactly one of maCrossover, ")
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_INPUT", "strategy")
    assert client.backtests.asked == []


async def test_symbol_is_accepted_in_fetch_input() -> None:
    client = GraphQLClient()
    await client.data(
        'mutation { runVectorizedBacktest(input: {userId: "alice", fetchInput: {symbol: "ETHUSDT"}}) { id } }'
    )
    assert client.backtests.asked[0].market.symbol == "ETHUSDT"


async def test_both_dates_request_every_bar_between_them() -> None:
    client = GraphQLClient(max_rows=3000)
    dates = 'symbol: "BTCUSDT", startDate: "2017-08-17", endDate: "2025-08-16"'
    for spelled in (dates, f"{dates}, limit: null"):
        data = await client.data(f"{{ fetchOhlcv(input: {{{spelled}}}) {{ Close }} }}")
        assert len(data["fetchOhlcv"]) == 2922
    assert all(market.is_whole_range for market in client.backtests.markets)


async def test_fetch_ohlcv_without_symbol_is_refused() -> None:
    error = await GraphQLClient().error("{ fetchOhlcv(input: {}) { Date } }")
    assert without_hint(error["extensions"]) == {"code": "INVALID_INPUT", "field": "symbol"}
