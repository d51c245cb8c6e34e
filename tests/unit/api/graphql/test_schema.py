"""Check the schema itself, and the response of each query and field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_named_type,
)

from src.api.graphql.limits import DocumentLimits
from src.api.graphql.schema import build_schema
from src.api.spelling import camel_case, snake_case
from src.domain.annualization import AnnualizationSettings
from src.domain.bar_quality import DataQuality, Gap, RejectedRow
from src.domain.instants import format_instant
from src.domain.intervals import DAY_MS
from src.domain.market import MarketRequest
from src.domain.parameters import parameters_of
from src.domain.performance import METRIC_DEFINITIONS
from src.domain.runs import BacktestRequest, CrossCheck, FillDifference, Fingerprints
from src.domain.signals import Action, OutputKind, Signals, StrategyDescription
from src.domain.strategy import ModelParams, StrategyParams
from src.domain.trading import EngineName
from src.strategies.bollinger import BollingerMode, BollingerParams
from src.strategies.buy_and_hold import BuyAndHoldParams
from src.strategies.crossover import CrossoverParams
from src.strategies.donchian import DonchianParams
from src.strategies.registry import PARAMS
from src.strategies.rsi import RsiParams
from src.strategies.up_down import UpDownParams
from tests.factories import START_MS, make_metrics, make_request, make_result
from tests.graphql_app import GraphQLClient, without_hint

SCHEMA: GraphQLSchema = build_schema(DocumentLimits(max_depth=12, max_aliases=100, max_tokens=4000)).graphql_schema


def fields_of(name: str) -> dict[str, Any]:
    declared = SCHEMA.get_type(name)
    assert isinstance(declared, GraphQLObjectType | GraphQLInputObjectType)
    return dict(declared.fields)


def described_things() -> Iterator[tuple[str, str | None]]:
    """Yield every type, field, argument and enum value of ours with its description."""
    for declared in SCHEMA.type_map.values():
        if declared.name.startswith("__"):
            continue
        yield declared.name, declared.description
        if isinstance(declared, GraphQLEnumType):
            yield from ((f"{declared.name}.{name}", value.description) for name, value in declared.values.items())
        if isinstance(declared, GraphQLObjectType | GraphQLInputObjectType):
            for name, field in declared.fields.items():
                yield f"{declared.name}.{name}", field.description
                arguments = field.args if isinstance(declared, GraphQLObjectType) else {}
                yield from ((f"{declared.name}.{name}({key})", it.description) for key, it in arguments.items())


def test_everything_is_described() -> None:
    things = dict(described_things())
    assert {"Query", "Direction.BOTH", "Mutation.uploadBars(file)", "BacktestInput.userId"} <= set(things)
    assert [name for name, description in things.items() if not description] == []


def test_only_required_fields_are_non_null() -> None:
    strict = [
        f"{declared.name}.{name}({key})"
        for declared in SCHEMA.type_map.values()
        if isinstance(declared, GraphQLObjectType) and not declared.name.startswith("__")
        for name, field in declared.fields.items()
        for key, argument in field.args.items()
        if isinstance(argument.type, GraphQLNonNull) and argument.default_value is not Undefined
    ]
    strict += [
        f"{declared.name}.{name}"
        for declared in SCHEMA.type_map.values()
        if isinstance(declared, GraphQLInputObjectType)
        for name, field in declared.fields.items()
        if isinstance(field.type, GraphQLNonNull) and field.default_value is not Undefined
    ]
    assert strict == []


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


def test_every_number_says_its_unit() -> None:
    units = (
        "per cent", "fraction", "ratio", "count", "bars", "quote currency", "base asset", "Index", "milliseconds",
        "Length", "at least this", "Seed", "same seed", "Fraction", "Bars", "As mlModel",
        "probability", "figure's unit", "reason's unit", "parameter's unit", "same unit",
        "calendar year", "0…100", "standard deviations", "average true ranges",
    )  # fmt: skip
    silent = [
        f"{declared.name}.{name}: {field.description}"
        for declared in SCHEMA.type_map.values()
        if isinstance(declared, GraphQLObjectType | GraphQLInputObjectType) and not declared.name.startswith("__")
        for name, field in declared.fields.items()
        if get_named_type(field.type).name in {"Int", "Float"}
        and not any(unit.lower() in field.description.lower() for unit in units)
    ]
    assert silent == []


def test_metrics_are_those_of_the_one_table() -> None:
    fields = fields_of("Metrics")
    assert set(fields) == {camel_case(definition.name) for definition in METRIC_DEFINITIONS}
    for definition in METRIC_DEFINITIONS:
        description = fields[camel_case(definition.name)].description
        assert definition.definition in description
        assert definition.unit in description


def test_inputs_have_every_declared_parameter() -> None:
    def names(kind: type, *left_out: str) -> set[str]:
        return {item.parameter.field for item in parameters_of(kind)} - set(left_out)

    market, model = names(MarketRequest), names(ModelParams)
    assert set(fields_of("OHLCVFetchInput")) == market
    common = names(BacktestRequest, *(market - {"symbol"}), "engine") | {"fetchInput"}
    assert set(fields_of("BacktestInput")) == common | {"maCrossoverParams"}
    assert set(fields_of("MLBacktestInput")) == common | {"mlModel", "engine"} | model - {"modelPath"}
    assert set(fields_of("MLModelInput")) == model
    assert set(fields_of("MACrossoverParams")) == names(CrossoverParams)


@pytest.mark.parametrize(
    ("place", "declared", "default"),
    [
        ("OHLCVFetchInput.interval", "String", "1d"),
        ("OHLCVFetchInput.limit", "Int", None),
        ("BacktestInput.userId", "String!", None),
        ("BacktestInput.symbol", "String", None),
        ("BacktestInput.fetchInput", "OHLCVFetchInput", None),
        ("BacktestInput.initCash", "Float", 10_000),
        ("BacktestInput.fees", "Float", 0.001),
        ("BacktestInput.slippage", "Float", 0.001),
        ("BacktestInput.barsPerYear", "Float", None),
        ("BacktestInput.riskFreeRate", "Float", 0.0),
        ("MLBacktestInput.riskFreeRate", "Float", 0.0),
        ("BacktestInput.useFallback", "Boolean", False),
        ("MACrossoverParams.fast", "Int", 20),
        ("MACrossoverParams.slow", "Int", 50),
        ("MLBacktestInput.engine", "Engine", "VECTORIZED"),
    ],
)
def test_types_and_defaults_of_inputs(place: str, declared: str, default: Any) -> None:
    type_name, _, name = place.partition(".")
    field = fields_of(type_name)[name]
    assert str(field.type) == declared
    shown = field.default_value
    assert getattr(shown, "value", shown) == default or (shown is Undefined and default is None)


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


def test_strategy_input_has_every_strategy_of_the_registry() -> None:
    assert set(fields_of("StrategyInput")) == {camel_case(name) for name in PARAMS}


async def test_symbol_is_accepted_in_fetch_input() -> None:
    client = GraphQLClient()
    await client.data(
        'mutation { runVectorizedBacktest(input: {userId: "alice", fetchInput: {symbol: "ETHUSDT"}}) { id } }'
    )
    assert client.backtests.asked[0].market.symbol == "ETHUSDT"


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


def rich_result() -> Any:
    result = make_result(
        4,
        id="rich",
        request=make_request(
            strategy=ModelParams(
                reference="m.pkl", threshold=0.6, feature_columns=("Open", "Close"),
                output_kind=OutputKind.PROBABILITY, sha256="a" * 64,
            ),
            annualization=AnnualizationSettings(bars_per_year=252.0, risk_free_rate=0.05),
        ),
        signals=Signals(
            action=np.array([1, 0, -1, 0], dtype=np.int8),
            probability=np.array([np.nan, 0.25, 0.75, 1.0]),
            strategy=StrategyDescription(name="model", parameters={"threshold": 0.6, "columns": ("Open", "Close")}),
        ),
        metrics=make_metrics(strategy_name="model", sharpe_ratio=None),
        quality=DataQuality(
            expected_bars=9, present_bars=4,
            gaps=(Gap(after_ms=START_MS, next_ms=START_MS + 1000, missing_bars=5),),
            duplicate_rows=1, disordered_rows=2,
            rejected_rows=(RejectedRow(open_time_ms=START_MS, reason="high below low"),),
        ),
        fingerprints=Fingerprints(bars="b" * 64, model="a" * 64, versions={"numpy": "2.4.6"}),
        warnings=("Mind the gap.",),
        cross_check=CrossCheck(
            differences=(FillDifference(index=0, vectorized="buy", event_driven=None),),
            left_out=("stopLoss",),
            largest_equity_difference=0.5,
        ),
    )  # fmt: skip
    assert result.signals.action[0] == Action.BUY
    return result


RICH = """{ backtest(id: "rich") {
  id symbol interval status createdAt userId engine origin warnings
  strategy { name fastMaPeriod slowMaPeriod threshold featureColumns outputKind modelSha256 parameters }
  settings { initCash fill direction limit useFallback entryBars barsPerYear riskFreeRate }
  data(first: 2, offset: 1) { Date portfolioValue signal close cash position probability }
  metrics { strategyName start end sharpeRatio winRate barsPerYear annualisation }
  totalTrades openTrades winningTrades losingTrades profitFactor winRate totalReturn sharpeRatio maxDrawdown
  totalFills fills(first: 1) { bar time side quantity price fee reason }
  trades { direction entryBar exitBar entryTime exitTime return profit isOpen exitReason barsHeld }
  reducedEntries ambiguousBars isLiquidated dataFingerprint modelSha256 versions { name version }
  timings { step milliseconds }
  crossCheck { differences { index vectorized eventDriven } leftOut largestEquityDifference }
  dataQuality {
    expectedBars presentBars missingBars gaps { after next missingBars } duplicateRows disorderedRows
    rejectedRows { date reason }
  }
} }"""


async def test_everything_that_a_result_shows() -> None:
    client = GraphQLClient()
    client.backtests.results["rich"] = rich_result()
    answer = (await client.data(RICH))["backtest"]
    assert answer["strategy"] == {
        "name": "model", "fastMaPeriod": None, "slowMaPeriod": None, "threshold": 0.6,
        "featureColumns": ["Open", "Close"], "outputKind": "PROBABILITY", "modelSha256": "a" * 64,
        "parameters": {"threshold": 0.6, "columns": ["Open", "Close"]},
    }  # fmt: skip
    assert answer["settings"] == {
        "initCash": 10_000, "fill": "SAME_CLOSE", "direction": "LONG", "limit": 1000, "useFallback": False,
        "entryBars": 1, "barsPerYear": 252.0, "riskFreeRate": 0.05,
    }  # fmt: skip
    assert [row["probability"] for row in answer["data"]] == [0.25, 0.75]
    assert [row["signal"] for row in answer["data"]] == ["hold", "sell"]
    assert answer["data"][0]["Date"] == "2020-09-14T12:26:40Z"
    assert answer["metrics"]["annualisation"] == "calendar"
    assert answer["metrics"]["start"] == "2020-09-13T12:26:40Z"
    assert (answer["sharpeRatio"], answer["metrics"]["sharpeRatio"], answer["profitFactor"]) == (None, None, None)
    assert (answer["totalTrades"], answer["winRate"], answer["totalReturn"]) == (1, 100.0, 2.505)
    assert (answer["totalFills"], len(answer["fills"])) == (2, 1)
    assert answer["fills"][0] == {
        "bar": 0, "time": "2020-09-13T12:26:40Z", "side": "buy", "quantity": 1.0, "price": 100.0, "fee": 0.0,
        "reason": "signal",
    }  # fmt: skip
    assert answer["trades"][0]["direction"] == "long"
    assert answer["trades"][0]["exitReason"] == "signal"
    assert answer["crossCheck"] == {
        "differences": [{"index": 0, "vectorized": "buy", "eventDriven": None}],
        "leftOut": ["stopLoss"],
        "largestEquityDifference": 0.5,
    }
    assert answer["dataQuality"] == {
        "expectedBars": 9, "presentBars": 4, "missingBars": 5,
        "gaps": [{"after": "2020-09-13T12:26:40Z", "next": "2020-09-13T12:26:41Z", "missingBars": 5}],
        "duplicateRows": 1, "disorderedRows": 2,
        "rejectedRows": [{"date": "2020-09-13T12:26:40Z", "reason": "high below low"}],
    }  # fmt: skip
    assert answer["versions"] == [{"name": "numpy", "version": "2.4.6"}]
    assert answer["timings"] == [{"step": "simulate", "milliseconds": 0.75}]
    assert (answer["warnings"], answer["dataFingerprint"], answer["modelSha256"]) == (
        ["Mind the gap."],
        "b" * 64,
        "a" * 64,
    )


@pytest.mark.parametrize(("arguments", "field"), [("first: -1", "first"), ("offset: -2", "offset")])
@pytest.mark.parametrize("rows", ["data", "fills", "trades"])
async def test_pages_of_rows(rows: str, arguments: str, field: str) -> None:
    client = GraphQLClient()
    client.backtests.results["rich"] = rich_result()
    error = await client.error(f'{{ backtest(id: "rich") {{ {rows}({arguments}) {{ __typename }} }} }}')
    assert without_hint(error["extensions"]) == {"code": "INVALID_INPUT", "field": field}
    assert await client.data(f'{{ backtest(id: "rich") {{ {rows}(offset: 100) {{ __typename }} }} }}') == {
        "backtest": {rows: []}
    }


async def test_pages_of_results_lead_to_each_other() -> None:
    client = GraphQLClient()
    for index in range(5):
        client.backtests.results[f"r{index}"] = make_result(id=f"r{index}", user_id="alice")
    client.backtests.results["other"] = make_result(id="other", user_id="bob")
    document = """query ($after: String) { backtests(user_id: "alice", first: 2, after: $after) {
        nodes { id symbol engine strategy { name fast_ma_period parameters } metrics { total_return } }
        edges { cursor node { id } }
        page_info { has_next_page end_cursor }
    } }"""
    seen, after = [], None
    for _ in range(3):
        page = (await client.data(document, {"after": after}))["backtests"]
        seen += [node["id"] for node in page["nodes"]]
        assert [edge["node"]["id"] for edge in page["edges"]] == [node["id"] for node in page["nodes"]]
        assert page["edges"][-1]["cursor"] == page["page_info"]["end_cursor"]
        after = page["page_info"]["end_cursor"]
        assert page["page_info"]["has_next_page"] is (after is not None)
    assert seen == ["r0", "r1", "r2", "r3", "r4"]
    assert after is None


async def test_results_side_by_side() -> None:
    client = GraphQLClient()
    for name in ("one", "two"):
        client.backtests.results[name] = make_result(id=name)
    data = await client.data('{ compareBacktests(ids: ["two", "one"]) { id symbol totalReturn strategy { name } } }')
    assert [entry["id"] for entry in data["compareBacktests"]] == ["two", "one"]
    error = await client.error('{ compareBacktests(ids: ["one", "none"]) { id } }')
    assert error["extensions"]["code"] == "RESULT_NOT_FOUND"
    for ids in ("[]", str(["one"] * 101).replace("'", '"')):
        error = await client.error(f"{{ compareBacktests(ids: {ids}) {{ id }} }}")
        assert without_hint(error["extensions"]) == {"code": "INVALID_INPUT", "field": "ids"}


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


async def test_rerun_lists_differences() -> None:
    client = GraphQLClient()
    client.backtests.results["old"] = make_result(id="old")
    document = 'mutation { rerunBacktest(id: "old") { originalId isReproduced differences result { id } } }'
    assert (await client.data(document))["rerunBacktest"] == {
        "originalId": "old", "isReproduced": False, "differences": ["candles"], "result": {"id": "result-1"},
    }  # fmt: skip


async def test_user_deletes_own_result() -> None:
    client = GraphQLClient()
    run = 'mutation { runVectorizedBacktest(input: {userId: "alice", symbol: "BTCUSDT"}) { id } }'
    kept = (await client.data(run))["runVectorizedBacktest"]["id"]
    document = "mutation ($id: ID!, $user: String!) { delete_backtest(id: $id, user_id: $user) { id symbol } }"
    error = await client.error(document, {"id": kept, "user": "bob"})
    assert without_hint(error["extensions"]) == {"code": "RESULT_NOT_FOUND"}
    deleted = await client.data(document, {"id": kept, "user": "alice"})
    assert deleted == {"delete_backtest": {"id": kept, "symbol": "BTCUSDT"}}
    error = await client.error(document, {"id": kept, "user": "alice"})
    assert without_hint(error["extensions"]) == {"code": "RESULT_NOT_FOUND"}


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
        " ".join(f"x{number}: Date" for number in range(48)),
        " ".join(f"{'y' * 62}{number:02}: Date" for number in range(24)),
    ):
        assert len((await client.data(document % selected))["backtest"]["data"]) == 100
    for fields, selected in (
        ("49 fields", " ".join(f"x{number}: Date" for number in range(49))),
        ("49 fields", f"{' '.join(f'x{number}: close' for number in range(48))} ... on DataPoint {{ __typename }}"),
        ("1 field", f"{'x' * (48 * 32 + 1)}: Date"),
    ):
        error = await client.error(document % selected)
        assert without_hint(error["extensions"]) == {"code": "TOO_LARGE"}
        assert error["path"] == ["backtest", "data"]
        assert error["message"] == (
            f"The fields of this document ask for 400 rows or more in all, where 100 rows of {fields} count 4 "
            "times: 16 fields with names of 32 characters are one row. Maximum: 300 (3 × MAX_ROWS_PER_ANSWER). Send "
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
