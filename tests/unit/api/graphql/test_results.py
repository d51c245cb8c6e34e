"""Stored results over GraphQL: every field, pages, comparisons, reruns, deletion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from src.domain.annualization import AnnualizationSettings
from src.domain.bar_quality import DataQuality, Gap, RejectedRow
from src.domain.runs import CrossCheck, FillDifference, Fingerprints
from src.domain.signals import Action, OutputKind, Signals, StrategyDescription
from src.domain.strategy import ModelParams
from tests.factories import START_MS, make_metrics, make_request, make_result
from tests.graphql_app import GraphQLClient, without_hint


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
