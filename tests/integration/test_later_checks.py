"""What is checked of a stored result when asked: nearby parameters, minutes inside bars, all trials by now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.bars.resampling import resample
from src.domain.market import INTERVALS, Bars
from tests.exchange import LoopbackExchange
from tests.integration.conftest import service_settings
from tests.market import random_bars
from tests.server import RunningService

DAYS = 40


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
    result = run(service, fast=20, slow=40, user_id="now")
    assert ask(service, result, "deflation") == result["judgement"]["deflation"]
    run(service, fast=5, slow=40, user_id="now")
    now = ask(service, result, "deflation")
    assert now["trials"] == 2
    assert result["judgement"]["deflation"]["trials"] == 1
    query = """query ($id: ID!) { backtest(id: $id) { deflationNow { trials dsr } neighbors { rank sharePositive }
      resolvedFills { resolvedBars } judgement { deflation { trials } } } }"""
    answer = httpx.post(f"{service}/graphql", json={"query": query, "variables": {"id": result["id"]}}, timeout=60)
    found = answer.json()["data"]["backtest"]
    assert found["deflationNow"] == {"trials": 2, "dsr": now["dsr"]}
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


OTHERS = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT", "SHORTUSDT")


def test_other_markets_are_runs_of_their_own(tmp_path: Path) -> None:
    def named(symbol: str, seed: int) -> Bars:
        made = random_bars(400, seed=seed, interval="1h", volatility=0.01)
        return Bars(**{name: getattr(made, name) for name in made.__slots__} | {"symbol": symbol})

    series = [named(symbol, seed) for seed, symbol in enumerate(("BTCUSDT", *OTHERS))]
    own = {"fast": 5, "slow": 12, "limit": 300, "engine": "VECTORIZED"}
    with (
        LoopbackExchange(series) as exchange,
        RunningService(service_settings(exchange.url, tmp_path)) as running,
    ):
        result = run(running.url, **own)
        assert ask(running.url, result, "other-markets") is None
        run(running.url, **own | {"limit": 100}, symbol="SHORTUSDT")
        alone = {symbol: run(running.url, **own, symbol=symbol) for symbol in reversed(OTHERS[:4])}
        calls = len(exchange.asked)
        found = ask(running.url, result, "other-markets")
        assert len(exchange.asked) == calls, "nothing is downloaded"
    assert [row["symbol"] for row in found["markets"]] == list(OTHERS[:3])
    for row in found["markets"]:
        metrics = alone[row.pop("symbol")]["metrics"]
        assert row == {name: metrics[name] for name in row}
    assert found["positive_sharpe"] == sum(row["sharpe_ratio"] > 0 for row in found["markets"])
