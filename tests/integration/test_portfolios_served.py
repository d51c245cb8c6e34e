"""Portfolios of a running service: both APIs, rows in every format, and what holds for every job."""

from __future__ import annotations

import io
import json
import time
import uuid
from typing import Any, Final

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.integration.test_apis_agree import INTROSPECTION, assert_holds, selection, snake_case
from tests.sweeps_served import JOB_S, data_of, wait

pytestmark = pytest.mark.timeout(2 * JOB_S)

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT")
BODY: Final[dict[str, Any]] = {
    "symbols": list(SYMBOLS),
    "max_open": 2,
    "rank": "MOMENTUM",
    "rank_bars": 10,
    "backtest": {"user_id": "folio", "interval": "1d", "limit": 500, "source": "simulated", "seed": 5}
    | {"strategy": {"ma_crossover": {"fast": 5, "slow": 15}}, "stop_loss": 0.1},
}
DOCUMENT: Final = """mutation ($input: RunPortfolioInput!) { runPortfolioBacktest(input: $input) {
  job { id kind state portfolio { id } subject { symbol } }
  portfolio {
    id settings job { id }
    conclusion {
      metrics { finalEquity totalReturn totalTrades } verdict { level reasons { code text } }
      deflation { trials } confidence { level }
      symbols { symbol profit contribution totalTrades refusedEntries } correlations { symbols values mean }
      mostOpen refusedEntries warnings
    }
    equity(points: 40) { total timesPerPoint items { time equity cash drawdown buyAndHold openPositions } }
    fills(first: 5, offset: 2) { total items { symbol bar time side quantity price fee reason trade } }
    trades(first: 5) { total items { symbol direction entryTime exitTime profit return isOpen exitReason } }
  }
} }"""
NO_MODEL: Final = {"model": {"model_path": "no.onnx"}}
GRAPHQL_INPUT: Final = {
    "symbols": list(SYMBOLS), "maxOpen": 2, "rank": "MOMENTUM", "rankBars": 10,
    "backtest": {"userId": "folio", "stopLoss": 0.1, "strategy": {"maCrossover": {"fast": 5, "slow": 15}}}
    | {"fetchInput": {"interval": "1d", "limit": 500, "source": "simulated", "seed": 5}},
}  # fmt: skip


def run(service: str, body: dict[str, Any], **options: Any) -> httpx.Response:
    return httpx.post(f"{service}/api/portfolios", json=body, timeout=JOB_S, **options)


def ask(service: str, query: str, **variables: Any) -> Any:
    answer = httpx.post(f"{service}/graphql", json={"query": query, "variables": variables}, timeout=JOB_S).json()
    assert "errors" not in answer, answer
    return answer["data"]


def start(service: str, body: dict[str, Any], **options: Any) -> str:
    started = run(service, body | {"wait_seconds": 0}, **options)
    assert started.status_code == 202, started.text
    job_id: str = started.json()["data"]["id"]
    assert started.headers["Location"] == f"/api/jobs/{job_id}"
    return job_id


def read(service: str, path: str, **query: Any) -> Any:
    return data_of(httpx.get(f"{service}/api/portfolios/{path}", params=query, timeout=60))


@pytest.fixture(scope="module")
def portfolio_id(service: str) -> str:
    job_id = start(service, BODY)
    wait(service, job_id)
    return job_id


def test_waiting_call_returns_the_finished_portfolio(service: str, portfolio_id: str) -> None:
    response = run(service, BODY | {"wait_seconds": 60})
    found = data_of(response)
    assert response.status_code == 200
    assert (found["job"]["state"], found["job"]["kind"], found["job"]["result_id"]) == (
        "SUCCEEDED", "PORTFOLIO", found["job"]["id"],
    )  # fmt: skip
    assert found["job"]["subject"]["symbol"] == "BTCUSDT, ETHUSDT, BNBUSDT and 2 more"
    assert (found["job"]["done"], found["job"]["total"]) == (5, 5)
    assert found["conclusion"] == read(service, portfolio_id)["conclusion"]
    assert found["settings"] | {"backtest": None} == {
        "backtest": None, "symbols": list(SYMBOLS), "max_open": 2, "rank": "MOMENTUM", "rank_bars": 10,
    }  # fmt: skip
    assert (found["settings"]["backtest"]["engine"], found["settings"]["backtest"]["fill"]) == (
        "EVENT_DRIVEN", "NEXT_OPEN",
    )  # fmt: skip


def test_profits_of_symbols_add_up_to_the_portfolio(service: str, portfolio_id: str) -> None:
    conclusion = read(service, portfolio_id)["conclusion"]
    shares = conclusion["symbols"]
    assert [share["symbol"] for share in shares] == list(SYMBOLS)
    assert sum(share["profit"] for share in shares) == pytest.approx(conclusion["metrics"]["final_equity"] - 10_000)
    assert sum(share["total_trades"] for share in shares) == conclusion["metrics"]["total_trades"] > 5
    assert sum(share["refused_entries"] for share in shares) == conclusion["refused_entries"] > 0
    assert conclusion["most_open"] == 2
    equity = pd.DataFrame(read(service, f"{portfolio_id}/equity", first=500)["items"])
    assert equity["equity"].iloc[-1] == conclusion["metrics"]["final_equity"]
    assert equity["open_positions"].max() == 2
    returns = (equity["buy_and_hold"].iloc[-1] / 10_000 - 1) * 100
    assert returns == pytest.approx(np.mean([share["buy_and_hold_return"] for share in shares]))


@pytest.mark.parametrize(
    ("rules", "count", "text"),
    [
        (
            {"stop_loss": 0.01, "take_profit": 0.01},
            "ambiguous_bars",
            "not tell what was hit first: the total return is",
        ),
        ({"fixed_size": 1e9}, "reduced_entries", "entries were cut to what the cash allowed: the fixed size of 1e+09"),
        ({"max_volume_share": 1e-6}, "reduced_entries", "entries were cut to what the cash or the volume allowed"),
        ({"quote_size": 20, "min_notional": 50}, "dropped_entries", "signals opened nothing: the entry would have"),
    ],
)
def test_entries_that_rules_change_are_told(service: str, rules: dict[str, Any], count: str, text: str) -> None:
    # Another user, because each portfolio is a trial among which later ones are judged.
    own = {"user_id": "ruler", "strategy": {"ma_crossover": {"fast": 2, "slow": 5}}, "stop_loss": None} | rules
    body = {"symbols": list(SYMBOLS[:2]), "backtest": BODY["backtest"] | own, "wait_seconds": 60}
    found = data_of(run(service, body))["conclusion"]
    assert found[count] == sum(share[count] for share in found["symbols"]) > 0
    assert any(text in warning for warning in found["warnings"])
    assert (found["fill_band"] is not None) == (found["ambiguous_bars"] > 0)


def test_rows_are_the_same_in_every_format(service: str, portfolio_id: str) -> None:
    for name in ("equity", "fills", "trades"):
        address = f"{service}/api/portfolios/{portfolio_id}/{name}"
        items = read(service, f"{portfolio_id}/{name}", first=1000)["items"]
        files = {kind: httpx.get(address, params={"format": kind}) for kind in ("csv", "parquet", "arrow")}
        assert files["csv"].headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'
        tables = [
            pd.read_csv(io.BytesIO(files["csv"].content)),
            pd.read_parquet(io.BytesIO(files["parquet"].content)),
            pd.read_feather(io.BytesIO(files["arrow"].content)),
        ]
        numbers = [column for column, value in items[0].items() if isinstance(value, float)]
        for table in tables:
            assert list(table.columns) == list(items[0])
            assert len(table) == len(items)
            for column in numbers:
                expected = [item[column] for item in items]
                assert table[column].tolist() == pytest.approx(expected, rel=1e-15), column
        if name != "equity":
            assert tables[2]["symbol"].tolist() == [item["symbol"] for item in items]
        accepted = httpx.get(address, headers={"Accept": "text/csv"})
        assert accepted.content == files["csv"].content


def test_pages_and_points_of_rows_are_bounded(service: str, portfolio_id: str) -> None:
    page = read(service, f"{portfolio_id}/equity", first=3, offset=10)
    assert (page["total"], page["offset"], page["first"], page["times_per_point"]) == (500, 10, 3, 1)
    points = read(service, f"{portfolio_id}/equity", points=50)
    assert (len(points["items"]), points["times_per_point"]) == (50, 10)
    for path, field in (
        ("equity?points=100001", "points"), ("equity?points=2&offset=1", "points"), ("fills?first=100001", "first"),
        ("trades?first=0", "first"),
    ):  # fmt: skip
        refused = httpx.get(f"{service}/api/portfolios/{portfolio_id}/{path}")
        assert (refused.status_code, refused.json()["field"]) == (422, field), path


def test_both_apis_say_the_same(service: str, portfolio_id: str) -> None:
    answer = ask(service, DOCUMENT, input=GRAPHQL_INPUT | {"waitSeconds": 60})["runPortfolioBacktest"]
    job, found = answer["job"], answer["portfolio"]
    assert (job["kind"], job["state"], job["portfolio"]) == ("PORTFOLIO", "SUCCEEDED", {"id": job["id"]})
    rest = read(service, portfolio_id)
    assert found["settings"] == rest["settings"]
    conclusion = snake_case(found["conclusion"])
    reasons = [{"code": reason["code"], "text": reason["text"]} for reason in rest["conclusion"]["verdict"]["reasons"]]
    assert conclusion.pop("verdict") == {"level": rest["conclusion"]["verdict"]["level"], "reasons": reasons}
    assert conclusion["warnings"][: len(reasons)] == [reason["text"] for reason in reasons]
    for name, value in conclusion.items():
        expected = rest["conclusion"][name]
        if isinstance(expected, dict):
            expected = {key: expected[key] for key in value}
        if name == "symbols":
            expected = [{key: share[key] for key in value[0]} for share in expected]
        assert value == expected, name
    assert snake_case(found["equity"])["items"] == read(service, f"{portfolio_id}/equity", points=40)["items"]
    for name, query in (("fills", {"first": 5, "offset": 2}), ("trades", {"first": 5})):
        rows, page = read(service, f"{portfolio_id}/{name}", **query), snake_case(found[name])
        assert page["total"] == rows["total"]
        assert page["items"] == [{key: item[key] for key in page["items"][0]} for item in rows["items"]]
    types = {kind["name"]: kind for kind in ask(service, INTROSPECTION)["__schema"]["types"]}
    every = f"query ($id: ID!) {{ portfolio(id: $id) {{ conclusion {selection(types, 'PortfolioConclusion')} }} }}"
    assert_holds(rest["conclusion"], snake_case(ask(service, every, id=portfolio_id)["portfolio"]["conclusion"]))
    alone = ask(service, "query ($id: ID!) { portfolio(id: $id) { settings } }", id=portfolio_id)
    assert alone["portfolio"]["settings"] == rest["settings"]


def test_one_symbol_alone_is_the_backtest_of_it(service: str) -> None:
    own = BODY["backtest"] | {"percent_size": 0.5}
    found = data_of(run(service, {"symbols": ["ETHUSDT"], "backtest": own, "wait_seconds": 60}))
    body = own | {"symbol": "ETHUSDT", "engine": "EVENT_DRIVEN"}
    alone = data_of(httpx.post(f"{service}/api/backtests", params={"rows": False}, json=body, timeout=JOB_S))
    for name in ("final_equity", "total_trades", "max_drawdown", "total_fees"):
        assert found["conclusion"]["metrics"][name] == pytest.approx(alone["metrics"][name], rel=1e-12), name


def test_call_without_waiting_returns_its_job(service: str) -> None:
    body = BODY | {"wait_seconds": 0}
    response = run(service, body)
    assert (response.status_code, response.headers["Retry-After"]) == (202, "1")
    answer = ask(service, DOCUMENT, input=GRAPHQL_INPUT | {"waitSeconds": 0})["runPortfolioBacktest"]
    assert answer["portfolio"] is None
    job_id = response.json()["data"]["id"]
    wait(service, job_id)
    with httpx.stream("GET", f"{service}/api/jobs/{job_id}/events", timeout=60) as stream:
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert (events[-1]["state"], events[-1]["kind"]) == ("SUCCEEDED", "PORTFOLIO")
    listed = data_of(httpx.get(f"{service}/api/jobs", params={"user_id": "folio"}))["items"]
    assert job_id in {job["id"] for job in listed}


def test_equal_key_is_the_same_portfolio(service: str) -> None:
    key = uuid.uuid4().hex
    first = data_of(run(service, BODY | {"wait_seconds": 60}, headers={"Idempotency-Key": key}))
    again = data_of(run(service, BODY | {"wait_seconds": 60, "idempotency_key": key}))
    assert again["job"] == first["job"]
    answer = ask(service, DOCUMENT, input=GRAPHQL_INPUT | {"idempotencyKey": key})["runPortfolioBacktest"]
    assert answer["job"]["id"] == first["job"]["id"]
    other = run(service, BODY | {"max_open": 3}, headers={"Idempotency-Key": key})
    assert (other.status_code, other.json()["code"]) == (409, "CONFLICT")


def test_deleted_portfolio_is_gone(service: str) -> None:
    job_id = start(service, BODY)
    wait(service, job_id)
    address = f"{service}/api/jobs/{job_id}"
    stranger = httpx.delete(address, params={"user_id": "other", "delete": True})
    assert stranger.status_code == 404
    assert httpx.delete(address, params={"user_id": "folio", "delete": True}).status_code == 200
    for path in (job_id, f"{job_id}/equity", f"{job_id}/fills", f"{job_id}/trades"):
        gone = httpx.get(f"{service}/api/portfolios/{path}")
        assert (gone.status_code, gone.json()["code"]) == (404, "JOB_NOT_FOUND")


def test_job_of_another_kind_is_no_portfolio(service: str) -> None:
    backtest = {"user_id": "folio", "symbol": "BTCUSDT", "source": "simulated", "limit": 100, "async": True}
    job_id = httpx.post(f"{service}/api/backtests", json=backtest, timeout=60).json()["data"]["id"]
    found = httpx.get(f"{service}/api/portfolios/{job_id}")
    assert (found.status_code, found.json()["code"]) == (404, "JOB_NOT_FOUND")
    answer = ask(service, "query ($id: ID!) { job(id: $id) { portfolio { id } } }", id=job_id)
    assert answer == {"job": {"portfolio": None}}


def test_canceled_portfolio_has_no_rows_and_is_resumed(own_service: Any) -> None:
    service, _ = own_service(job_workers=0)
    job_id = start(service, BODY)
    early = httpx.get(f"{service}/api/portfolios/{job_id}/equity")
    assert (early.status_code, early.json()["code"]) == (409, "CONFLICT")
    assert f"Portfolio '{job_id}' is QUEUED and has no rows." in early.json()["message"]
    cancelled = data_of(httpx.delete(f"{service}/api/jobs/{job_id}", params={"user_id": "folio"}))
    assert cancelled["state"] == "CANCELLED"
    found = data_of(httpx.get(f"{service}/api/portfolios/{job_id}"))
    assert (found["conclusion"], found["job"]["state"]) == (None, "CANCELLED")
    resumed = httpx.post(f"{service}/api/jobs/{job_id}/resume", params={"user_id": "folio"})
    assert resumed.json()["data"]["state"] == "QUEUED"
    before = time.monotonic()
    waited = run(service, BODY | {"wait_seconds": 0.5})
    assert (waited.status_code, waited.json()["data"]["state"]) == (202, "QUEUED")
    assert time.monotonic() - before >= 0.5


def test_unknown_symbol_fails_the_call_by_name(service: str) -> None:
    body = {"symbols": ["BTCUSDT", "NOPEUSDT"], "backtest": {"user_id": "folio", "limit": 50}, "wait_seconds": 60}
    refused = run(service, body)
    assert (refused.status_code, refused.json()["code"]) == (404, "SYMBOL_NOT_FOUND")
    assert "NOPEUSDT" in refused.json()["message"]
    assert "Job: '" in refused.json()["message"]


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"symbols": []}, 422, "INVALID_INPUT", "symbols"),
        ({"backtest": {"user_id": "folio", "limit": 2_000_001}}, 422, "INVALID_INPUT", "symbols"),
        ({"backtest": {"user_id": "folio", "source": "nothing"}}, 404, "SOURCE_NOT_FOUND", None),
        ({"backtest": {"user_id": "folio", "strategy": NO_MODEL}}, 404, "MODEL_NOT_FOUND", None),
        ({"wait_seconds": 61}, 422, "INVALID_INPUT", "wait_seconds"),
        ({"max_open": 0}, 422, "INVALID_INPUT", "max_open"),
    ],
)  # fmt: skip
def test_wrong_portfolio_is_refused_at_once(
    service: str, change: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    refused = run(service, BODY | change)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem.get("field")) == (status, code, field), problem
