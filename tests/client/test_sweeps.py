"""Sweeps, walk-forwards and jobs from the client, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pandas as pd
import pytest

from backtesting_client import Client, ClientError, InvalidRequest, JobFailed, NotFound, Sweep
from backtesting_client.jobs import Job
from backtesting_client.sweep_requests import read_constraint, split_settings
from backtesting_client.transport import Transport
from tests.sweeps_served import JOB_S

pytestmark = pytest.mark.timeout(2 * JOB_S)

MARKET = {"source": "simulated", "seed": 9, "limit": 500}
LONGER = MARKET | {"limit": 1000}
"""Bars on which the best row trades often enough for the test of its timing."""


@pytest.fixture(scope="module")
def sweep(service: str) -> Iterator[Sweep]:
    with Client(service, user="client-sweeps", progress=False, timeout_s=JOB_S) as client:
        yield client.sweep(
            "MA_CROSSOVER", "BTCUSDT", fast=range(3, 9, 2), slow=[12, 24], constraints=["fast < slow"], keep_best=2,
            objective={"metric": "total_return", "min_trades": 0}, **LONGER,
        )  # fmt: skip


def test_best_is_the_run_of_its_row(bt: Client, sweep: Sweep) -> None:
    rows = sweep.rows()
    assert (rows.index.name, len(rows)) == ("row", 6)
    best = rows.iloc[0]
    assert sweep.kept.index[0] == rows.index[0]
    again = bt.run("ma_crossover", "BTCUSDT", fast=int(best["fast"]), slow=int(best["slow"]), **LONGER)
    assert sweep.best.metrics["final_equity"] == again.metrics["final_equity"] == best["final_equity"]
    assert rows["total_return"].is_monotonic_decreasing
    assert sweep.rows("row").index.tolist() == list(range(6))
    assert sweep.deflation is not None
    found = sweep.conclusion["timing"]
    assert sweep.timing == found["p_value_of_best"] >= found["p_value"] > 0
    assert repr(sweep) == f"Sweep({sweep.id!r}, SUCCEEDED)"


def test_deleted_run_of_a_row_is_made_again(service: str, sweep: Sweep) -> None:
    row, kept = sweep.kept.index[-1], sweep.kept.iloc[-1]
    assert kept["is_stored"]
    before = sweep.run_row(row)
    with Client(service, user="client-sweeps", progress=False, timeout_s=JOB_S) as owner:
        owner.delete(before)
    again = sweep.run_row(row)
    assert (again.id, before.id) == (kept["result_id"], kept["result_id"])
    assert again.metrics.equals(before.metrics)


def test_heatmap_equals_a_pivot_of_the_rows(sweep: Sweep) -> None:
    expected = sweep.rows("row").pivot_table(index="slow", columns="fast", values="total_return", aggfunc="mean")
    found = sweep.heatmap("fast", "slow", reduce="MEAN")
    pd.testing.assert_frame_equal(found, expected, check_index_type=False, check_column_type=False)


def test_numbers_of_rules_are_swept(bt: Client) -> None:
    swept = bt.sweep(
        "rules", "BTCUSDT", buy="rsi({n}) < {low}", sell="rsi({n}) > 60", parameters={"n": [5, 9], "low": [30, 40]},
        stop_loss=[0.05, 0.1], engine="EVENT_DRIVEN", keep_best=1, **MARKET,
    )  # fmt: skip
    rows = swept.rows("row")
    assert len(rows) == 8
    assert rows[["n", "low", "stop_loss"]].nunique().tolist() == [2, 2, 2]


def test_walk_forward_has_folds_and_a_run(bt: Client) -> None:
    walk = bt.walk_forward(
        "ma_crossover", "BTCUSDT", fast=[3, 5], slow=[12, 24], train_bars=200, test_bars=100, **MARKET
    )
    assert walk.folds.index.tolist() == [0, 1, 2]
    growth = (1 + walk.folds["return_out_of_sample"] / 100).prod()
    assert walk.run.metrics["total_return"] == pytest.approx((growth - 1) * 100)
    assert bt.get_walk_forward(walk.id).conclusion == walk.conclusion


def test_job_is_followed_cancelled_and_deleted(bt: Client) -> None:
    swept = bt.sweep(
        "ma_crossover", "BTCUSDT", "1m", fast=range(2, 40), slow=range(50, 90), wait=False, keep_best=1,
        source="simulated", seed=9, limit=100_000,
    )  # fmt: skip
    job = swept.job
    with pytest.raises(ClientError, match="has not succeeded"):
        swept.conclusion  # noqa: B018
    job.cancel()
    with pytest.raises(JobFailed, match="CANCELLED") as failed:
        job.wait(is_shown=False)
    assert failed.value.job["state"] == job.state == "CANCELLED"
    listed = bt.jobs("CANCELLED").loc[job.id]
    assert (listed["strategy"], listed["symbol"], listed["interval"]) == ("ma_crossover", "BTCUSDT", "1m")
    assert (listed["source"], listed["swept"]) == ("simulated", ["fast", "slow"])
    assert repr(job).startswith(f"Job({job.id!r}, SWEEP of ma_crossover on BTCUSDT 1m, CANCELLED, ")
    job.delete()
    with pytest.raises(NotFound):
        bt.job(job.id)


def test_same_key_is_the_same_job(bt: Client) -> None:
    options = {"fast": [3], "slow": [12], "wait": False, "idempotency_key": "client", **MARKET}
    first, second = (bt.sweep("ma_crossover", "BTCUSDT", **options) for _ in range(2))
    assert first.id == second.id
    assert first.job.wait().has_ended


def test_unknown_parameter_is_the_service_error(bt: Client) -> None:
    with pytest.raises(InvalidRequest, match="quick") as refused:
        bt.sweep("ma_crossover", "BTCUSDT", quick=[1, 2], **MARKET)
    assert refused.value.field == "parameters.0.name"


def test_lists_are_swept_and_feature_columns_are_not() -> None:
    fixed, swept = split_settings({"a": [1], "b": 2, "feature_columns": ["Close"], "parameters": {"n": (3, 4), "m": 5}})
    assert fixed == {"b": 2, "feature_columns": ["Close"], "parameters": {"n": 3, "m": 5}}
    assert swept == {"a": [1], "n": [3, 4]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fast < slow", {"operator": "LESS", "left": "fast", "right": "slow"}),
        ("fast>=3", {"operator": "AT_LEAST", "left": "fast", "value": 3.0}),
        ("total_trades != 0", {"operator": "NOT_EQUAL", "metric": "total_trades", "value": 0.0}),
    ],
)
def test_constraints_are_read_from_texts(text: str, expected: dict[str, object]) -> None:
    assert read_constraint(text, {"fast": [], "slow": []}) == expected


@pytest.mark.parametrize("text", ["fast", "fast < ", "fast < fastest", "1 + 2"])
def test_constraint_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a relation|neither a number"):
        read_constraint(text, {"fast": []})


def test_stage_of_a_job_stands_beside_its_bar() -> None:
    class Bar:
        n = 0
        total: Any = None
        postfix = ""

        def update(self, count: int) -> None:
            self.n += count

        def set_postfix_str(self, text: str) -> None:
            self.postfix = text

    info = {"id": "a", "kind": "SWEEP", "state": "RUNNING", "done": 4, "total": 4}
    bar = Bar()
    for stage, postfix in ((None, ""), ({"name": "BEST", "done": 2, "total": 5}, "best 2 of 5")):
        Job(cast("Transport", None), "ann", info | {"stage": stage})._draw(bar)
        assert (bar.n, bar.total, bar.postfix) == (4, 4, postfix)
    Job(cast("Transport", None), "ann", info)._draw(bar)
