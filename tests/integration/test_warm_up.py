"""Bars before the range, in the running service: read by the strategy, never traded, and the same again in reruns.

No released strategy of this test reads such bars, so the crossover is made to: it needs `slow` bars before its first
signal, and with as many before the range it gives signals from the first bar on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from src.bars.resampling import resample
from src.bars.simulated import simulate_bars
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from src.domain.signals import Signals, StrategyDescription
from src.domain.strategy import ModelParams, StrategyInputs
from src.domain.trading import FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.indicators.moving_average import simple_moving_average
from src.strategies.crossover import Crossover, CrossoverParams, crossings
from src.strategies.model_signals import ModelStrategy
from tests.bar_files import csv_of_bars, simulated
from tests.exchange import KLINES, LoopbackExchange
from tests.integration.conftest import service_settings
from tests.integration.test_judgement import day_of, market_of, run_model, train, train_alone
from tests.market import random_bars
from tests.server import RunningService

FAST, SLOW = 5, 20
MINUTES = 30 * 1440


def read_history(self: Crossover, inputs: StrategyInputs) -> Signals:
    close = inputs.bars.close
    action = crossings(*(simple_moving_average(close, length) for length in (self.params.fast, self.params.slow)))
    parameters = {"fastMaPeriod": self.params.fast, "slowMaPeriod": self.params.slow}
    return Signals(
        action=action[inputs.warm_up :], strategy=StrategyDescription(name="MA Crossover", parameters=parameters)
    )


@pytest.fixture(scope="module", autouse=True)
def crossover_warms_up() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CrossoverParams, "warm_up_bars", lambda self, _: self.slow)
        patched.setattr(CrossoverParams, "lookback_bars", property(lambda self: self.slow))
        patched.setattr(Crossover, "signals", read_history)
        yield


def as_btc(bars: Bars) -> Bars:
    return Bars(**{name: getattr(bars, name) for name in bars.__slots__} | {"symbol": "BTCUSDT"})


@pytest.fixture(scope="module")
def days() -> Bars:
    return as_btc(random_bars(900, seed=29))


@pytest.fixture(scope="module")
def hours() -> Bars:
    minutes = as_btc(random_bars(MINUTES, seed=31, interval="1m", volatility=0.002))
    first = int(minutes.open_time_ms[0])
    return resample(minutes, INTERVALS["1h"], start_ms=first, stop_ms=int(minutes.open_time_ms[-1]))


@pytest.fixture(scope="module")
def exchange(days: Bars, hours: Bars) -> Iterator[LoopbackExchange]:
    with LoopbackExchange([days, hours]) as running:
        yield running


@pytest.fixture(scope="module")
def service(exchange: LoopbackExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RunningService(service_settings(exchange.url, tmp_path_factory.mktemp("warm-up"))) as running:
        yield running.url


def run(service: str, *, slow: int = SLOW, **fields: Any) -> dict[str, Any]:
    body = {"user_id": "warm", "symbol": "BTCUSDT", "interval": "1d", "engine": "EVENT_DRIVEN", "fast": FAST} | fields
    sent = httpx.post(f"{service}/api/backtests", json={**body, "slow": slow}, timeout=60)
    assert sent.status_code == 200, sent.text
    result: dict[str, Any] = sent.json()["data"]
    return result


def rerun(service: str, result: dict[str, Any]) -> dict[str, Any]:
    sent = httpx.post(f"{service}/api/backtests/{result['id']}/rerun", timeout=60)
    assert sent.status_code == 200, sent.text
    found: dict[str, Any] = sent.json()["data"]
    return found


def instant(bars: Bars, index: int) -> str:
    return f"{np.datetime64(int(bars.open_time_ms[index]), 'ms').astype('datetime64[s]')}Z"


def expected_actions(close: NDArray[np.float64], warm_up: int) -> NDArray[np.int8]:
    """Return the crossings of the last bars, computed by pandas from them and the `warm_up` bars before."""
    series = pd.Series(close)
    above = np.sign((series.rolling(FAST).mean() - series.rolling(SLOW).mean()).round(9))
    before = above.shift(1)
    crossed = (above > 0) & (before <= 0)
    fell = (above < 0) & (before >= 0)
    return (crossed.astype(np.int8) - fell.astype(np.int8)).to_numpy()[warm_up:]


def assert_traded(result: dict[str, Any], every: Bars, *, warm_up: int) -> None:
    """The result is that of the bars after the first `warm_up` of `every`, whose signals read all of them."""
    in_range = every.slice(warm_up, len(every))
    rows, words = result["data"], {"buy": 1, "hold": 0, "sell": -1}
    assert [row["Date"] for row in rows] == [instant(in_range, index) for index in range(len(in_range))]
    action = expected_actions(every.close, warm_up)
    assert [words[row["signal"]] for row in rows] == action.tolist()
    assert action[: SLOW + 1].any() or not warm_up, "the case shows nothing without a signal among the first bars"
    assert result["strategy"]["warm_up_bars"] == warm_up
    assert result["strategy"]["lookback_bars"] == SLOW
    assert result["data_fingerprint"] == every.fingerprint()
    signals = Signals(action=action, strategy=StrategyDescription(name="expected"))
    rules = TradingRules(fill=FillTiming.NEXT_OPEN)
    simulation = EventDrivenEngine().run(in_range, signals, rules)
    assert [row["portfolio_value"] for row in rows] == simulation.equity.tolist()
    assert result["data_quality"]["present_bars"] == result["metrics"]["bars"] == len(in_range)
    assert not [text for text in result["warnings"] if "asked for" in text or "cut the range" in text]


def find_start(close: NDArray[np.float64], length: int) -> int:
    """Return where a range can begin so that its first bars have a signal that needs the bars before."""
    action = expected_actions(close, 0)
    return next(
        start
        for start in range(SLOW, len(close) - length)
        if expected_actions(close[start : start + length], 0)[: SLOW + 1].any() != action[start : start + 9].any()
    )


def test_range_between_dates_warms_up_on_bars_before(service: str, days: Bars) -> None:
    start = find_start(days.close, 300)
    result = run(service, start_date=instant(days, start), end_date=instant(days, start + 299))
    assert_traded(result, days.slice(start - SLOW, start + 300), warm_up=SLOW)


def test_limit_counts_bars_of_the_range_only(service: str, days: Bars) -> None:
    start = find_start(days.close, 250)
    result = run(service, end_date=instant(days, start + 249), limit=250)
    assert result["settings"]["limit"] == 250
    every = days.slice(start - SLOW, start + 250)
    result["warnings"] = [text for text in result["warnings"] if "limit 250 cut the range" not in text]
    assert_traded(result, every, warm_up=SLOW)
    newest = run(service, limit=250)
    assert newest["strategy"]["warm_up_bars"] == SLOW
    assert newest["data_fingerprint"] == days.slice(len(days) - 250 - SLOW, len(days)).fingerprint()


@pytest.mark.parametrize("interval", ["1h", "1M"])
def test_simulated_bars_warm_up(service: str, interval: str) -> None:
    first_ms = int(np.datetime64("2012-01-01", "ms").astype(np.int64))
    bars = simulate_bars("BTCUSDT", INTERVALS[interval], first_ms, 160, 5)
    start = find_start(bars.close, 100)
    dates = {"start_date": instant(bars, start), "end_date": instant(bars, start + 99)}
    result = run(service, interval=interval, source="simulated", seed=5, **dates)
    assert_traded(result, bars.slice(start - SLOW, start + 100), warm_up=SLOW)


def test_dataset_warms_up_on_its_own_bars(service: str) -> None:
    bars = simulated(400)
    upload = httpx.post(
        f"{service}/api/data/upload",
        data={"user_id": "warm", "symbol": "BTCUSDT", "name": "own"},
        files={"file": ("own.csv", csv_of_bars(bars))},
        timeout=60,
    )
    assert upload.status_code == 200, upload.text
    start = find_start(bars.close, 200)
    dates = {"start_date": instant(bars, start), "end_date": instant(bars, start + 199)}
    result = run(service, interval="1h", source="own", **dates)
    assert_traded(result, bars.slice(start - SLOW, start + 200), warm_up=SLOW)
    few = run(service, interval="1h", source="own", start_date=instant(bars, 7), end_date=instant(bars, 199))
    assert few["strategy"]["warm_up_bars"] == 7
    assert few["data_fingerprint"] == bars.slice(0, 200).fingerprint()
    assert rerun(service, few)["is_reproduced"]


def test_first_bars_have_no_history_and_ask_once(service: str, exchange: LoopbackExchange, days: Bars) -> None:
    dates = {"start_date": instant(days, 0), "end_date": instant(days, 199)}
    result = run(service, **dates)
    assert result["strategy"]["warm_up_bars"] == 0
    assert result["data_fingerprint"] == days.slice(0, 200).fingerprint()
    calls = len([asked for asked in exchange.asked if asked.path == KLINES])
    assert run(service, **dates)["data_fingerprint"] == result["data_fingerprint"]
    assert rerun(service, result)["is_reproduced"]
    assert len([asked for asked in exchange.asked if asked.path == KLINES]) == calls


def test_rerun_is_equal_and_reads_as_many_bars(service: str, days: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(service, start_date=instant(days, 400), end_date=instant(days, 700), stop_loss=0.03)
    again = rerun(service, result)
    assert again["is_reproduced"], again["differences"]
    # A later version may ask for more.
    monkeypatch.setattr(CrossoverParams, "warm_up_bars", lambda self, _: self.slow + 30)
    later = rerun(service, again["result"])
    assert later["is_reproduced"], later["differences"]
    assert later["result"]["strategy"]["warm_up_bars"] == SLOW
    assert later["result"]["data_fingerprint"] == result["data_fingerprint"]
    fresh = run(service, start_date=instant(days, 400), end_date=instant(days, 700), stop_loss=0.03)
    assert fresh["strategy"]["warm_up_bars"] == SLOW + 30


def test_neighbors_warm_up_as_runs_of_their_own(service: str, days: Bars) -> None:
    dates = {"start_date": instant(days, 300), "end_date": instant(days, 500)}
    result = run(service, **dates)
    found = httpx.get(f"{service}/api/backtests/{result['id']}/neighbors", timeout=60).json()["data"]
    [chosen] = [row for row in found["rows"] if row["is_chosen"]]
    assert chosen["total_return"] == result["metrics"]["total_return"]
    for slow in (16, 24):
        alone = run(service, slow=slow, **dates)
        assert alone["strategy"]["warm_up_bars"] == slow
        [row] = [row for row in found["rows"] if [item["value"] for item in row["values"]] == [FAST, slow]]
        assert row["total_return"] == alone["metrics"]["total_return"]


def test_resolved_fills_know_bars_of_warmed_result(service: str) -> None:
    result = run(service, interval="1h", limit=300, stop_loss=0.004, take_profit=0.004)
    assert result["strategy"]["warm_up_bars"] == SLOW
    assert result["judgement"]["fill_band"]["ambiguous_bars"] > 0
    answer = httpx.get(f"{service}/api/backtests/{result['id']}/resolved-fills", timeout=60)
    assert answer.status_code == 200, answer.text


def test_both_apis_show_warm_up_and_lookback(service: str, days: Bars) -> None:
    result = run(service, start_date=instant(days, 100), end_date=instant(days, 200), user_id="lister")
    query = """query ($id: ID!) { backtest(id: $id) { strategy { lookbackBars warmUpBars } }
      backtests(userId: "lister") { nodes { strategy { lookbackBars warmUpBars } } } }"""
    sent = httpx.post(f"{service}/graphql", json={"query": query, "variables": {"id": result["id"]}}, timeout=60)
    shown = {"lookbackBars": SLOW, "warmUpBars": SLOW}
    assert sent.json()["data"] == {"backtest": {"strategy": shown}, "backtests": {"nodes": [{"strategy": shown}]}}
    listed = httpx.get(f"{service}/api/backtests", params={"user_id": "lister"}, timeout=60).json()["data"]
    [summary] = listed["items"]
    assert (summary["strategy"]["lookback_bars"], summary["strategy"]["warm_up_bars"]) == (SLOW, SLOW)


def test_fallback_trades_the_range_only(service: str, days: Bars) -> None:
    dates = {"start_date": instant(days, 300), "end_date": instant(days, 340)}
    result = run(service, slow=800, use_fallback=True, **dates)
    assert result["strategy"]["name"] == "Up/Down Day"
    rows = result["data"]
    change = np.diff(days.close[300:341])
    first = int(np.argmax(change > 0)) + 1
    assert [row["signal"] for row in rows].index("buy") == first


def test_parts_of_run_warm_up_on_bars_before(service: str, days: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model that trades above a mean only: its in-sample and out-of-sample parts are runs of their own."""
    read: list[tuple[int, int, int]] = []

    def above_mean(self: ModelStrategy, inputs: StrategyInputs) -> Signals:
        close, predicted = inputs.bars.close, inputs.required_predictions().values
        is_long = (close > simple_moving_average(close, SLOW))[inputs.warm_up :] & (predicted >= self.params.threshold)
        first_ms = int(inputs.bars.open_time_ms[inputs.warm_up])
        read.append((int(np.searchsorted(days.open_time_ms, first_ms)), inputs.warm_up, len(is_long)))
        edges = np.diff(is_long.astype(np.int8), prepend=np.int8(0))
        return Signals(action=edges, strategy=StrategyDescription(name="above the mean"))

    monkeypatch.setattr(ModelParams, "warm_up_bars", lambda *_: SLOW)
    monkeypatch.setattr(ModelStrategy, "signals", above_mean)
    chosen, half = days.slice(300, 800), 250
    model = train(LogisticRegression(class_weight="balanced"), chosen, until=half)
    split = run_model(service, model, market_of(chosen), trained_to=day_of(chosen, half - 1), label_horizon="0")
    assert read == [(300, SLOW, 500), (300, SLOW, half), (300 + half, SLOW, half)]
    after, before = split["out_of_sample"]["metrics"], split["in_sample"]["metrics"]
    assert (after["bars"], before["bars"]) == (half, half)
    assert after["total_trades"] > 3
    assert after == train_alone(service, model, chosen, half)
