"""The audit of a model's rows: predicted again in the same child, and never at the cost of the predictions."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from src.domain.errors import ModelRejected, TimedOut
from src.domain.signals import Features, Predictions
from src.sandbox.runner import SandboxedModelRunner
from tests.security.hostile import PLAIN_FORMATS, features, model_file
from tests.security.plain_formats import FickleModel, LinearModel, ScalingModel

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEED = 2**64 - 5


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner() -> AsyncIterator[SandboxedModelRunner]:
    opened = SandboxedModelRunner(registry=PLAIN_FORMATS, max_children=2, deadline_s=2.0, memory_bytes=1 << 30)
    yield opened
    await opened.close()


def saved(folder: Path, model: object) -> Path:
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps(model))
    return path


async def audit(runner: SandboxedModelRunner, path: Path, table: Features | None = None) -> Predictions:
    table = features(rows=50, columns=2, missing=7) if table is None else table
    return await runner.predict(model_file(path), table, None, None, audit_seed=SEED)


async def test_model_of_one_row_predicts_the_same_among_others(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    predictions = await audit(runner, saved(tmp_path, LinearModel((2.0, -1.0), ("column_0", "column_1"))))
    assert predictions.audit_failure is None
    assert predictions.among_others is not None
    assert np.isnan(predictions.among_others[:7]).all()
    np.testing.assert_allclose(predictions.among_others, predictions.values, rtol=1e-12)


async def test_rows_are_asked_once_more_in_four_parts(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    predictions = await audit(runner, saved(tmp_path, ScalingModel()), features(rows=51, columns=2))
    assert predictions.among_others is not None
    # The model answers each row with the number of rows that it was asked with.
    assert set(predictions.values) == {51.0}
    counts = np.unique(predictions.among_others, return_counts=True)
    assert [values.tolist() for values in counts] == [[12.0, 13.0], [12, 39]]
    again = await audit(runner, saved(tmp_path, ScalingModel()), features(rows=51, columns=2))
    np.testing.assert_array_equal(again.among_others, predictions.among_others)


@pytest.mark.parametrize(
    ("second", "end"),
    [
        ("raise ValueError('my own words')", "failed"),
        ("raise SystemExit(0)", "failed"),
        ("raise KeyboardInterrupt", "failed"),
        ("return numpy.full(len(features), numpy.nan)", "failed"),
        ("return numpy.zeros(len(features) + 1)", "failed"),
        ("return ['up'] * len(features)", "failed"),
        ("return bytearray(1 << 40)", "failed"),
        ("while True: pass", "took too long"),
        ("import os; os._exit(3)", "crashed"),
        ("import os; os.abort()", "crashed"),
        ("import ctypes; ctypes.string_at(0)", "crashed"),
    ],
)
async def test_failing_audit_leaves_predictions(
    runner: SandboxedModelRunner, tmp_path: Path, second: str, end: str
) -> None:
    predictions = await audit(runner, saved(tmp_path, FickleModel(second)))
    assert predictions.among_others is None
    assert predictions.audit_failure == f"The model {end} when the same rows were predicted once more."
    assert np.count_nonzero(~np.isnan(predictions.values)) == 43


@pytest.mark.parametrize(
    ("first", "error"), [("while True: pass", TimedOut), ("import os; os._exit(0)", ModelRejected)]
)
async def test_model_that_fails_at_once_is_rejected_as_ever(
    runner: SandboxedModelRunner, tmp_path: Path, first: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await audit(runner, saved(tmp_path, FickleModel(first, from_call=1)))


async def test_without_seed_rows_are_asked_once(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    path, table = saved(tmp_path, FickleModel("import os; os._exit(3)")), features(rows=9, columns=2)
    predictions = await runner.predict(model_file(path), table, None, None)
    assert (predictions.among_others, predictions.audit_failure) == (None, None)


async def test_each_prefix_is_predicted_alone(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    path, table = saved(tmp_path, ScalingModel()), features(rows=30, columns=2, missing=4)
    predictions = await runner.predict_prefixes(model_file(path), table, None, None, lengths=(30, 5, 29))
    assert [len(prefix.values) for prefix in predictions] == [30, 5, 29]
    assert [set(prefix.values[4:]) for prefix in predictions] == [{26.0}, {1.0}, {25.0}]
    assert all(np.isnan(prefix.values[:4]).all() for prefix in predictions)
