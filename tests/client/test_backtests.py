"""Backtests by the client against a real server: what it sends, and what a run shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from backtesting_client import Client, ClientError, InvalidRequest, NotFound, Run, StoredModel
from backtesting_client.values import json_values, text_values
from tests.client.conftest import MARKET

COLUMNS = ["Open", "High", "Low", "Close", "Volume"]


@pytest.fixture(scope="module")
def model() -> LogisticRegression:
    """A classifier of rows with the five columns of a bar."""
    rows = pd.DataFrame(np.random.default_rng(1).uniform(50, 150, (300, 5)), columns=COLUMNS)
    return LogisticRegression(max_iter=2000).fit(rows, rows["Close"] > rows["Open"])


def raw(bt: Client, run: Run, table: str) -> list[dict[str, object]]:
    answer = httpx.get(f"{bt.url}/api/backtests/{run.id}/{table}", params={"first": 100_000}).json()
    rows: list[dict[str, object]] = answer["data"]["items"]
    return rows


def test_strategy_parameters_and_settings_reach_the_service(rsi_run: Run) -> None:
    assert rsi_run.result["strategy"]["parameters"]["length"] == 5
    settings = rsi_run.result["settings"]
    assert (settings["stop_loss"], settings["seed"], settings["limit"]) == (0.05, 7, 800)
    assert (rsi_run.result["engine"], rsi_run.result["interval"]) == ("EVENT_DRIVEN", "1h")


def test_strategy_without_parameters_runs(bt: Client) -> None:
    assert bt.run("buy_and_hold", "BTCUSDT", **MARKET).result["strategy"]["name"] == "Buy and Hold"


def test_tables_equal_those_of_the_service(bt: Client, rsi_run: Run) -> None:
    bars, fills, trades = (raw(bt, rsi_run, table) for table in ("data", "fills", "trades"))
    assert len(fills) > 2
    assert rsi_run.equity["equity"].tolist() == [row["portfolio_value"] for row in bars]
    assert rsi_run.equity["close"].tolist() == [row["close"] for row in bars]
    assert rsi_run.equity.index.strftime("%Y-%m-%dT%H:%M:%SZ").tolist() == [row["Date"] for row in bars]
    for name in ("price", "side", "reason"):
        assert rsi_run.fills[name].tolist() == [row[name] for row in fills]
    assert rsi_run.trades["profit"].tolist() == [row["profit"] for row in trades]
    assert rsi_run.trades["return"].tolist() == [row["return"] for row in trades]


def test_series_has_the_columns_that_are_asked_for(rsi_run: Run) -> None:
    series = rsi_run.series()
    assert list(series.columns) == ["open", "high", "low", "close", "volume", "equity", "buy_and_hold"]
    pd.testing.assert_series_equal(series["equity"], rsi_run.equity["equity"])
    assert (series["low"] <= series["close"]).all()
    reduced = rsi_run.series(["equity"], points=10)
    assert len(reduced) == 10
    assert reduced["equity"].iloc[-1] == rsi_run.equity["equity"].iloc[-1]
    assert reduced["equity_low"].min() == rsi_run.equity["equity"].min()
    begin, end = rsi_run.equity.index[[3, 7]]
    pd.testing.assert_frame_equal(rsi_run.series(["cash"], start=begin, end=end), rsi_run.equity[["cash"]][3:8])


def test_result_is_sent_without_its_tables(
    rsi_run: Run, bt: Client, model: LogisticRegression, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[set[str]] = []
    build = Run.__init__
    monkeypatch.setattr(
        Run, "__init__", lambda run, on, result: [received.append(set(result)), build(run, on, result)][1]
    )
    bt.get(rsi_run.id)
    bt.run("buy_and_hold", "BTCUSDT", **MARKET)
    bt.backtest(model, "BTCUSDT", "1h", **MARKET)
    assert len(received) == 3
    assert all(names.isdisjoint({"data", "fills", "trades"}) for names in received)


@pytest.mark.filterwarnings("ignore:The bars are simulated:backtesting_client.BacktestingWarning")
def test_tables_longer_than_a_response_are_read_in_parts(own_service: Callable[..., tuple[str, object]]) -> None:
    with Client(own_service(max_rows_per_answer=100)[0], progress=False) as bt:
        run = bt.run("rsi", "BTCUSDT", "1h", length=2, low=45, high=55, **MARKET)
        assert len(run.fills) > 100
        assert run.fills.index.is_monotonic_increasing
        assert len(run.fills) == run.result["total_fills"]
        assert len(run.equity) == 800
        assert run.equity.index.is_monotonic_increasing
        assert run.equity.index.is_unique
        assert len(run.equity.loc[run.equity.index[150] :]) == 650
        assert len(run.series(["cash"], start=run.equity.index[150])) == 650
        bars = bt.candles("BTCUSDT", "1h", **MARKET)
        pd.testing.assert_series_equal(bars["close"], run.equity["close"])
        assert len(bt.features("BTCUSDT", "1h", **MARKET)) == 800


def test_equity_has_every_bar_and_figures_agree(rsi_run: Run) -> None:
    equity = rsi_run.equity["equity"]
    assert len(equity) == rsi_run.metrics["bars"] == 800
    assert str(equity.index.tz) == "UTC"
    gained = 100 * (equity.iloc[-1] / rsi_run.result["settings"]["init_cash"] - 1)
    assert rsi_run.metrics["total_return"] == pytest.approx(gained, rel=1e-12)


def test_metric_that_does_not_exist_is_nan(bt: Client) -> None:
    metrics = bt.run("rsi", "BTCUSDT", length=5, low=0, high=100, **MARKET).metrics
    assert metrics["total_trades"] == 0
    assert math.isnan(metrics["win_rate"])
    assert metrics.dtype == float


def test_verdict_has_level_objections_and_notes(rsi_run: Run) -> None:
    told = rsi_run.judgement
    assert told is not None
    assert rsi_run.verdict.level == told["verdict"]["level"]
    assert [reason.text for reason in rsi_run.verdict.reasons] == [item["text"] for item in told["verdict"]["reasons"]]
    notes = {item["code"] for item in told["verdict"]["reasons"] if item["level"] is None}
    assert "SIMULATED_PRICES" in notes
    assert {reason.code for reason in rsi_run.verdict.objections}.isdisjoint(notes)
    first, *lines = str(rsi_run.verdict).splitlines()
    assert first == rsi_run.verdict.level
    assert len(lines) == len(rsi_run.verdict.reasons)


def test_estimator_equals_its_file(bt: Client, model: LogisticRegression, tmp_path: Path) -> None:
    joblib.dump(model, tmp_path / "saved.joblib")
    dumped = bt.backtest(model, "BTCUSDT", "1h", threshold=0.4, **MARKET)
    saved = bt.backtest(tmp_path / "saved.joblib", "BTCUSDT", "1h", threshold=0.4, **MARKET)
    assert dumped.result["strategy"]["feature_columns"] in (None, COLUMNS)
    assert dumped.metrics["total_trades"] > 0
    pd.testing.assert_frame_equal(dumped.fills, saved.fills)


def test_training_window_splits_the_bars(bt: Client, model: LogisticRegression) -> None:
    whole = bt.run("buy_and_hold", "BTCUSDT", "1h", **MARKET)
    trained_to = whole.equity.index[399]
    run = bt.backtest(model, "BTCUSDT", "1h", trained_to=trained_to, **MARKET)
    assert run.in_sample is not None
    assert run.out_of_sample is not None
    assert run.in_sample.metrics["bars"] == 400
    later = run.result["out_of_sample"]
    assert run.out_of_sample.metrics["total_return"] == later["metrics"]["total_return"]
    assert run.out_of_sample.verdict.level == later["judgement"]["verdict"]["level"]
    assert f"after training: {run.out_of_sample.verdict.level}" in repr(run)
    assert whole.out_of_sample is None


def test_stored_model_is_listed_run_and_deleted(bt: Client, model: LogisticRegression) -> None:
    stored = bt.upload_model(model, "stored", trained_to="2020-12-31")
    try:
        assert stored.filename in [item.filename for item in bt.models()]
        run = bt.backtest(stored, "BTCUSDT", "1h", **MARKET)
        assert run.result["model_sha256"] == stored.info["sha256"]
        assert run.result["strategy"]["trained_to"].startswith("2020-12-31")
    finally:
        bt.delete_model(stored)
    assert bt.models() == []


def test_model_that_is_no_estimator_is_refused(bt: Client) -> None:
    class Network:
        __module__ = "torch.nn"

        def predict(self) -> None: ...

    with pytest.raises(TypeError, match=r"Allowed: a trained estimator, a path, or a StoredModel"):
        bt.backtest(object(), "BTCUSDT")
    with pytest.raises(TypeError, match="StoredModel"):
        bt.backtest(LogisticRegression, "BTCUSDT")
    with pytest.raises(TypeError, match=r"torch\.jit\.script"):
        bt.backtest(Network(), "BTCUSDT")
    unfinished = LogisticRegression()
    unfinished.rows = (number for number in range(3))  # no pickler takes a generator
    with pytest.raises(ClientError, match="cannot be dumped"):
        bt.backtest(unfinished, "BTCUSDT")
    with pytest.raises(FileNotFoundError):
        bt.backtest("no_such_file.onnx", "BTCUSDT")


def test_rules_run_with_their_numbers(bt: Client) -> None:
    run = bt.rules("BTCUSDT", "1h", buy="rsi({n}) < 40", sell="rsi({n}) > 60", parameters={"n": 5}, **MARKET)
    assert run.result["strategy"]["parameters"]["parameters"] == {"n": 5}
    assert run.metrics["total_trades"] > 0
    assert bt.check_rules(buy="rsi(14) < 30")["faults"] == []


def test_wrong_rule_names_its_place(bt: Client) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bt.rules("BTCUSDT", buy="close >\n  nothing", **MARKET)
    error = refused.value
    assert (error.code, error.status, error.field, error.line, error.column) == ("INVALID_RULE", 422, "buy", 2, 3)
    assert error.hint is not None
    assert "line 2, column 3" in str(error)
    assert error.hint in str(error)


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"fees": 2}, "fees"), ({"lenght": 3}, "lenght"), ({"start": "soon"}, "start_date"), ({"low": 90}, "low")],
)
def test_wrong_setting_is_named(bt: Client, settings: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bt.run("rsi", "BTCUSDT", **settings)
    assert (refused.value.code, refused.value.field) == ("INVALID_INPUT", field)


def test_unknown_strategy_is_answered_with_the_known_ones(bt: Client) -> None:
    with pytest.raises(InvalidRequest, match=r"Known fields: .*bollinger"):
        bt.run("no_such_strategy", "BTCUSDT")


def test_run_is_read_listed_compared_rerun_and_deleted(bt: Client, rsi_run: Run) -> None:
    again = bt.get(rsi_run.id)
    assert again.result["judgement"] == rsi_run.result["judgement"]
    rerun = rsi_run.rerun()
    assert rerun.result["differences"] == []
    listed = bt.runs("BTCUSDT")
    assert listed.loc[rerun.id, "total_return"] == rsi_run.metrics["total_return"]
    assert listed.index[0] == rerun.id
    assert len(bt.runs(most=1)) == 1
    assert bt.runs("NOSUCHUSDT").empty
    compared = bt.compare(rsi_run, rerun.id)
    assert list(compared.columns) == [rsi_run.id, rerun.id]
    assert (compared.loc["sharpe_ratio"] == rsi_run.metrics["sharpe_ratio"]).all()
    assert compared.loc["verdict_level", rerun.id] == rsi_run.verdict.level
    bt.delete(rerun)
    with pytest.raises(NotFound) as gone:
        bt.get(rerun.id)
    assert gone.value.code == "RESULT_NOT_FOUND"


def test_more_results_than_a_page_are_listed(bt: Client, rsi_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backtesting_client.client._PAGE_RESULTS", 1)
    second = rsi_run.rerun()
    assert list(bt.runs(most=2).index) == [second.id, bt.runs(most=50).index[1]]
    bt.delete(second)


def test_hostile_id_stays_one_part_of_the_path(bt: Client) -> None:
    for hostile in ("x?rows=false", "%2e%2e", "..", "x%2Fdata", "#"):
        with pytest.raises(NotFound):
            bt.get(hostile)
    for divided in ("../../health", "a/data"):
        with pytest.raises(ValueError, match="has a slash"):
            bt.delete(divided)


def test_values_are_written_as_the_service_reads_them() -> None:
    east = timezone(timedelta(hours=9))
    given = {
        "start": date(2024, 1, 31),
        "end": datetime(2024, 2, 1, 9, tzinfo=east),
        "trained_to": pd.Timestamp("2024-01-31 12:00"),
        "trained_from": np.datetime64("2023-01-01"),
        "limit": np.int64(5),
        "feature_columns": pd.Index(["Open", "Close"]),
        "cross_check": True,
        "seed": None,
    }
    assert json_values(given) == {
        "start_date": "2024-01-31",
        "end_date": "2024-02-01T00:00:00+00:00",
        "trained_to": "2024-01-31T12:00:00+00:00",
        "trained_from": "2023-01-01T00:00:00+00:00",
        "limit": 5,
        "feature_columns": ["Open", "Close"],
        "cross_check": True,
    }
    assert text_values({"feature_columns": ["Open", "Close"], "cross_check": True, "fees": 0.001}) == {
        "feature_columns": "Open,Close",
        "cross_check": "true",
        "fees": "0.001",
    }


def test_model_of_another_user_is_not_found(bt: Client) -> None:
    with pytest.raises(NotFound) as missing:
        bt.backtest(StoredModel("me_no_such.joblib", {}), "BTCUSDT", **MARKET)
    assert missing.value.code == "MODEL_NOT_FOUND"
