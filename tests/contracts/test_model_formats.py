"""Check what every model format of the registry must do: predict right, and refuse other files clearly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.errors import MissingLibrary, ModelRejected, UnsupportedFormat
from src.domain.model_files import ModelDescription
from src.domain.signals import OutputKind
from src.features.names import FEATURE_NAMES
from src.model_formats.registry import FORMAT_NAMES, FORMATS, INSTALL_COMMAND, load_model, prepare
from src.ports.computing import Predictor
from src.stores.model_content import HEAD_BYTES, check_content
from src.stores.model_recognition import TAIL_BYTES, recognize_extension
from tests.model_factory import BOOSTERS, make_model_files, require_libraries, train_network, training_table
from tests.model_factory import FORMATS as NETWORKS

Load = Callable[[Path, Path], Predictor]
"""Open a file, with an empty folder for what has to be unpacked."""


@dataclass(frozen=True)
class Sample:
    """A file of one format, and what its model knows; `rises` [n] is P(class 1) of the producing library."""

    name: str
    files: Mapping[str, Path]
    rows: NDArray[np.float64]
    rises: NDArray[np.float64] | None

    @property
    def file(self) -> Path:
        return self.files[self.name]


Check = Callable[[Load, Sample, Path], None]


def load(file: Path, folder: Path) -> Predictor:
    return load_model(prepare(file, file.suffix, folder), file.suffix)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Sample]:
    require_libraries()
    files = make_model_files(tmp_path_factory.mktemp("models"))
    table, rises = training_table()[0], train_network()[0].predict_proba(training_table()[0])[:, 1]
    return {name: Sample(name, files, table.to_numpy(), rises if name in NETWORKS else None) for name in files}


def predict(predictor: Predictor, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return predictor.predict(rows, FEATURE_NAMES)[0]


def check_predictions_are_those_of_the_producing_library(load: Load, sample: Sample, folder: Path) -> None:
    values = predict(load(sample.file, folder), sample.rows)
    assert values.dtype == np.float64
    assert values.shape == (len(sample.rows),)
    assert ((values >= 0) & (values <= 1)).all()
    if sample.rises is not None:
        exact = sample.name in ("pkl", "joblib")
        np.testing.assert_allclose(values, sample.rises, rtol=0, atol=0 if exact else 2e-6)


def check_what_is_declared_is_predicted(load: Load, sample: Sample, folder: Path) -> None:
    predictor = load(sample.file, folder)
    description = predictor.description
    assert description.format in FORMAT_NAMES
    assert description.library
    assert description.warnings == ()
    assert description.n_features == sample.rows.shape[1]
    assert description.output_kind is predictor.predict(sample.rows, FEATURE_NAMES)[1] is OutputKind.PROBABILITY


def check_same_predictions_twice(load: Load, sample: Sample, folder: Path) -> None:
    loaded = [load(sample.file, folder / attempt) for attempt in ("first", "second")]
    runs = [predict(predictor, sample.rows).tobytes() for predictor in (*loaded, loaded[0])]
    assert runs[0] == runs[1] == runs[2]


def check_rows_do_not_depend_on_their_batch(load: Load, sample: Sample, folder: Path) -> None:
    predictor = load(sample.file, folder)
    whole = predict(predictor, sample.rows)
    for chosen in (slice(0, 1), slice(7, 8), slice(3, 90), slice(None, None, -1)):
        np.testing.assert_allclose(predict(predictor, sample.rows[chosen]), whole[chosen], rtol=0, atol=1e-6)
    assert predict(predictor, sample.rows[:0]).shape == (0,)


def check_rows_stay_as_they_are(load: Load, sample: Sample, folder: Path) -> None:
    rows = sample.rows.copy()
    predict(load(sample.file, folder), rows)
    assert rows.tobytes() == sample.rows.tobytes()


def check_content_tells_the_format(_: Load, sample: Sample, __: Path) -> None:
    content = sample.file.read_bytes()
    check_content(sample.file.suffix, content[:HEAD_BYTES])
    recognized = recognize_extension(content[:HEAD_BYTES], content[-TAIL_BYTES:])
    assert FORMATS[recognized].module == FORMATS[sample.file.suffix].module


def assert_refused(load: Load, content: bytes, extension: str, folder: Path) -> None:
    folder.mkdir()
    file = folder / f"file{extension}"
    file.write_bytes(content)
    with pytest.raises((ModelRejected, UnsupportedFormat)) as caught:
        load(file, folder / "unpacked")
    assert len(caught.value.message) < 800
    assert str(folder) not in caught.value.message


def check_cut_files_are_refused(load: Load, sample: Sample, folder: Path) -> None:
    content = sample.file.read_bytes()
    for stop in (0, 1, len(content) // 4, len(content) // 2, len(content) - 20):
        assert_refused(load, content[:stop], sample.file.suffix, folder / f"cut-{stop}")


def check_files_of_others_are_refused(load: Load, sample: Sample, folder: Path) -> None:
    extension = sample.file.suffix
    assert_refused(load, bytes(range(256)) * 20, extension, folder / "noise")
    for name, file in sample.files.items():
        if FORMATS[file.suffix].module != FORMATS[extension].module:
            assert_refused(load, file.read_bytes(), extension, folder / name)


CHECKS: tuple[Check, ...] = (
    check_predictions_are_those_of_the_producing_library,
    check_what_is_declared_is_predicted,
    check_same_predictions_twice,
    check_rows_do_not_depend_on_their_batch,
    check_rows_stay_as_they_are,
    check_content_tells_the_format,
    check_cut_files_are_refused,
    check_files_of_others_are_refused,
)


def test_every_format_of_the_registry_has_a_sample(samples: Mapping[str, Sample]) -> None:
    assert set(samples) == {*NETWORKS, *BOOSTERS}
    assert {sample.file.suffix for sample in samples.values()} == set(FORMATS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [*NETWORKS, *BOOSTERS])
def test_format_keeps_the_contract(name: str, check: Check, samples: Mapping[str, Sample], tmp_path: Path) -> None:
    check(load, samples[name], tmp_path)


@pytest.mark.parametrize(
    ("extension", "library"),
    [(extension, library) for extension in FORMATS for library in FORMATS[extension].libraries],
)
def test_missing_library_is_named_with_install_command(
    extension: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The import system takes None for "not installed".
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibrary, match=f"needs the library {library}, .* {INSTALL_COMMAND}") as caught:
        load_model(tmp_path / f"model{extension}", extension)
    assert caught.value.library == library


class Planted:
    """A predictor with a fault, around one that keeps the contract; `fault` gets the rows and the predictions."""

    def __init__(self, honest: Predictor, fault: Callable[[Any, Any], Any], **changes: Any) -> None:
        self._honest, self._fault = honest, fault
        self.description: ModelDescription = replace(honest.description, **changes)

    def predict(self, rows: Any, names: tuple[str, ...], declared: OutputKind | None = None) -> Any:
        values, kind = self._honest.predict(rows, names, declared)
        return self._fault(rows, values), kind


def plant(fault: Callable[[Any, Any], Any] = lambda _, values: values, **changes: Any) -> Load:
    return lambda file, folder: Planted(load(file, folder), fault, **changes)  # type: ignore[return-value]


def spoil(rows: Any, values: Any) -> Any:
    rows[0, 0] += 1
    return values


def open_anything(file: Path, folder: Path) -> Predictor:
    """Never look at the file."""
    return Planted.__new__(Planted)  # type: ignore[return-value]


def tell_the_path(file: Path, folder: Path) -> Predictor:
    raise ModelRejected(f"cannot open {file}")


CALLS = iter(range(10**6))


@pytest.mark.parametrize(
    ("check", "faulty"),
    [
        (check_predictions_are_those_of_the_producing_library, plant(lambda _, values: 1 - values)),
        (check_predictions_are_those_of_the_producing_library, plant(lambda _, values: values.astype(np.float32))),
        (check_what_is_declared_is_predicted, plant(output_kind=OutputKind.VALUE)),
        (check_what_is_declared_is_predicted, plant(n_features=13)),
        (check_what_is_declared_is_predicted, plant(format="Lotus")),
        (check_same_predictions_twice, plant(lambda _, values: values + 1e-12 * next(CALLS))),
        (check_rows_do_not_depend_on_their_batch, plant(lambda _, values: values - values.sum() / 1e3)),
        (check_rows_stay_as_they_are, plant(spoil)),
        (check_cut_files_are_refused, open_anything),
        (check_files_of_others_are_refused, open_anything),
        (check_files_of_others_are_refused, tell_the_path),
    ],
)
def test_planted_fault_fails_the_contract(
    check: Check, faulty: Load, samples: Mapping[str, Sample], tmp_path: Path
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(faulty, samples["pkl"], tmp_path)


def test_planted_name_of_another_format_fails_the_contract(samples: Mapping[str, Sample], tmp_path: Path) -> None:
    stranger = tmp_path / "model.onnx"
    stranger.write_bytes(samples["pkl"].file.read_bytes())
    with pytest.raises(UnsupportedFormat):
        check_content_tells_the_format(load, replace(samples["pkl"], files={"pkl": stranger}), tmp_path)
