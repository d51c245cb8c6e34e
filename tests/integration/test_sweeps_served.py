"""Sweeps, walk-forwards and jobs of a running service: REST's answers, their agreement with single runs, GraphQL's."""

from __future__ import annotations

import io
import itertools
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.integration.test_apis_agree import INTROSPECTION, assert_holds, post, selection, snake_case
from tests.mongo_server import backend_uri
from tests.sweeps_served import BACKTEST, JOB_S, SWEEP, WALK_FORWARD, data_of, start, wait

pytestmark = pytest.mark.timeout(2 * JOB_S)


@pytest.fixture(scope="module")
def sweep_id(service: str) -> str:
    job_id = start(service, "/api/sweeps", SWEEP)
    wait(service, job_id)
    return job_id


@pytest.fixture(scope="module")
def walk_forward_id(service: str) -> str:
    job_id = start(service, "/api/walk-forwards", WALK_FORWARD)
    wait(service, job_id)
    return job_id


def rows_of(service: str, sweep_id: str, **query: Any) -> Any:
    return data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}/rows", params=query, timeout=60))


def test_rows_equal_the_runs_that_they_stand_for(service: str, sweep_id: str) -> None:
    page = rows_of(service, sweep_id, sort_by="row")
    grid = list(itertools.product((3, 5, 7, 9), (12, 20, 30), (0.05, 0.2)))
    assert [(row["fast"], row["slow"], row["stop_loss"]) for row in page["items"]] == grid
    assert page["total"] == len(grid)
    for row in page["items"][::7]:
        body = SWEEP["backtest"] | {name: row[name] for name in ("fast", "slow", "stop_loss")}
        run = data_of(httpx.post(f"{service}/api/backtests", params={"rows": False}, json=body, timeout=60))
        metrics = run["metrics"]
        assert row["final_equity"] == metrics["final_equity"]
        for name, value in row.items():
            if name in metrics:
                assert value == (None if metrics[name] is None else pytest.approx(metrics[name], rel=1e-9, abs=1e-9))


def test_conclusion_names_the_best_rows(service: str, sweep_id: str) -> None:
    sweep = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}", timeout=60))
    assert sweep["job"]["result_id"] == sweep_id
    assert sweep["settings"]["parameters"][2] == {"name": "stop_loss", "values": [0.05, 0.2], "range": None}
    conclusion = sweep["conclusion"]
    assert (conclusion["combinations"], conclusion["bars"]) == (24, 600)
    assert conclusion["trials"] >= 24
    assert 0 <= conclusion["overfitting"]["pbo"] <= 1
    assert 0 < conclusion["superiority"]["p_value"] <= 1
    assert 0 < conclusion["timing"]["p_value"] <= 1
    assert sweep["deflation"]["trials"] >= 24
    ranked = rows_of(service, sweep_id, first=2)["items"]
    assert [kept["row"] for kept in conclusion["best"]] == [row["row"] for row in ranked]
    for kept, row in zip(conclusion["best"], ranked, strict=True):
        stored = data_of(httpx.get(f"{service}/api/backtests/{kept['result_id']}", params={"rows": False}))
        assert stored["metrics"]["final_equity"] == row["final_equity"]
        choice = stored["judgement"]["choice"]
        if kept["row"] == conclusion["best"][0]["row"]:
            assert choice["timing_p_value"] == conclusion["timing"]["p_value_of_best"]
        assert kept["values"] == {name: row[name] for name in ("fast", "slow", "stop_loss")}


def test_deleted_best_row_is_run_again(service: str, sweep_id: str) -> None:
    kept = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}"))["conclusion"]["best"]
    assert [each["is_stored"] for each in kept] == [True, True]
    address = f"{service}/api/backtests/{kept[0]['result_id']}"
    before = data_of(httpx.get(address, params={"rows": False}))
    user = {"user_id": "sweeper"}
    assert httpx.delete(address, params=user).is_success
    found = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}"))
    assert [each["is_stored"] for each in found["conclusion"]["best"]] == [False, True]
    assert found["deflation"] is None
    run = f"{service}/api/sweeps/{sweep_id}/rows/{kept[0]['row']}/run"
    stranger = httpx.post(run, params={"user_id": "other"}, timeout=JOB_S)
    assert (stranger.status_code, stranger.json()["code"]) == (404, "JOB_NOT_FOUND")
    again = data_of(httpx.post(run, params=user | {"rows": False}, timeout=JOB_S))
    assert again["id"] == kept[0]["result_id"]
    for name in ("metrics", "settings", "start", "end"):
        assert again.get(name) == before.get(name), name
    assert data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}"))["conclusion"]["best"] == kept
    assert data_of(httpx.post(run, params=user | {"rows": False}, timeout=JOB_S))["created_at"] == again["created_at"]


def test_quota_below_keep_best_leaves_the_best_rows(own_service: Any) -> None:
    service, _ = own_service(max_results_per_user=2)
    sweep_id = start(service, "/api/sweeps", SWEEP | {"keep_best": 4})
    wait(service, sweep_id)
    sweep = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}"))
    best = sweep["conclusion"]["best"]
    assert [kept["is_stored"] for kept in best] == [True, True, False, False]
    assert sweep["deflation"] is not None
    for kept in best:
        found = httpx.get(f"{service}/api/backtests/{kept['result_id']}", params={"rows": False})
        assert found.is_success is kept["is_stored"]


def test_any_row_can_be_run_over_both_apis(service: str, sweep_id: str) -> None:
    worst = rows_of(service, sweep_id, sort_by="rank")["items"][-1]
    document = """mutation ($id: ID!, $row: Int!, $user: String!) {
        runSweepRow(id: $id, row: $row, userId: $user) {
            id metrics { finalEquity }
            judgement { choice { timingPValue superiorityPValue } benchmarks { timing { pValue } } }
        }
    }"""
    variables = {"id": sweep_id, "row": worst["row"], "user": "sweeper"}
    response = httpx.post(f"{service}/graphql", json={"query": document, "variables": variables}, timeout=JOB_S)
    found = response.json()["data"]["runSweepRow"]
    assert found["metrics"]["finalEquity"] == worst["final_equity"]
    conclusion = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}"))["conclusion"]
    choice, timing = found["judgement"]["choice"], found["judgement"]["benchmarks"]["timing"]
    assert choice["superiorityPValue"] == conclusion["superiority"]["p_value"]
    assert conclusion["timing"]["p_value"] <= choice["timingPValue"] <= 1
    assert timing["pValue"] <= choice["timingPValue"]
    run = f"{service}/api/sweeps/{sweep_id}/rows/{worst['row']}/run"
    assert data_of(httpx.post(run, params={"user_id": "sweeper", "rows": False}))["id"] == found["id"]
    unknown = httpx.post(f"{service}/api/sweeps/{sweep_id}/rows/24/run", params={"user_id": "sweeper"})
    assert (unknown.status_code, unknown.json()["field"]) == (422, "row")
    assert "there are 24" in unknown.json()["message"]


@pytest.mark.parametrize(
    ("format", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet), ("arrow", pd.read_feather)]
)
def test_rows_as_files_equal_those_as_json(service: str, sweep_id: str, format: str, read: Any) -> None:
    query = {"sortBy": "maxDrawdown", "descending": True}
    expected = pd.DataFrame(rows_of(service, sweep_id, **query)["items"])
    response = httpx.get(f"{service}/api/sweeps/{sweep_id}/rows", params={**query, "format": format}, timeout=60)
    found = read(io.BytesIO(response.content))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-15)
    assert expected["max_drawdown"].is_monotonic_decreasing


def test_heat_map_has_best_row_of_each_cell(service: str, sweep_id: str) -> None:
    query = {"x": "stopLoss", "y": "fast", "metric": "finalEquity"}
    found = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}/heat-map", params=query, timeout=60))
    assert (found["x"]["name"], found["metric"]) == ("stop_loss", "final_equity")
    rows = pd.DataFrame(rows_of(service, sweep_id, sort_by="row")["items"])
    # The row that is best by the objective, not the one with the largest equity.
    best = rows.loc[rows.groupby(["fast", "stop_loss"])["sharpe_ratio"].idxmax()]
    table = best.pivot_table(index="fast", columns="stop_loss", values="final_equity")
    assert found["x"]["values"] == table.columns.tolist()
    assert found["y"]["values"] == table.index.tolist()
    assert found["cells"] == table.to_numpy().tolist()
    assert found["can_be_best"] == [[True, True]] * 4
    assert found["counts"] == [[3, 3]] * 4
    for cells, numbers in zip(found["cells"], found["best_rows"], strict=True):
        assert rows.set_index("row").loc[numbers, "final_equity"].tolist() == cells


def test_every_response_says_what_a_job_is_about(service: str, sweep_id: str, walk_forward_id: str) -> None:
    market = {"symbol": "BTCUSDT", "interval": "1d", "source": "simulated", "strategy": "ma_crossover", "model": None}
    lengths = market | {"swept": ["fast", "slow"]}
    expected = {sweep_id: market | {"swept": ["fast", "slow", "stop_loss"]}, walk_forward_id: lengths}
    run = httpx.post(f"{service}/api/backtests", json=BACKTEST | {"async": True}, timeout=60).json()["data"]
    assert run["subject"] == market | {"swept": []}
    wait(service, run["id"])
    listed = data_of(httpx.get(f"{service}/api/jobs", params={"user_id": "sweeper", "first": 100}))["items"]
    found = {job["id"]: job["subject"] for job in listed}
    assert {**found, **expected, run["id"]: run["subject"]} == found
    for job_id, subject in expected.items():
        assert data_of(httpx.get(f"{service}/api/jobs/{job_id}"))["subject"] == subject
        query = f'{{ job(id: "{job_id}") {{ subject {{ symbol interval source strategy model swept }} }} }}'
        assert post(service, query)["job"]["subject"] == subject
    events = httpx.get(f"{service}/api/jobs/{sweep_id}/events", timeout=60).text
    assert '"subject":{"symbol":"BTCUSDT"' in events


def test_same_key_and_request_start_one_job(service: str) -> None:
    body = SWEEP | {"idempotency_key": "once"}
    first = start(service, "/api/sweeps", body)
    assert start(service, "/api/sweeps", SWEEP, headers={"Idempotency-Key": "once"}) == first
    other = httpx.post(f"{service}/api/sweeps", json=body | {"keep_best": 3}, timeout=JOB_S)
    assert (other.status_code, other.json()["code"]) == (409, "CONFLICT")
    differing = httpx.post(f"{service}/api/sweeps", json=body, headers={"Idempotency-Key": "twice"}, timeout=JOB_S)
    assert (differing.status_code, differing.json()["field"]) == (422, "idempotency_key")
    wait(service, first)


def test_estimate_counts_what_the_sweep_tries(service: str) -> None:
    body = SWEEP | {"constraints": [{"left": "fast", "operator": "less", "right": 8}]}
    found = data_of(httpx.post(f"{service}/api/sweeps/estimate", json=body, timeout=JOB_S))
    assert (found["combinations"], found["excluded"]) == (18, 6)
    assert found["cpu_seconds"] > 0


def test_cancelled_job_keeps_rows_and_is_resumed(service: str) -> None:
    body = SWEEP | {
        "backtest": SWEEP["backtest"] | {"limit": 100_000, "interval": "1m"},
        "parameters": [
            {"name": "fast", "range": {"from": 2, "to": 40}},
            {"name": "slow", "range": {"from": 41, "to": 90}},
        ],
        "keep_best": 1,
    }
    job_id = start(service, "/api/sweeps", body)
    user = {"user_id": "sweeper"}
    stranger = httpx.delete(f"{service}/api/jobs/{job_id}", params={"user_id": "other"})
    assert (stranger.status_code, stranger.json()["code"]) == (404, "JOB_NOT_FOUND")
    assert data_of(httpx.delete(f"{service}/api/jobs/{job_id}", params=user))["state"] in {"CANCELLING", "CANCELLED"}
    ended = wait(service, job_id, "CANCELLED")
    assert rows_of(service, job_id, sort_by="row", first=1)["total"] == ended["done"] < 39 * 50
    sweep = data_of(httpx.get(f"{service}/api/sweeps/{job_id}"))
    assert (sweep["conclusion"], sweep["deflation"]) == (None, None)
    resumed = httpx.post(f"{service}/api/jobs/{job_id}/resume", params=user)
    assert resumed.status_code == 202
    assert data_of(httpx.delete(f"{service}/api/jobs/{job_id}", params=user))["state"] in {"CANCELLING", "CANCELLED"}
    wait(service, job_id, "CANCELLED")
    listed = data_of(httpx.get(f"{service}/api/jobs", params=user | {"state": "cancelled"}))["items"]
    assert job_id in [job["id"] for job in listed]
    assert data_of(httpx.delete(f"{service}/api/jobs/{job_id}", params=user | {"delete": True})) is None
    assert httpx.get(f"{service}/api/jobs/{job_id}").status_code == 404


def test_backtest_as_a_job_stores_the_same_result(service: str) -> None:
    body = BACKTEST | {"user_id": "patient"}
    job = wait(service, start(service, "/api/backtests", body | {"async": True}))
    stored = data_of(httpx.get(f"{service}/api/backtests/{job['result_id']}", params={"rows": False}))
    direct = data_of(httpx.post(f"{service}/api/backtests", params={"rows": False}, json=body, timeout=60))
    assert stored["metrics"] == direct["metrics"]


def test_walk_forward_returns_are_those_of_its_result(service: str, walk_forward_id: str) -> None:
    found = data_of(httpx.get(f"{service}/api/walk-forwards/{walk_forward_id}", timeout=60))
    folds = found["folds"]
    assert [fold["number"] for fold in folds] == list(range(found["conclusion"]["folds"])) == [0, 1, 2, 3]
    assert found["settings"]["step_bars"] == 100
    growth = 1.0
    for fold in folds:
        assert fold["train_end"] < fold["test_start"]
        growth *= 1 + fold["return_out_of_sample"] / 100
    result = data_of(httpx.get(f"{service}/api/backtests/{found['conclusion']['result_id']}", params={"rows": False}))
    assert result["metrics"]["total_return"] == pytest.approx((growth - 1) * 100, rel=1e-9)
    # Each of the 12 rows is a trial in each of the 4 training windows: their figures can be read.
    assert result["judgement"]["deflation"]["trials"] > 12 * len(folds)
    other = httpx.get(f"{service}/api/sweeps/{walk_forward_id}")
    assert (other.status_code, other.json()["code"]) == (404, "JOB_NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "field", "part"),
    [
        ({"parameters": []}, "parameters", "a list of at least 1 items"),
        ({"parameters": [{"name": "fast", "vals": [1]}]}, "parameters.0.vals", "Known fields: name, values, range."),
        ({"parameters": [{"name": "quick", "values": [1]}]}, "parameters.0.name", "fast, slow, fill"),
        ({"parameters": [{"name": "fast", "range": {"to": 3}}]}, "parameters.0.range.from", "is required"),
        ({"search": {"kind": "all"}}, "search.kind", "GRID, LIST, RANDOM, TPE"),
        ({"backtest": {"user_id": "x", "symbol": "A", "sizes": 1}}, "backtest.sizes", "Unknown field"),
        ({"backtest": None}, "backtest", "Give either backtest or ml_backtest."),
        ({"objective": {"metric": "luck"}}, "objective.metric", "sharpe_ratio"),
        (
            {"constraints": [{"left": "fast", "operator": "LESS"}]},
            "constraints.0.right",
            "either constraints.0.right or value",
        ),
        ({"keep_best": 0}, "keep_best", "1 ≤ x ≤ 100"),
        (
            {"parameters": [SWEEP["parameters"][1], {"name": "fast", "range": {"from": 3, "to": 9, "step": 0}}]},
            "parameters.1.range.step",
            "more than 0. Swept parameter: 'fast'.",
        ),
        ({"constraints": [{"metric": "luck", "operator": "LESS", "value": 1}]}, "constraints.0.metric", "Allowed"),
        ({"backtest": BACKTEST | {"limit": 25}, "parameters": SWEEP["parameters"][:2]}, "limit", "fast 9, slow 30"),
        ({"idempotency_key": "é"}, "idempotency_key", "Allowed: 1 to 128 printable ASCII characters."),
    ],
)
def test_wrong_sweeps_are_refused_by_field(service: str, change: dict[str, Any], field: str, part: str) -> None:
    refused = httpx.post(f"{service}/api/sweeps", json=SWEEP | change, timeout=JOB_S)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert part in refused.json()["message"]


@pytest.mark.parametrize(
    ("change", "field", "part"),
    [
        ({"trainBars": 590}, "train_bars", "one fold needs 690"),
        ({"sweep": SWEEP}, "sweep.parameters.2.name", "'stopLoss', a trading rule. Allowed in a walk-forward"),
        ({"sweep": SWEEP | {"search": {"kind": "TPE"}}}, "sweep.search.kind", "GRID, LIST, RANDOM."),
        ({"sweep": SWEEP | {"search": {"kind": "all"}}}, "sweep.search.kind", "GRID, LIST, RANDOM, TPE."),
        ({"sweep": SWEEP | {"parameters": [{"name": "fast"}]}}, "sweep.parameters.0.values", "either"),
        ({"sweep": SWEEP | {"backtest": BACKTEST | {"interval": "7m"}}}, "interval", "1m"),
    ],
)
def test_wrong_walk_forwards_are_refused_by_field(service: str, change: dict[str, Any], field: str, part: str) -> None:
    refused = httpx.post(f"{service}/api/walk-forwards", json=WALK_FORWARD | change, timeout=JOB_S)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert part in refused.json()["message"]


@pytest.mark.parametrize("key", ["", "x" * 129])
def test_wrong_key_in_header_says_what_is_allowed(service: str, key: str) -> None:
    refused = httpx.post(f"{service}/api/sweeps", json=SWEEP, headers={"Idempotency-Key": key}, timeout=JOB_S)
    assert (refused.status_code, refused.json()["field"]) == (422, "Idempotency-Key")
    assert refused.json()["message"].endswith("Allowed: 1 to 128 printable ASCII characters.")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/sweeps", {"parameters": [{"name": "threshold", "values": [0.4, 0.6]}]}),
        ("/api/sweeps/estimate", {"parameters": [{"name": "threshold", "values": [0.4, 0.6]}]}),
        (
            "/api/walk-forwards",
            {"sweep": {"parameters": [{"name": "threshold", "values": [0.4]}]}, "train_bars": 200, "test_bars": 100},
        ),
    ],
)
def test_unknown_model_and_dataset_are_refused_at_once(service: str, path: str, body: dict[str, Any]) -> None:
    def post(backtest: dict[str, Any]) -> httpx.Response:
        sweep = body.get("sweep", body) | {"ml_backtest": backtest}
        return httpx.post(f"{service}{path}", json=body | ({"sweep": sweep} if "sweep" in body else sweep), timeout=60)

    model = post(BACKTEST | {"model_path": "none.onnx"})
    assert (model.status_code, model.json()["code"]) == (404, "MODEL_NOT_FOUND")
    assert "none.onnx" in model.json()["message"]
    run = httpx.post(f"{service}/api/backtests", json={"user_id": "x", "symbol": "A", "source": "mine", "async": True})
    assert (run.status_code, run.json()["code"]) == (404, "SOURCE_NOT_FOUND")


def test_too_few_bars_found_fail_by_field(service: str) -> None:
    """The range is long enough, and the exchange does not have so many bars."""
    sweep = WALK_FORWARD["sweep"] | {"backtest": {"user_id": "sweeper", "symbol": "BTCUSDT", "limit": 40_000}}
    job_id = start(service, "/api/walk-forwards", WALK_FORWARD | {"sweep": sweep, "trainBars": 30_000})
    error = wait(service, job_id, "FAILED")["error"]
    assert error["code"] == "INVALID_INPUT"
    assert error["message"].startswith("trainBars: there are ")
    assert "one fold needs 30,100: 30,000 to train (trainBars)" in error["message"]


def test_list_says_what_it_left_out(service: str) -> None:
    body = SWEEP | {
        "search": {"kind": "LIST"},
        "parameters": [{"name": "fast", "values": [5, 30]}, {"name": "slow", "values": [20, 20]}],
    }
    sweep_id = start(service, "/api/sweeps", body)
    wait(service, sweep_id)
    conclusion = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}", timeout=60))["conclusion"]
    assert conclusion["combinations"] == 1
    assert conclusion["warnings"][-1].startswith("1 of 2 listed combinations are left out")
    assert conclusion["warnings"][-1].endswith("(fast 30, slow 20): fast (30) must be less than slow (20).")
    estimated = data_of(httpx.post(f"{service}/api/sweeps/estimate", json=body, timeout=60))
    assert estimated["warnings"][-1] == conclusion["warnings"][-1]


def test_rows_in_mongodb_are_those_in_sqlite(service: str, sweep_id: str, own_service: Callable[..., Any]) -> None:
    other, _ = own_service(mongodb_uri=backend_uri(), mongodb_database=f"test_{uuid.uuid4().hex}")
    job_id = start(other, "/api/sweeps", SWEEP)
    job = wait(other, job_id)
    assert rows_of(other, job_id) == rows_of(service, sweep_id)
    found, expected = (
        data_of(httpx.get(f"{address}/api/sweeps/{id_}", timeout=60))
        for address, id_ in ((other, job_id), (service, sweep_id))
    )
    for name in ("overfitting", "superiority", "timing", "stability", "bars_fingerprint"):
        assert found["conclusion"][name] == expected["conclusion"][name]
    stored = data_of(httpx.get(f"{other}/api/backtests/{found['conclusion']['best'][0]['result_id']}", timeout=60))
    assert stored["metrics"]["sharpe_ratio"] == pytest.approx(job["best_so_far"], rel=1e-9)


def test_both_apis_return_the_same_sweep(service: str, sweep_id: str, walk_forward_id: str) -> None:
    types = {kind["name"]: kind for kind in post(service, INTROSPECTION)["__schema"]["types"]}
    for kind, other in (("KeptRow", "result"), ("Job", "portfolio")):
        types[kind]["fields"] = [field for field in types[kind]["fields"] if field["name"] != other]
    rest = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}", timeout=60))
    parts = " ".join(
        f"{field} {selection(types, kind)}"
        for field, kind in (("job", "Job"), ("conclusion", "SweepConclusion"), ("deflation", "Deflation"))
    )
    parts += f" rows(first: 5) {selection(types, 'SweepRows')}"
    parts += f' heatMap(x: "fast", y: "slow", reduce: MEDIAN) {selection(types, "SweepHeatMap")}'
    found = post(service, f'{{ sweep(id: "{sweep_id}") {{ {parts} settings }} }}')["sweep"]
    assert found.pop("settings") == rest["settings"]
    rows, shown_map = snake_case(found.pop("rows")), snake_case(found.pop("heatMap"))
    assert_holds(rest, snake_case(found))
    page = rows_of(service, sweep_id, first=5)
    assert rows["total"] == page["total"]
    assert [{**row.pop("values"), **row} for row in rows["items"]] == page["items"]
    query = {"x": "fast", "y": "slow", "reduce": "median"}
    assert_holds(data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}/heat-map", params=query)), shown_map)
    rest = data_of(httpx.get(f"{service}/api/walk-forwards/{walk_forward_id}", timeout=60))
    parts = " ".join(
        f"{field} {selection(types, kind)}"
        for field, kind in (("job", "Job"), ("folds", "Fold"), ("conclusion", "WalkForwardConclusion"))
    )
    found = post(service, f'{{ walkForward(id: "{walk_forward_id}") {{ {parts} settings }} }}')["walkForward"]
    assert found.pop("settings") == rest["settings"]
    assert_holds(rest, snake_case(found))
