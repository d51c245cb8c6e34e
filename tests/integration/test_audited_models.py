"""Check the audit of real files, in real children: models of one row are told from those that read others."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, minmax_scale, scale

from src.domain.signals import Features, Predictions
from src.features.ohlcv import build_features
from src.judgement.leaks import RowComparison, compare_rows
from src.sandbox.runner import SandboxedModelRunner
from tests.market import random_bars
from tests.model_factory import BOOSTERS, FORMATS, make_model_files, require_libraries, training_table
from tests.security.hostile import ROOT, model_file
from tests.security.test_attacks import Impostor

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEED = 2**63 + 3
CASES = Path(__file__).parents[3] / "shared" / "cases"


@pytest.fixture(scope="module")
def table() -> Features:
    return build_features(random_bars(400, seed=11))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    require_libraries()
    return make_model_files(tmp_path_factory.mktemp("models"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner() -> AsyncIterator[SandboxedModelRunner]:
    opened = SandboxedModelRunner(max_children=1)
    yield opened
    await opened.close()


async def predict(runner: SandboxedModelRunner, path: Path, table: Features) -> Predictions:
    return await runner.predict(model_file(path), table, table.names, None, audit_seed=SEED)


def compared(predictions: Predictions) -> RowComparison:
    assert predictions.audit_failure is None
    assert predictions.among_others is not None
    is_known = ~np.isnan(predictions.values)
    np.testing.assert_array_equal(np.isnan(predictions.among_others), ~is_known)
    return compare_rows(predictions.values[is_known], predictions.among_others[is_known])


@pytest.mark.parametrize("name", [*FORMATS, *BOOSTERS])
async def test_rows_of_every_format_stay_the_same(
    name: str, files: Mapping[str, Path], runner: SandboxedModelRunner, table: Features
) -> None:
    found = compared(await predict(runner, files[name], table))
    assert found.rows > 300
    assert found.are_equal, f"{found.differing} rows differ, by {found.largest} tolerances"


@pytest.mark.parametrize("name", [*FORMATS, *BOOSTERS])
async def test_prefixes_of_every_format_stay_the_same(
    name: str, files: Mapping[str, Path], runner: SandboxedModelRunner, table: Features
) -> None:
    whole = await predict(runner, files[name], table)
    lengths = (400, 21, 399)
    prefixes = await runner.predict_prefixes(model_file(files[name]), table, table.names, None, lengths=lengths)
    assert tuple(len(prefix.values) for prefix in prefixes) == lengths
    for prefix in prefixes:
        assert (prefix.kind, prefix.feature_columns) == (whole.kind, whole.feature_columns)
        np.testing.assert_allclose(prefix.values, whole.values[: len(prefix.values)], rtol=0, atol=1e-6)


@pytest.mark.parametrize("read_all", [scale, minmax_scale], ids=lambda function: function.__name__)
async def test_model_that_scales_by_all_rows_differs(
    read_all: object, runner: SandboxedModelRunner, table: Features, tmp_path: Path
) -> None:
    frame, rises = training_table()
    model = make_pipeline(FunctionTransformer(read_all), LogisticRegression()).fit(frame, rises)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    found = compared(await predict(runner, tmp_path / "model.pkl", table))
    assert found.differing > found.rows // 2


@pytest.mark.skipif(not (CASES / "leak_scale.pkl").exists(), reason="../shared is not there")
async def test_known_leaking_file_differs_and_is_repeatable(runner: SandboxedModelRunner, table: Features) -> None:
    path = CASES / "leak_scale.pkl"
    whole = await predict(runner, path, table)
    assert compared(whole).differing > 0
    repeated, shorter = await runner.predict_prefixes(model_file(path), table, table.names, None, lengths=(400, 399))
    np.testing.assert_array_equal(repeated.values, whole.values)
    assert (shorter.values != whole.values[:399])[~np.isnan(shorter.values)].any()


async def test_network_with_dropout_on_differs(runner: SandboxedModelRunner, table: Features, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    layers = torch.nn.Sequential(torch.nn.Linear(14, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    with warnings.catch_warnings():
        # torch would rather have torch.export, and sees that two traces differ.
        warnings.simplefilter("ignore")
        torch.jit.trace(layers.train(), torch.ones(1, 14), check_trace=False).save(str(tmp_path / "model.pt"))
    path = tmp_path / "model.pt"
    whole = await predict(runner, path, table)
    assert compared(whole).differing > 0
    # A child starts with the same random numbers as that of the first prediction, and still answers otherwise.
    repeated, _ = await runner.predict_prefixes(model_file(path), table, table.names, None, lengths=(400, 21))
    assert (repeated.values != whole.values)[~np.isnan(whole.values)].any()


async def test_shorter_prefixes_are_asked_for_first(
    runner: SandboxedModelRunner, table: Features, tmp_path: Path
) -> None:
    counts = "calls = 0\ndef predict(table):\n    global calls\n    calls += 1\n    return table[:, 0] * 0 + calls"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Impostor(counts)))
    file, lengths = model_file(tmp_path / "model.pkl"), (400, 30, 399, 30)
    prefixes = await runner.predict_prefixes(file, table, table.names, None, lengths=lengths)
    assert tuple(len(prefix.values) for prefix in prefixes) == lengths
    assert [np.nanmax(prefix.values) for prefix in prefixes] == [3.0, 1.0, 2.0, 1.0]


@pytest.mark.parametrize("lengths", [(), (0,), (401,), (400, -1)])
async def test_prefixes_that_do_not_exist_are_refused(
    lengths: tuple[int, ...], runner: SandboxedModelRunner, table: Features, tmp_path: Path
) -> None:
    (tmp_path / "model.pkl").write_bytes(b"never opened")
    with pytest.raises(ValueError, match="each must be from 1 to 400"):
        await runner.predict_prefixes(model_file(tmp_path / "model.pkl"), table, None, None, lengths=lengths)


async def test_child_of_an_audit_needs_no_compiler() -> None:
    """Each zygote imports the worker; numba and scipy would cost every one of them a second and its memory."""
    heavy = {"numba", "llvmlite", "scipy", "src.judgement.leaks"}
    found = f"import sys, src.sandbox.worker; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", found], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
