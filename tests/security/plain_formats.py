"""A registry of formats for tests of the sandbox alone: pickles, opened as carelessly as possible."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import MissingLibrary, ModelRejected, UnsupportedFormat
from src.domain.model_files import ModelDescription
from src.domain.signals import OutputKind
from src.ports.computing import Predictor


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatEntry:
    family: str
    module: str
    preload: tuple[str, ...]
    may_be_archive: bool = False


ENVIRONMENT: Mapping[str, str] = {"OPENBLAS_NUM_THREADS": "1"}
HIDDEN_MODULES = ("pyarrow",)
FORMAT_NAMES = frozenset({"pickle"})

FORMATS: Mapping[str, FormatEntry] = {
    ".pkl": FormatEntry(family="plain", module=__name__, preload=("pickle",)),
    ".zip": FormatEntry(family="plain", module=__name__, preload=(), may_be_archive=True),
    ".h5": FormatEntry(family="plain", module=__name__, preload=()),
    ".other": FormatEntry(family="other", module=__name__, preload=()),
    ".absent": FormatEntry(family="absent", module=__name__, preload=("a_library_that_is_not_installed",)),
}


def family_of(extension: str) -> str:
    if extension not in FORMATS:
        raise UnsupportedFormat(f"{extension} is not a model format")
    return FORMATS[extension].family


ABSENT = "a_library_that_is_not_installed"


def missing_library(library: str) -> MissingLibrary:
    return MissingLibrary(f"install it with: pip install {library}", library=library)


def reported_missing(library: object, extension: str) -> MissingLibrary | None:
    return missing_library(ABSENT) if (library, extension) == (ABSENT, ".absent") else None


class LinearModel:
    """Honest: weighs its inputs."""

    def __init__(self, weights: tuple[float, ...], names: tuple[str, ...] | None = None) -> None:
        self.weights = weights
        self.names = names
        self.warnings: tuple[str, ...] = ()

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return features @ np.asarray(self.weights)


class ScalingModel:
    """Answers each row with the number of rows that it is asked with."""

    weights, names = (1.0, 1.0), ("column_0", "column_1")

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full(len(features), float(len(features)))


class FickleModel:
    """Runs some statements in place of predicting, from its second call on."""

    weights, names = (1.0, 1.0), ("column_0", "column_1")

    def __init__(self, statements: str, *, from_call: int = 2) -> None:
        self.statements, self.from_call, self.calls = statements, from_call, 0

    def predict(self, features: NDArray[np.float64]) -> Any:
        self.calls += 1
        if self.calls < self.from_call:
            return np.zeros(len(features))
        names: dict[str, Any] = {}
        body = "\n    ".join(self.statements.split("\n"))
        exec(f"import numpy\ndef predict(features):\n    {body}", names)
        return names["predict"](features)


class _Predictor:
    def __init__(self, model: Any) -> None:
        self._model = model
        self.description = ModelDescription(
            format="pickle",
            library="tests",
            library_version="1",
            n_features=len(model.weights),
            feature_names=model.names,
            output_kind=getattr(model, "kind", OutputKind.VALUE),
            warnings=getattr(model, "warnings", ()),
        )

    def predict(
        self, features: NDArray[np.float64], names: tuple[str, ...], declared: OutputKind | None = None
    ) -> tuple[NDArray[np.float64], OutputKind]:
        return self._model.predict(features), declared or self.description.output_kind or OutputKind.VALUE


def prepare(file: Path, extension: str, folder: Path) -> Path:
    with zipfile.ZipFile(file) as archive:
        if "elsewhere" in archive.namelist():
            Path(archive.read("elsewhere").decode()).write_text("x")
        (folder / "unpacked").mkdir()
        for name in ("model.pkl", "note"):
            (folder / "unpacked" / name).write_bytes(archive.read(name))
    return folder / "unpacked"


def load_model(path: Path, extension: str) -> Predictor:
    if extension == ".absent":
        raise missing_library(ABSENT)
    with (path / "model.pkl" if extension == ".zip" else path).open("rb") as file:
        model = pickle.load(file)
    if not hasattr(model, "predict"):
        raise ModelRejected(f"the file holds a {type(model).__name__}, not a model", field="mlModelFile")
    return _Predictor(model)
