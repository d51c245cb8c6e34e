"""The runner: descriptions, predictions and errors."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from src.domain.errors import (
    Conflict,
    InvalidInput,
    MissingLibrary,
    ModelNotFound,
    ModelRejected,
    ServiceError,
    UnsupportedFormat,
)
from src.domain.signals import OutputKind
from src.model_formats.sentences import sentence
from src.model_formats.undeclared import by_columns
from src.sandbox.runner import SandboxedModelRunner
from tests.security.crafted import zip_of
from tests.security.hostile import features, model_file
from tests.security.plain_formats import LinearModel
from tests.unit.sandbox.runners import COLUMNS, hostile

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_inspection_describes_model(runner: SandboxedModelRunner, honest: Path) -> None:
    description = await runner.inspect(model_file(honest))
    assert description.n_features == 2
    assert description.feature_names == ("column_0", "column_1")
    assert description.output_kind is OutputKind.VALUE


async def test_predictions_equal_those_of_model(runner: SandboxedModelRunner, honest: Path) -> None:
    table = features(rows=500, columns=3, missing=19)
    predictions = await runner.predict(model_file(honest), table, None, None)
    assert predictions.kind is OutputKind.VALUE
    assert np.isnan(predictions.values[:19]).all()
    np.testing.assert_array_equal(predictions.values[19:], table.values[19:, :2] @ np.array([2.0, -1.0]))


async def test_missing_unread_column_does_not_exclude_row(runner: SandboxedModelRunner, honest: Path) -> None:
    table = features(rows=30, columns=3)
    values = table.values.copy()
    values[11, 1] = np.nan
    values[:, 2] = np.nan
    holed = type(table)(names=table.names, values=values)
    predictions = await runner.predict(model_file(honest), holed, None, None)
    assert predictions.feature_columns == ("column_0", "column_1")
    asked = np.arange(30) != 11
    np.testing.assert_array_equal(np.isnan(predictions.values), ~asked)
    np.testing.assert_array_equal(predictions.values[asked], values[asked, :2] @ np.array([2.0, -1.0]))


async def test_rows_without_columns_are_not_predicted(runner: SandboxedModelRunner, honest: Path) -> None:
    predictions = await runner.predict(model_file(honest), features(rows=5, missing=5), None, None)
    assert np.isnan(predictions.values).all()
    assert predictions.kind is OutputKind.VALUE


async def test_no_rows_give_no_predictions(runner: SandboxedModelRunner, honest: Path) -> None:
    assert (await runner.predict(model_file(honest), features(rows=0), None, None)).values.shape == (0,)


async def test_request_chooses_columns(runner: SandboxedModelRunner, honest: Path, tmp_path: Path) -> None:
    unnamed = tmp_path / "unnamed.pkl"
    unnamed.write_bytes(pickle.dumps(LinearModel((2.0, -1.0))))
    table = features()
    predictions = await runner.predict(model_file(unnamed), table, ["column_1", "column_0"], None)
    np.testing.assert_array_equal(predictions.values, table.values[:, ::-1] @ np.array([2.0, -1.0]))


@pytest.mark.parametrize("columns", [["column_0"], ["column_0", "nonsense"]])
async def test_wrong_columns_are_rejected_by_name(
    runner: SandboxedModelRunner, honest: Path, columns: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await runner.predict(model_file(honest), features(), columns, None)
    assert caught.value.field == "featureColumns"


async def test_predictions_outside_declared_kind_are_rejected(runner: SandboxedModelRunner, honest: Path) -> None:
    with pytest.raises(ModelRejected, match="from 0 to 1"):
        await runner.predict(model_file(honest), features(), None, OutputKind.PROBABILITY)


async def test_oversized_description_is_rejected_with_advice(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    names = tuple(f"a_feature_name_{number}" for number in range(6000))
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(LinearModel((1.0,) * 6000, names)))
    with pytest.raises(ModelRejected, match=r"takes 1\d{5} bytes.*Train the model on fewer columns"):
        await runner.inspect(model_file(tmp_path / "m.pkl"))


async def test_declared_kind_suppresses_its_warning(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    model = LinearModel((2.0, -1.0))
    another = sentence("warned", said="another")
    model.warnings = (by_columns(1), another)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    file = model_file(tmp_path / "m.pkl")
    assert (await runner.predict(file, features(), COLUMNS, None)).warnings == (by_columns(1), another)
    assert (await runner.predict(file, features(), COLUMNS, OutputKind.VALUE)).warnings == (another,)


async def test_many_rows_are_predicted(runner: SandboxedModelRunner, honest: Path) -> None:
    table = features(rows=300_000)
    predictions = await runner.predict(model_file(honest), table, None, None)
    np.testing.assert_array_equal(predictions.values, table.values @ np.array([2.0, -1.0]))


async def test_each_failure_gives_its_error_class(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    cases: list[tuple[str, bytes, type[ServiceError]]] = [
        ("notamodel.pkl", pickle.dumps([1, 2]), ModelRejected),
        ("garbage.pkl", b"garbage", ModelRejected),
        ("empty.pkl", b"", ModelRejected),
        ("library.absent", b"x", MissingLibrary),
        ("unknown.exe", b"x", UnsupportedFormat),
    ]
    for name, content, kind in cases:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(kind):
            await runner.inspect(model_file(path))
    with pytest.raises(ModelNotFound):
        await runner.inspect(model_file(tmp_path / "gone.pkl"))


@pytest.mark.parametrize("name", ["model.pkl", "model.zip", "model.h5"])
async def test_file_changed_on_disk_is_not_opened(runner: SandboxedModelRunner, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = pickle.dumps(LinearModel((2.0, -1.0)))
    path.write_bytes(zip_of({"model.pkl": content, "note": b"x"}) if name.endswith("zip") else content)
    file = model_file(path)
    assert (await runner.inspect(file)).n_features == 2
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(Conflict, match="was changed since"):
        await runner.inspect(file)
    with pytest.raises(Conflict, match="upload it again"):
        await runner.predict(file, features(), COLUMNS, None)


async def test_archive_is_unpacked_in_a_child_and_removed(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(zip_of({"model.pkl": pickle.dumps(LinearModel((1.0, 1.0))), "note": b"x"}))
    table = features()
    predictions = await runner.predict(model_file(path), table, COLUMNS, None)
    np.testing.assert_array_equal(predictions.values, table.values @ np.array([1.0, 1.0]))
    staged = runner._children.staging.link(".zip").parent
    assert not [entry for entry in staged.iterdir() if not entry.is_symlink()]


async def test_unpacking_stays_in_its_folder(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    path, target = tmp_path / "model.zip", tmp_path / "elsewhere"
    path.write_bytes(zip_of({"model.pkl": b"", "note": b"", "elsewhere": str(target).encode()}))
    with pytest.raises(ModelRejected, match="Permission denied"):
        await runner.inspect(model_file(path))
    assert not target.exists()


async def test_error_texts_are_cleaned(runner: SandboxedModelRunner, tmp_path: Path) -> None:
    source = "raise ValueError('\\x1b[2J\\u202e see /srv/secret/place/file.txt ' + 'x' * 100_000)"
    with pytest.raises(ModelRejected) as caught:
        await runner.inspect(model_file(hostile(tmp_path, source)))
    assert "\x1b" not in caught.value.message
    assert "secret" not in caught.value.message
    assert len(caught.value.message) < 1000
