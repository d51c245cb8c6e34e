"""What is checked of a stored result when asked: nearby parameters, minutes inside bars, all trials by now."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from src.bars.resampling import resample
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from tests.exchange import LoopbackExchange
from tests.integration.conftest import service_settings
from tests.market import random_bars
from tests.server import RunningService

DAYS = 40
CSV = "date,open,high,low,close,volume\n" + "".join(
    f"{np.datetime64('2024-01-01') + day},{10 + day % 7},{20 + day % 7},{5 + day % 7},{11 + day % 5},1\n"
    for day in range(40)
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the service on minutes and the hours that they make."""
    made = random_bars(DAYS * 1440, seed=5, interval="1m", volatility=0.002)
    minutes = Bars(**{name: getattr(made, name) for name in made.__slots__} | {"symbol": "BTCUSDT"})
    first = int(minutes.open_time_ms[0])
    hours = resample(
        minutes, INTERVALS["1h"], start_ms=-(-first // 3_600_000) * 3_600_000, stop_ms=int(minutes.open_time_ms[-1])
    )
    with (
        LoopbackExchange([minutes, hours]) as exchange,
        RunningService(service_settings(exchange.url, tmp_path_factory.mktemp("checks"))) as running,
    ):
        yield running.url


def run(service: str, **fields: Any) -> dict[str, Any]:
    body = {
        "user_id": "checks",
        "symbol": "BTCUSDT",
        "interval": "1h",
        "limit": 600,
        "engine": "EVENT_DRIVEN",
        **fields,
    }
    sent = httpx.post(f"{service}/api/backtests", json=body, timeout=60)
    assert sent.status_code == 200, sent.text
    result: dict[str, Any] = sent.json()["data"]
    return result


def ask(service: str, result: dict[str, Any], check: str) -> Any:
    answer = httpx.get(f"{service}/api/backtests/{result['id']}/{check}", timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_neighbors_are_runs_of_their_own(service: str) -> None:
    result = run(service, fast=10, slow=30)
    found = ask(service, result, "neighbors")
    assert len(found["rows"]) == 25
    [chosen] = [row for row in found["rows"] if row["is_chosen"]]
    assert chosen["values"] == [{"name": "fast", "value": 10.0}, {"name": "slow", "value": 30.0}]
    assert chosen["total_return"] == result["metrics"]["total_return"]
    [other] = [row for row in found["rows"] if [item["value"] for item in row["values"]] == [12.0, 24.0]]
    alone = run(service, fast=12, slow=24)
    assert (other["total_return"], other["sharpe_ratio"]) == (alone["total_return"], alone["sharpe_ratio"])
    assert ask(service, result, "neighbors") == found


def test_minutes_settle_what_hours_do_not_tell(service: str) -> None:
    result = run(service, fast=3, slow=8, stop_loss=0.006, take_profit=0.006)
    band = result["judgement"]["fill_band"]
    assert band["ambiguous_bars"] > 0
    fills = ask(service, result, "resolved-fills")
    assert fills["resolved_bars"] > 0
    low, high = sorted((band["pessimistic_return"], band["optimistic_return"]))
    assert low - 1e-9 <= fills["total_return"] <= high + 1e-9
    assert ask(service, run(service, fast=3, slow=8), "resolved-fills") is None


def test_deflation_now_counts_later_trials(service: str) -> None:
    result = run(service, fast=3, slow=8, user_id="now")
    assert ask(service, result, "deflation") == result["judgement"]["deflation"]
    run(service, fast=5, slow=40, user_id="now")
    now = ask(service, result, "deflation")
    assert now["trials"] == 2
    assert result["judgement"]["deflation"]["trials"] == 1
    benchmarks = result["judgement"]["benchmarks"]
    p_value, effective = benchmarks["timing"]["p_value"], now["active_trials_effective"]
    assert result["judgement"]["deflation"]["timing_deflated"] == benchmarks["timing_deflated"] == p_value
    assert 1 < effective <= 2
    assert now["timing_deflated"] == pytest.approx(1 - (1 - p_value) ** effective)
    query = """query ($id: ID!) { backtest(id: $id) {
      deflationNow { trials dsr activeTrialsEffective timingDeflated } neighbors { rank sharePositive }
      resolvedFills { resolvedBars } judgement { deflation { trials } } } }"""
    answer = httpx.post(f"{service}/graphql", json={"query": query, "variables": {"id": result["id"]}}, timeout=60)
    found = answer.json()["data"]["backtest"]
    assert found["deflationNow"] == {
        "trials": 2, "dsr": now["dsr"], "activeTrialsEffective": effective, "timingDeflated": now["timing_deflated"],
    }  # fmt: skip
    assert found["neighbors"]["rank"] >= 1
    assert found["resolvedFills"] is None
    assert found["judgement"]["deflation"]["trials"] == 1


@pytest.mark.parametrize("check", ["neighbors", "resolved-fills", "deflation", "judgement"])
def test_checks_of_missing_results_are_not_found(service: str, check: str) -> None:
    assert httpx.get(f"{service}/api/backtests/unknown/{check}").status_code == 404
    result = run(service, fast=4, slow=9)
    ask(service, result, check)
    httpx.delete(f"{service}/api/backtests/{result['id']}", params={"user_id": "checks"})
    assert httpx.get(f"{service}/api/backtests/{result['id']}/{check}").status_code == 404


def cause_of(service: str, result: dict[str, Any], check: str) -> str:
    """Return the code of why a check was not made, which is also its message."""
    answer = httpx.get(f"{service}/api/backtests/{result['id']}/{check}", timeout=60).json()
    assert answer["data"] is None
    assert answer["unchecked"]["why"] == answer["message"]
    code: str = answer["unchecked"]["code"]
    return code


def test_checks_that_are_not_made_say_why(service: str) -> None:
    up_down = run(service, strategy={"up_down": True})
    assert cause_of(service, up_down, "neighbors") == "NO_NUMERIC_PARAMETER"
    assert cause_of(service, up_down, "resolved-fills") == "NO_AMBIGUOUS_BARS"
    simulated = run(service, source="simulated", seed=3)
    assert cause_of(service, simulated, "other-markets") == "NO_BAR_CACHE"
    httpx.post(
        f"{service}/api/data/upload",
        files={"file": ("mine.csv", CSV)},
        data={"user_id": "checks", "name": "mine", "symbol": "MINE", "interval": "1d"},
    ).raise_for_status()
    own = run(service, source="mine", symbol="MINE", interval="1d", limit=40, fast=2, slow=3)
    assert cause_of(service, own, "other-markets") == "NO_BAR_CACHE"


OTHERS = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT", "SHORTUSDT")
OWN = {"fast": 5, "slow": 12, "limit": 300, "engine": "VECTORIZED"}


def named(symbol: str, seed: int) -> Bars:
    made = random_bars(400, seed=seed, interval="1h", volatility=0.01)
    return Bars(**{name: getattr(made, name) for name in made.__slots__} | {"symbol": symbol})


def ask_by_graphql(service: str, result: dict[str, Any]) -> Any:
    query = """query ($id: ID!) { backtest(id: $id) { otherMarketsUnchecked { code }
      otherMarkets { positiveSharpe beatsBuyAndHold summary skipped { symbol } markets { symbol totalReturn } } } }"""
    answer = httpx.post(f"{service}/graphql", json={"query": query, "variables": {"id": result["id"]}}, timeout=60)
    return answer.json()["data"]["backtest"]


def test_other_markets_are_runs_of_their_own(tmp_path: Path) -> None:
    series = [named(symbol, seed) for seed, symbol in enumerate(("BTCUSDT", *OTHERS))]
    with (
        LoopbackExchange(series) as exchange,
        RunningService(service_settings(exchange.url, tmp_path)) as running,
    ):
        result, later = run(running.url, **OWN), run(running.url, **OWN | {"slow": 13})
        assert cause_of(running.url, result, "other-markets") == "NO_OTHER_MARKET"
        run(running.url, **OWN | {"limit": 100}, symbol="SHORTUSDT")
        alone = {"DDDUSDT": run(running.url, **OWN, symbol="DDDUSDT")}
        # Fewer than three are asked for anew when more are stored.
        assert [row["symbol"] for row in ask(running.url, result, "other-markets")["markets"]] == ["DDDUSDT"]
        alone |= {symbol: run(running.url, **OWN, symbol=symbol) for symbol in reversed(OTHERS[:3])}
        calls = len(exchange.asked)
        found = ask(running.url, result, "other-markets")
        assert len(exchange.asked) == calls, "nothing is downloaded"
        shown = ask_by_graphql(running.url, result)
        exchange.stop()
        offline = ask(running.url, later, "other-markets")
    markets = found["markets"]
    assert [row["symbol"] for row in markets] == [row["symbol"] for row in offline["markets"]] == list(OTHERS[:3])
    for row in markets:
        metrics = alone[row["symbol"]]["metrics"]
        assert row == {name: metrics[name] for name in row.keys() - {"symbol"}} | {"symbol": row["symbol"]}
    assert found["positive_sharpe"] == sum(row["sharpe_ratio"] > 0 for row in markets)
    better = [row["total_return"] > row["buy_and_hold_return"] for row in markets]
    assert found["beats_buy_and_hold"] == sum(better)
    assert set(better) == {True, False}, "else the count could be another figure"
    assert found["skipped"] == []
    assert shown["otherMarketsUnchecked"] is None
    assert shown["otherMarkets"] == {
        "positiveSharpe": found["positive_sharpe"],
        "beatsBuyAndHold": found["beats_buy_and_hold"],
        "summary": found["summary"],
        "skipped": [],
        "markets": [{"symbol": row["symbol"], "totalReturn": row["total_return"]} for row in markets],
    }


def test_market_that_fails_is_skipped(tmp_path: Path) -> None:
    """A market on which the equity grows without end is no reason to say nothing about the others."""
    # Each time the price rises from 1e-6 to 1e10, stays, and falls at once.
    rise = np.concatenate((np.linspace(-6, 10, 20), [9.9, 9.8, 9.7]))
    made = named("AAAUSDT", 1)
    close = np.resize(10.0**rise, len(made))
    endless = Bars(
        symbol="AAAUSDT",
        interval=made.interval,
        open_time_ms=made.open_time_ms,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=made.volume,
    )
    up_down = {"limit": 400, "engine": "VECTORIZED", "strategy": {"up_down": True}}
    with (
        LoopbackExchange([named("BTCUSDT", 0), endless, named("BBBUSDT", 2)]) as exchange,
        RunningService(service_settings(exchange.url, tmp_path)) as running,
    ):
        result = run(running.url, **up_down)
        run(running.url, **up_down, symbol="BBBUSDT")
        body = {"user_id": "checks", "symbol": "AAAUSDT", "interval": "1h", **up_down}
        refused = httpx.post(f"{running.url}/api/backtests", json=body, timeout=60)
        assert "grows beyond" in refused.json()["detail"]
        found = ask(running.url, result, "other-markets")
    assert [row["symbol"] for row in found["markets"]] == ["BBBUSDT"]
    [skipped] = found["skipped"]
    assert skipped["symbol"] == "AAAUSDT"
    assert "grows beyond" in skipped["why"]


def test_model_is_run_on_other_markets(tmp_path: Path) -> None:
    own, other = named("BTCUSDT", 0), named("BBBUSDT", 2)
    table = np.column_stack([own.open, own.high, own.low, own.close, own.volume])
    rises = np.append(own.close[1:] > own.close[:-1], False)
    content = pickle.dumps(DecisionTreeClassifier(max_depth=5, random_state=1).fit(table, rises))
    with (
        LoopbackExchange([own, other]) as exchange,
        RunningService(service_settings(exchange.url, tmp_path)) as running,
    ):
        form = {"user_id": "checks", "model_name": "tree"}
        file = {"file": ("model.pkl", content)}
        sent = httpx.post(f"{running.url}/api/models/upload", data=form, files=file, timeout=60).json()["data"]
        columns = ["Open", "High", "Low", "Close", "Volume"]
        strategy = {"model": {"model_path": sent["filename"], "feature_columns": columns, "threshold": 0.5}}
        given: dict[str, Any] = {"limit": 300, "engine": "VECTORIZED", "strategy": strategy}
        result, alone = run(running.url, **given), run(running.url, **given, symbol="BBBUSDT")
        assert cause_of(running.url, result, "neighbors") == "READS_MODEL"
        found = ask(running.url, result, "other-markets")
        market = {"symbol": "BTCUSDT", "interval": "1h", "limit": "300", "feature_columns": ",".join(columns)}
        sent_along = httpx.post(
            f"{running.url}/api/models/backtest/ml", data={"user_id": "checks", **market}, files=file, timeout=60
        ).json()["data"]
        assert cause_of(running.url, sent_along, "other-markets") == "MODEL_NOT_STORED"
        httpx.delete(f"{running.url}/api/models/user/checks/model/{sent['filename']}").raise_for_status()
        assert cause_of(running.url, result, "other-markets") == "MODEL_NOT_STORED"
    [row] = found["markets"]
    assert row.pop("symbol") == "BBBUSDT"
    assert row["total_trades"] > 0
    assert row == {name: alone["metrics"][name] for name in row}


def test_detail_interval_trades_by_minutes(service: str) -> None:
    fields = {"fast": 3, "slow": 8, "stop_loss": 0.006, "take_profit": 0.006, "trailing_stop": 0.005}
    plain = run(service, **fields)
    result = run(service, **fields, detail_interval="1m")
    detail = result["detail"]
    assert result["settings"]["detail_interval"] == "1m"
    assert plain["detail"] is None
    assert detail["interval"] == "1m"
    assert detail["resolved_bars"] > 30
    assert detail["unresolved_bars"] == 0
    assert detail["ambiguous_bars_without"] == plain["ambiguous_bars"] > result["ambiguous_bars"]
    assert detail["total_return_without"] == plain["metrics"]["total_return"] != result["metrics"]["total_return"]
    stored = httpx.get(f"{service}/api/backtests/{result['id']}", timeout=60).json()["data"]
    assert stored["detail"] == detail
    again = httpx.post(f"{service}/api/backtests/{result['id']}/rerun", timeout=60).json()["data"]
    assert again["differences"] == []
    assert again["result"]["detail"] == detail
    assert ask(service, result, "resolved-fills") is None
    query = "query ($id: ID!) { backtest(id: $id) { detail { interval resolvedBars totalReturnWithout fingerprint } } }"
    answer = httpx.post(f"{service}/graphql", json={"query": query, "variables": {"id": result["id"]}}, timeout=60)
    assert answer.json()["data"]["backtest"]["detail"] == {
        "interval": "1m", "resolvedBars": detail["resolved_bars"], "fingerprint": detail["fingerprint"],
        "totalReturnWithout": detail["total_return_without"],
    }  # fmt: skip


@pytest.mark.parametrize("given", ["1h", "7m", "4h"])
def test_detail_of_longer_bars_is_refused(service: str, given: str) -> None:
    body = {"user_id": "checks", "symbol": "BTCUSDT", "interval": "1h", "engine": "EVENT_DRIVEN"}
    sent = httpx.post(f"{service}/api/backtests", json={**body, "detail_interval": given}, timeout=60)
    assert sent.status_code == 422, sent.text
    assert "detail_interval" in sent.json()["detail"]
    assert "30m, 15m, 5m, 3m, 1m, 1s" in sent.json()["detail"] or given == "7m"


def test_sweeps_and_vectorized_engine_refuse_detail(service: str) -> None:
    body = {"user_id": "checks", "symbol": "BTCUSDT", "interval": "1h", "detail_interval": "1m"}
    sent = httpx.post(f"{service}/api/backtests", json={**body, "engine": "VECTORIZED"}, timeout=60)
    assert sent.status_code == 422
    assert "detail_interval" in sent.text
    swept = {"backtest": {**body, "engine": "EVENT_DRIVEN"}, "parameters": [{"name": "fast", "values": [3, 5]}]}
    refused = httpx.post(f"{service}/api/sweeps", json=swept, timeout=60)
    assert refused.status_code == 422, refused.text
    assert "sweeps read no finer bars" in refused.text
