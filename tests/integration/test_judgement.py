"""Whether to believe a result, asked from outside: leaks, training windows, the count of trials, and both APIs."""

from __future__ import annotations

import concurrent.futures
import itertools
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from src.domain.bars import Bars
from tests.conftest import SHARED_DATA
from tests.integration.conftest import REAL_FILE
from tests.market import random_bars, read_klines
from tests.pandas_features import pandas_features

COLUMNS = ["Returns", "Returns_5", "Volatility_5"]
LIMIT = 1000

VERDICT = """verdictLevel warnings judgement {
  verdict { level reasons { code level value threshold unit text falseAlarmRate } notChecked { code why } }
  deflation { trials trialsEffective averageCorrelation psr psrDependent dsr dsrDependent }
  leaks { rows { rows differing signals { compared changed firstBar } } overlap { hitRate }
    training { trainedTo barsSeen } }
  benchmarks { timing { pValue } timingDeflated buyAndHold { totalReturn } }
}"""
CROSSOVER = f"""mutation ($input: BacktestInput!) {{ runVectorizedBacktest(input: $input) {{
  id sharpeRatio totalReturn {VERDICT} }} }}"""


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Return the bars of the service's exchange that `LIMIT` names."""
    if REAL_FILE.exists():
        return read_klines(SHARED_DATA / REAL_FILE.name, interval="1d").slice(-LIMIT, 10**9)
    made = random_bars(1500, seed=17).slice(500, 1500)
    return Bars(**{name: getattr(made, name) for name in made.__slots__} | {"symbol": "BTCUSDT"})


def market_of(bars: Bars) -> dict[str, str]:
    first, last = (np.datetime64(int(time), "ms").astype("datetime64[D]") for time in bars.open_time_ms[[0, -1]])
    return {"symbol": "BTCUSDT", "interval": "1d", "start_date": str(first), "end_date": str(last)}


def day_of(bars: Bars, index: int) -> str:
    return str(np.datetime64(int(bars.open_time_ms[index]), "ms").astype("datetime64[D]"))


def train(model: Any, bars: Bars, *, until: int | None = None) -> bytes:
    """Return the file of a model that is fitted on the first bars to predict whether the next close is higher."""
    frame = pandas_features(bars)[COLUMNS]
    rises = np.append(bars.close[1:] > bars.close[:-1], False)
    known = frame.notna().all(axis=1).to_numpy() & (np.arange(len(bars)) < (until or len(bars)))
    return pickle.dumps(model.fit(frame[known], rises[known]))


def run_model(
    service: str, content: bytes, market: Mapping[str, str], *, filename: str = "model.pkl", **fields: str
) -> dict[str, Any]:
    sent = httpx.post(
        f"{service}/api/models/backtest/ml",
        data={"user_id": "judge", **market, **fields},
        files={"file": (filename, content)},
        timeout=120,
    )
    assert sent.status_code == 200, sent.text
    result: dict[str, Any] = sent.json()["data"]
    return result


def codes_of(result: Mapping[str, Any]) -> list[str]:
    return [reason["code"] for reason in result["judgement"]["verdict"]["reasons"]]


def crossover(service: str, user: str, **options: Any) -> dict[str, Any]:
    options = {"symbol": "BTCUSDT", "fetchInput": {"interval": "1d", "limit": LIMIT}, **options}
    body = {"query": CROSSOVER, "variables": {"input": {"userId": user, **options}}}
    answer = httpx.post(f"{service}/graphql", json=body, timeout=120).json()
    assert "errors" not in answer, answer
    result: dict[str, Any] = answer["data"]["runVectorizedBacktest"]
    return result


@pytest.mark.shared_data
def test_model_that_scales_by_later_bars_is_disproved(service: str, bars: Bars, shared_data: Path) -> None:
    leaking = shared_data.parent / "cases" / "leak_scale.pkl"
    result = run_model(service, leaking.read_bytes(), market_of(bars))
    assert result["verdict_level"] == "DISPROVED"
    [reason] = [one for one in result["judgement"]["verdict"]["reasons"] if one["code"] == "LOOKS_AHEAD"]
    signals = result["judgement"]["leaks"]["rows"]["signals"]
    assert signals["changed"] > 0.01 * signals["compared"]
    assert f"{signals['changed']:,} of {signals['compared']:,} signals" in reason["text"]
    assert result["warnings"][0] == reason["text"]


def test_network_with_dropout_on_is_not_repeatable(service: str, bars: Bars, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    layers = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    with warnings.catch_warnings():
        # torch would rather have torch.export, and sees that two traces differ.
        warnings.simplefilter("ignore")
        torch.jit.trace(layers.train(), torch.ones(1, 5), check_trace=False).save(str(tmp_path / "model.pt"))
    content = (tmp_path / "model.pt").read_bytes()
    result = run_model(service, content, market_of(bars), filename="model.pt", output_kind="value", threshold="0")
    assert codes_of(result)[0] == "NOT_REPEATABLE"
    assert result["judgement"]["leaks"]["rows"]["is_repeatable"] is False


def test_model_trained_on_all_bars_has_one_part(service: str, bars: Bars) -> None:
    forest = train(RandomForestClassifier(40, random_state=1, n_jobs=1), bars)
    result = run_model(service, forest, market_of(bars), trained_to=day_of(bars, -1))
    assert result["verdict_level"] == "DISPROVED"
    assert codes_of(result)[0] == "TRAINED_ON_THIS_WINDOW"
    assert result["out_of_sample"] is None
    assert result["in_sample"]["metrics"] == result["metrics"]
    assert result["settings"]["trained_to"] == f"{day_of(bars, -1)}T23:59:59.999Z"


def test_trained_from_tells_which_bars_were_seen(service: str, bars: Bars) -> None:
    model = train(LogisticRegression(), bars, until=LIMIT // 2)
    window = {"trained_from": day_of(bars, 100), "trained_to": day_of(bars, 199), "label_horizon": "3"}
    result = run_model(service, model, market_of(bars), **window)
    training = result["judgement"]["leaks"]["training"]
    assert (training["bars_before"], training["bars_seen"], training["bars_after"]) == (100, 100, LIMIT - 203)
    assert result["in_sample"]["metrics"]["bars"] == 100
    assert result["out_of_sample"]["metrics"]["bars"] == LIMIT - 203
    late = run_model(service, model, market_of(bars), trained_from=day_of(bars, -50), trained_to=day_of(bars, -1))
    assert (late["out_of_sample"], late["verdict_level"] == "DISPROVED") == (None, False)
    assert "was trained on 50 of these" in next(text for text in late["warnings"] if "trained on" in text)


def test_undeclared_forest_shows_that_it_knew_the_bars(service: str, bars: Bars) -> None:
    forest = train(RandomForestClassifier(40, random_state=1, n_jobs=1), bars)
    result = run_model(service, forest, market_of(bars))
    assert {"HIGH_HIT_RATE", "TRAINING_WINDOW_UNKNOWN"} <= set(codes_of(result))
    assert result["verdict_level"] == "DOUBTFUL"


def test_out_of_sample_equals_run_of_its_own(service: str, bars: Bars) -> None:
    half = LIMIT // 2
    model = train(LogisticRegression(), bars, until=half)
    # The model reads features of up to 6 bars, which the run of its own must fetch before its first decision.
    split = run_model(service, model, market_of(bars), trained_to=day_of(bars, half - 1), label_horizon="0")
    after = split["out_of_sample"]
    assert after["judgement"]["verdict"]["level"] != "DISPROVED"
    assert "TRAINED_ON_PART_OF_THIS_WINDOW" in codes_of(split)
    assert split["judgement"]["leaks"]["training"]["bars_seen"] == half
    assert (after["metrics"]["bars"], split["in_sample"]["metrics"]["bars"]) == (LIMIT - half, half)
    assert split["in_sample"]["judgement"] is None
    texts = [reason["text"] for part in (after, split) for reason in part["judgement"]["verdict"]["reasons"]]
    assert split["warnings"][0] == f"Out of sample: {texts[0]}"
    assert {text.removeprefix("Out of sample: ") for text in split["warnings"]} >= set(texts)
    listed = httpx.get(f"{service}/api/backtests", params={"user_id": "judge"}).json()["data"]["items"]
    [found] = [one for one in listed if one["id"] == split["id"]]
    levels = split["judgement"]["verdict"]["level"], after["judgement"]["verdict"]["level"]
    assert (found["verdict_level"], found["out_of_sample_level"]) == levels
    alone = train_alone(service, model, bars, half)
    assert after["metrics"] == alone


def train_alone(service: str, model: bytes, bars: Bars, first: int) -> dict[str, Any]:
    """Return the metrics of a run from `first` on, of a model that predicts from `Open` what the file predicts."""
    frame = pandas_features(bars)[COLUMNS]
    probability = np.nan_to_num(pickle.loads(model).predict_proba(frame.fillna(0.0))[:, 1])
    table = RecallingModel(bars.open[first:], probability[first:])
    market = market_of(bars) | {"start_date": day_of(bars, first)}
    metrics: dict[str, Any] = run_model(service, pickle.dumps(table.tree), market)["metrics"]
    return metrics


class RecallingModel:
    """A tree that was fitted to predict known probabilities from the open, each of which occurs once."""

    def __init__(self, opens: NDArray[np.float64], probability: NDArray[np.float64]) -> None:
        import pandas as pd
        from sklearn.tree import DecisionTreeRegressor

        self.tree = DecisionTreeRegressor().fit(pd.DataFrame({"Open": opens}), probability)


def test_upload_keeps_training_window_for_later_runs(service: str, bars: Bars) -> None:
    model = train(LogisticRegression(), bars, until=LIMIT // 2)
    sent = httpx.post(
        f"{service}/api/models/upload",
        data={"user_id": "judge", "trained_to": day_of(bars, LIMIT // 2), "labelHorizon": "2"},
        files={"file": ("kept.pkl", model)},
        timeout=120,
    ).json()["data"]
    assert (sent["trained_to"], sent["label_horizon"]) == (f"{day_of(bars, LIMIT // 2)}T23:59:59.999Z", 2)
    query = f"""mutation ($input: MLBacktestInput!) {{ runMlBacktest(input: $input) {{ {VERDICT}
      outOfSample {{ metrics {{ bars start }} judgement {{ verdict {{ level }} }} }}
      inSample {{ metrics {{ bars }} }} }} }}"""
    fetch = {"startDate": day_of(bars, 0), "endDate": day_of(bars, -1)}
    given = {"userId": "judge", "symbol": "BTCUSDT", "fetchInput": fetch, "mlModel": {"modelPath": sent["filename"]}}
    answer = httpx.post(f"{service}/graphql", json={"query": query, "variables": {"input": given}}, timeout=120).json()
    result = answer["data"]["runMlBacktest"]
    assert result["judgement"]["leaks"]["training"]["barsSeen"] == LIMIT // 2 + 1
    assert result["outOfSample"]["metrics"]["bars"] == LIMIT - (LIMIT // 2 + 3)
    assert result["outOfSample"]["metrics"]["start"].startswith(day_of(bars, LIMIT // 2 + 3))
    listed = httpx.get(f"{service}/api/models/user/judge").json()["data"]
    assert [file["trained_to"] for file in listed if file["filename"] == sent["filename"]] == [sent["trained_to"]]


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"trained_from": "2021-01-02", "trained_to": "2021-01-01"}, "trained_to", "must not be before trained_from"),
        ({"trained_to": "2199-01-01"}, "trained_to", "must not be after end_date"),
        ({"trained_to": "last week"}, "trained_to", "trained_to is 'last week'. Allowed: YYYY-MM-DD"),
        ({"trained_from": "2021-01-02"}, "trained_to", "trained_to is required if trained_from is given."),
        ({"trained_to": "2018-01-01", "label_horizon": "-1"}, "label_horizon", "label_horizon is -1"),
        ({"label_horizon": "3"}, "trained_to", "trained_to is required if label_horizon is given."),
    ],
)
def test_wrong_training_window_is_refused_by_name(
    service: str, bars: Bars, fields: dict[str, str], field: str, words: str
) -> None:
    sent = httpx.post(
        f"{service}/api/models/backtest/ml",
        data={"user_id": "judge", **market_of(bars), **fields},
        files={"file": ("model.pkl", b"not opened")},
        timeout=60,
    )
    assert sent.status_code == 422, sent.text
    assert sent.json()["field"] == field
    assert words in sent.json()["detail"]


def test_stored_model_without_window_takes_no_horizon_alone(service: str, bars: Bars) -> None:
    sent = httpx.post(
        f"{service}/api/models/upload",
        data={"user_id": "judge"},
        files={"file": ("bare.pkl", train(LogisticRegression(), bars))},
        timeout=120,
    ).json()["data"]
    model = {"model_path": sent["filename"], "label_horizon": 3}
    body = {"user_id": "judge", **market_of(bars), "strategy": {"model": model}}
    refused = httpx.post(f"{service}/api/backtests", json=body, timeout=60)
    assert (refused.status_code, refused.json()["field"]) == (422, "trained_to")
    query = "mutation ($input: MLBacktestInput!) { runMlBacktest(input: $input) { id } }"
    given = {"userId": "judge", "symbol": "BTCUSDT", "mlModel": {"modelPath": sent["filename"], "labelHorizon": 3}}
    answer = httpx.post(f"{service}/graphql", json={"query": query, "variables": {"input": given}}, timeout=60).json()
    [error] = answer["errors"]
    assert error["message"] == "trainedTo is required if labelHorizon is given."
    assert error["extensions"]["field"] == "trainedTo"


def test_trials_of_user_are_counted_once(service: str) -> None:
    pairs = [(fast, slow) for fast, slow in itertools.product(range(5, 50, 5), range(20, 120, 10)) if fast < slow]
    pairs = [*pairs, *((fast, fast + 1) for fast in range(51, 51 + 90 - len(pairs)))]

    def run(pair: tuple[int, int]) -> dict[str, Any]:
        return crossover(service, "counted", maCrossoverParams={"fast": pair[0], "slow": pair[1]})

    first = run(pairs[0])["judgement"]["deflation"]
    assert (first["trials"], first["trialsEffective"]) == (1, 1.0)
    assert first["dsr"] == first["psr"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, pairs[1:]))
    assert max(one["judgement"]["deflation"]["trials"] for one in results) == 90
    best = max(zip(pairs[1:], results, strict=True), key=lambda pair: pair[1]["sharpeRatio"] or -9.0)[0]
    again = run(best)
    deflation = again["judgement"]["deflation"]
    assert deflation["trials"] == 90
    assert 5 < deflation["trialsEffective"] < 60
    assert deflation["dsr"] < deflation["psr"]
    assert again["judgement"]["benchmarks"]["timingDeflated"] >= again["judgement"]["benchmarks"]["timing"]["pValue"]
    for one in results:
        path = f"{service}/api/backtests/{one['id']}"
        assert httpx.delete(path, params={"user_id": "counted"}).status_code == 200
    assert run(best)["judgement"]["deflation"] == deflation
    other = crossover(service, "another", maCrossoverParams={"fast": best[0], "slow": best[1]})
    assert other["judgement"]["deflation"]["trials"] == 1
    event_driven = httpx.post(
        f"{service}/api/backtests",
        json={"user_id": "counted", "symbol": "BTCUSDT", "limit": LIMIT, "engine": "event_driven", "fill": "SAME_CLOSE",
              "fast": best[0], "slow": best[1]},
        timeout=60,
    ).json()["data"]  # fmt: skip
    assert event_driven["judgement"]["deflation"]["trials"] == 90


def test_both_apis_and_the_store_agree_on_judgement(service: str) -> None:
    result = crossover(service, "both", maCrossoverParams={"fast": 20, "slow": 50})
    stored = httpx.get(f"{service}/api/backtests/{result['id']}").json()["data"]
    verdict = stored["judgement"]["verdict"]
    assert verdict["level"] == result["verdictLevel"] == result["judgement"]["verdict"]["level"]
    texts = [reason["text"] for reason in verdict["reasons"]]
    assert texts == [reason["text"] for reason in result["judgement"]["verdict"]["reasons"]]
    assert result["warnings"][: len(texts)] == texts
    alone = httpx.get(f"{service}/api/backtests/{result['id']}/judgement").json()["data"]
    assert alone == stored["judgement"]
    listed = httpx.get(f"{service}/api/backtests", params={"user_id": "both"}).json()["data"]["items"]
    assert [one["verdict_level"] for one in listed] == [verdict["level"]]
    rerun = httpx.post(f"{service}/api/backtests/{result['id']}/rerun", timeout=60).json()["data"]
    assert rerun["is_reproduced"] is True
    assert rerun["result"]["judgement"] == stored["judgement"]


def test_rerun_is_judged_among_earlier_trials(service: str) -> None:
    first = crossover(service, "later", maCrossoverParams={"fast": 10, "slow": 30})
    for slow in range(40, 70, 10):
        crossover(service, "later", maCrossoverParams={"fast": 10, "slow": slow})
    rerun = httpx.post(f"{service}/api/backtests/{first['id']}/rerun", timeout=60).json()["data"]
    assert rerun["differences"] == []
    assert rerun["result"]["judgement"]["deflation"]["trials"] == 1
    assert (
        crossover(service, "later", maCrossoverParams={"fast": 10, "slow": 30})["judgement"]["deflation"]["trials"] == 4
    )


@pytest.mark.shared_data
@pytest.mark.usefixtures("shared_data")
def test_moving_averages_on_bitcoin_have_no_timing(service: str) -> None:
    options = {"fetchInput": {"interval": "1d", "startDate": "2017-08-17", "endDate": "2026-08-21"}}
    result = crossover(service, "sma", maCrossoverParams={"fast": 20, "slow": 50}, **options)
    assert result["judgement"]["deflation"]["dsr"] > 0.95
    assert result["judgement"]["benchmarks"]["timing"]["pValue"] > 0.05
    [timing] = [one for one in result["judgement"]["verdict"]["reasons"] if one["code"] == "TIMING_NOT_FOUND"]
    assert "holding while the market rose can explain it" in timing["text"]
