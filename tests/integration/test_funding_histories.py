"""A funding history on its whole way through the running service: uploaded, paid, changed, deleted, and refused."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.sweeps_served import data_of, start, wait

MARKET = {"symbol": "BTCUSDT", "interval": "4h", "limit": 400, "source": "simulated", "seed": 7}
RULES = {"engine": "EVENT_DRIVEN", "direction": "BOTH", "funding": "HISTORY", "funding_history": "paid"}
UPLOAD = """mutation ($file: Upload!, $input: UploadBarsInput!) {
  uploadBars(file: $file, input: $input) { name kind symbol interval bars dataFingerprint warnings } }"""
RUN = """mutation ($input: BacktestInput!) { runEventDrivenBacktest(input: $input) {
  fundingFingerprint settings { funding fundingHistory } metrics { totalFunding finalEquity } } }"""
EIGHT_HOURS_MS = 8 * 3_600_000


def run(service: str, user: str, **changes: Any) -> httpx.Response:
    return httpx.post(f"{service}/api/backtests", json={"user_id": user, **MARKET, **RULES, **changes}, timeout=60)


def upload(service: str, content: str, **fields: Any) -> httpx.Response:
    data = {"symbol": "BTCUSDT", "name": "paid"} | fields
    return httpx.post(f"{service}/api/data/upload", data=data, files={"file": ("f.csv", content)}, timeout=60)


def history(service: str, user: str, rate: float = 0.0005, *, without: int = 0) -> str:
    """Return rates at all marks of the bars, as the exchange's archive writes them; some of the last are left out."""
    rows = run(service, user, funding=None, funding_history=None).json()["data"]["data"]
    first, last = (np.datetime64(rows[place]["Date"][:16], "ms").astype(int) for place in (0, -1))
    marks = np.arange(-(-first // EIGHT_HOURS_MS), last // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS
    lines = [f"{time_ms + 3},8,{rate:.8f}" for time_ms in marks[: len(marks) - without].tolist()]
    return "\n".join(["calc_time,funding_interval_hours,last_funding_rate", *lines])


def test_history_of_one_rate_is_constant_funding(service: str) -> None:
    kept = upload(service, history(service, "teller"), user_id="teller").json()["data"]
    assert (kept["name"], kept["kind"], kept["interval"]) == ("paid", "FUNDING", "8h")
    assert kept["quality"]["missing_bars"] == 0
    assert httpx.get(f"{service}/api/data/user/teller").json()["data"] == [kept]
    found = run(service, "teller", funding_history="PAID").json()["data"]
    constant = run(service, "teller", funding="CONSTANT", funding_history=None, funding_rate=0.0005).json()["data"]
    assert found["metrics"]["total_funding"] != 0
    assert found["metrics"]["final_equity"] == constant["metrics"]["final_equity"]
    assert [trade["funding"] for trade in found["trades"]] == [trade["funding"] for trade in constant["trades"]]
    assert found["funding_fingerprint"] == kept["data_fingerprint"]
    assert constant["funding_fingerprint"] is None
    assert (found["settings"]["funding"], found["settings"]["funding_history"]) == ("HISTORY", "paid")
    assert not any("marks of funding" in warning for warning in found["warnings"])
    given = {
        "userId": "teller", "symbol": "BTCUSDT", "fetchInput": MARKET, "direction": "BOTH", "funding": "HISTORY",
        "fundingHistory": "paid",
    }  # fmt: skip
    body = {"query": RUN, "variables": {"input": given}}
    answer = httpx.post(f"{service}/graphql", json=body, timeout=60).json()["data"]["runEventDrivenBacktest"]
    assert answer["fundingFingerprint"] == kept["data_fingerprint"]
    assert answer["settings"] == {"funding": "HISTORY", "fundingHistory": "paid"}
    assert answer["metrics"]["totalFunding"] == found["metrics"]["total_funding"]


def test_changed_or_deleted_history_is_noticed(service: str) -> None:
    assert upload(service, history(service, "changer"), user_id="changer").status_code == 200
    found = run(service, "changer").json()["data"]
    rerun, neighbors = (f"{service}/api/backtests/{found['id']}/{path}" for path in ("rerun", "neighbors"))
    assert httpx.post(rerun, timeout=60).json()["data"]["differences"] == []
    assert httpx.delete(f"{service}/api/data/user/changer/paid").status_code == 200
    gone = httpx.post(rerun, timeout=60)
    assert (gone.status_code, gone.json()["code"]) == (404, "SOURCE_NOT_FOUND")
    assert gone.json()["message"].startswith("funding_history is 'paid'. Allowed: the names of the user's datasets of")
    assert upload(service, history(service, "changer", 0.001), user_id="changer").status_code == 200
    assert httpx.post(rerun, timeout=60).json()["data"]["differences"][0] == "funding"
    changed = httpx.get(neighbors, timeout=60)
    assert (changed.status_code, changed.json()["code"]) == (409, "CONFLICT")
    assert "The funding history 'paid'" in changed.json()["message"]


def test_marks_without_a_rate_are_counted(service: str) -> None:
    assert upload(service, history(service, "lacker", without=5), user_id="lacker").status_code == 200
    [warning] = [one for one in run(service, "lacker").json()["data"]["warnings"] if "marks of funding" in one]
    assert "5 have no rate in 'paid'; nothing is paid there." in warning


def test_rows_of_a_sweep_pay_the_history(service: str) -> None:
    assert upload(service, history(service, "sweeper"), user_id="sweeper").status_code == 200
    backtest = {"user_id": "sweeper", **MARKET, **RULES}
    asked = {"backtest": backtest, "parameters": [{"name": "fast", "values": [3, 5]}, {"name": "slow", "values": [20]}]}
    job_id = start(service, "/api/sweeps", asked)
    wait(service, job_id)
    rows = data_of(httpx.get(f"{service}/api/sweeps/{job_id}/rows", timeout=60))
    for fast in (3, 5):
        alone = data_of(run(service, "sweeper", fast=fast, slow=20))["metrics"]
        assert alone["total_funding"] != 0
        assert repr(alone["final_equity"]) in json.dumps(rows)


def test_graphql_stores_a_history(service: str) -> None:
    operations = {
        "query": UPLOAD, "variables": {"file": None, "input": {"userId": "grapher2", "symbol": "BTCUSDT", "name": "g"}},
    }  # fmt: skip
    form = {"operations": json.dumps(operations), "map": '{"0": ["variables.file"]}'}
    content = "fundingTime;fundingRate\n2024-01-01 08:00;0.0001\n2024-01-01 00:00;-0.0002\n"
    answer = httpx.post(f"{service}/graphql", data=form, files={"0": ("h.csv", content)}, timeout=60).json()
    kept = answer["data"]["uploadBars"]
    assert (kept["kind"], kept["bars"], kept["interval"]) == ("FUNDING", 2, "8h")


def test_bars_and_rates_are_not_taken_for_another(service: str) -> None:
    assert upload(service, history(service, "mixer"), user_id="mixer").status_code == 200
    bars = "Date,Open,High,Low,Close,Volume\n" + "\n".join(f"2024-01-0{day},1,1,1,1,1" for day in range(1, 9))
    assert upload(service, bars, user_id="mixer", name="bars").status_code == 200
    answer = run(service, "mixer", source="paid", seed=None, funding=None, funding_history=None)
    assert answer.json()["message"] == "source is 'paid', a dataset of funding rates. Allowed: one of bars."
    answer = run(service, "mixer", funding_history="bars")
    assert answer.json()["message"] == "funding_history is 'bars', a dataset of bars. Allowed: one of funding rates."
    answer = run(service, "mixer", symbol="ETHUSDT")
    assert answer.json()["message"] == (
        "funding_history is 'paid', which has the rates of BTCUSDT, and symbol is 'ETHUSDT'."
    )
    assert run(service, "thief").json()["code"] == "SOURCE_NOT_FOUND"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            "2024-01-01T00:00Z,0.5",
            "The rate at 2024-01-01 is 0.5. Allowed: fractions from -0.03 to 0.03",
        ),
        ("2024-01-01T00:00Z,0.1\n2024-01-01T00:00Z,0.2", "The rate at"),
        ("2024-01-01T00:00Z,0.001\n2024-01-01T00:00Z,0.002", "The file has two rates at 2024-01-01"),
        ("2024-01-01T00:00Z,none", "No row of the file has a rate of funding."),
        ("yesterday,0.001", "Line 2"),
    ],
)
def test_fault_of_a_history_is_named(service: str, rows: str, words: str) -> None:
    answer = upload(service, f"time,rate\n{rows}\n", user_id="faulty")
    assert answer.status_code == 422
    assert words in answer.json()["message"]
