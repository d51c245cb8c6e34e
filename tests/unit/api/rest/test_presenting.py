from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from src.api.json_responses import JsonText
from src.api.rest.presenting import (
    present_result,
    present_summary,
)
from src.api.rest.tables import present_fills, present_trades
from src.api.spelling import snake_case
from src.domain.bar_quality import DataQuality, Gap, RejectedRow
from src.domain.instants import format_instant
from src.domain.intervals import DAY_MS
from src.domain.performance import METRIC_DEFINITIONS
from src.domain.runs import CrossCheck, FillDifference, ResultSummary
from src.domain.signals import Signals
from src.domain.simulation import FILL_DTYPE, TRADE_DTYPE
from src.domain.strategy import ModelParams
from tests.factories import START_MS, make_request, make_result

SUMMARY = ResultSummary(
    id="result-1",
    created_ms=START_MS,
    request=make_request(),
    metrics=make_result().metrics,
    origin="simulated",
    fingerprints=make_result().fingerprints,
    warnings=("a word",),
)


def written(data: object) -> Any:
    return orjson.loads(JsonText(data).whole())


def test_rows_have_the_values_of_the_arrays() -> None:
    result = make_result(bars=5)
    rows = written(present_result(result))["data"]
    assert [row["portfolio_value"] for row in rows] == result.simulation.equity.tolist()
    assert [row["cash"] for row in rows] == result.simulation.cash.tolist()
    assert [row["position"] for row in rows] == result.simulation.position.tolist()
    assert [row["close"] for row in rows] == result.close.tolist()
    assert [row["signal"] for row in rows] == ["buy", "hold", "hold", "hold", "sell"]
    assert [row["probability"] for row in rows] == [None] * 5
    assert rows[0]["Date"] == "2020-09-13T12:26:40Z"
    assert list(rows[0]) == ["Date", "portfolio_value", "signal", "close", "cash", "position", "probability"]


def test_signals_that_only_close_read_as_their_side() -> None:
    result = make_result(bars=5)
    signals = replace(result.signals, action=np.array([1, -2, -1, 2, 0], dtype=np.int8))
    rows = written(present_result(replace(result, signals=signals)))["data"]
    assert [row["signal"] for row in rows] == ["buy", "sell", "sell", "buy", "hold"]


def test_pieces_of_long_tables_form_valid_json() -> None:
    result = make_result(bars=40_000)
    rows = written(present_result(result))["data"]
    assert [row["portfolio_value"] for row in rows] == result.simulation.equity.tolist()
    assert [row["signal"] for row in rows].count("hold") == 39_998


def test_not_a_number_becomes_null() -> None:
    result = make_result(bars=3)
    probability = np.array([np.nan, 0.25, 1.0])
    signals = Signals(action=result.signals.action, strategy=result.signals.strategy, probability=probability)
    rows = written(present_result(replace(result, signals=signals)))["data"]
    assert [row["probability"] for row in rows] == [None, 0.25, 1.0]


def test_every_metric_is_there_and_dates_are_text() -> None:
    metrics = written(present_result(make_result()))["metrics"]
    assert list(metrics) == [definition.name for definition in METRIC_DEFINITIONS]
    assert metrics["start"] == "2020-09-13T12:26:40Z"
    assert metrics["profit_factor"] is None


def test_head_repeats_the_main_metrics() -> None:
    presented = written(present_result(make_result()))
    for name in ("total_trades", "winning_trades", "losing_trades", "profit_factor", "win_rate"):
        assert presented[name] == presented["metrics"][name]
    assert (presented["status"], presented["engine"], presented["interval"]) == ("success", "VECTORIZED", "1d")
    assert presented["strategy"]["fast_ma_period"] == 20
    assert presented["strategy"]["parameters"] == {"fast": 20, "slow": 50}
    assert presented["strategy"]["threshold"] is None
    assert presented["settings"]["fill"] == "SAME_CLOSE"
    assert (presented["settings"]["bars_per_year"], presented["settings"]["risk_free_rate"]) == (None, 0.0)
    assert presented["metrics"]["annualisation"] == "calendar"


def test_summary_is_a_result_without_tables() -> None:
    presented = written(present_summary(SUMMARY))
    whole = written(present_result(make_result()))
    assert set(presented) < set(whole)
    assert set(whole) - set(presented) == {
        "total_fills", "reduced_entries", "dropped_entries", "ambiguous_bars", "is_liquidated", "liquidations",
        "data_quality", "timings", "cross_check", "data", "detail", "fills", "trades", "judgement", "in_sample",
        "out_of_sample",
    }  # fmt: skip


def test_model_settings_are_shown() -> None:
    request = make_request(strategy=ModelParams(threshold=0.7, feature_columns=("Open",)))
    settings = written(present_result(make_result(request=request)))["settings"]
    assert (settings["threshold"], settings["feature_columns"], settings["output_kind"]) == (0.7, ["Open"], None)


def test_trades_and_fills_speak_in_words() -> None:
    fills = np.array([(3, START_MS, -1, 2.0, 10.0, 0.02, 3, 7, 0.0, 0.0)], dtype=FILL_DTYPE)
    assert written(present_fills(fills)) == [
        {"bar": 3, "time": "2020-09-13T12:26:40Z", "side": "sell", "quantity": 2.0, "price": 10.0, "fee": 0.02,
         "reason": "trailing_stop", "trade": 7}
    ]  # fmt: skip
    trades = np.zeros(2, dtype=TRADE_DTYPE)
    trades["direction"] = (1, -1)
    trades["exit_reason"] = (0, -1)
    trades["is_open"] = (False, True)
    rows = written(present_trades(trades))
    assert [row["direction"] for row in rows] == ["long", "short"]
    assert [row["exit_reason"] for row in rows] == ["signal", None]
    assert [row["is_open"] for row in rows] == [False, True]


def test_tables_without_rows_are_empty_lists() -> None:
    assert written(present_fills(np.zeros(0, dtype=FILL_DTYPE))) == []
    assert written(present_trades(np.zeros(0, dtype=TRADE_DTYPE))) == []


def test_quality_of_the_bars_is_shown() -> None:
    quality = DataQuality(
        expected_bars=12,
        present_bars=10,
        gaps=(Gap(after_ms=START_MS, next_ms=START_MS + 3 * DAY_MS, missing_bars=2),),
        rejected_rows=(RejectedRow(open_time_ms=START_MS, reason="low above high"),),
    )
    check = CrossCheck(
        differences=(FillDifference(index=0, vectorized=None, event_driven="buy"),),
        left_out=("stopLoss",),
        largest_equity_difference=0.5,
    )
    presented = written(present_result(make_result(quality=quality, cross_check=check)))
    assert presented["data_quality"]["gaps"][0]["next"] == "2020-09-16T12:26:40Z"
    assert presented["data_quality"]["rejected_rows"][0]["reason"] == "low above high"
    assert presented["cross_check"]["differences"] == [{"index": 0, "vectorized": None, "event_driven": "buy"}]


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1_700_000_000_123, "2023-11-14T22:13:20.123Z"), (-1, "1969-12-31T23:59:59.999Z")],
)
def test_instants_are_written_as_iso_8601(time_ms: int, text: str) -> None:
    assert format_instant(time_ms) == text


@pytest.mark.parametrize(
    ("camel", "snake"), [("initCash", "init_cash"), ("user_id", "user_id"), ("fastMaPeriod", "fast_ma_period")]
)
def test_names_are_in_snake_case(camel: str, snake: str) -> None:
    assert snake_case(camel) == snake
