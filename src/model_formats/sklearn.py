"""Open `.pkl` and `.joblib` files: scikit-learn estimators, and others with its interface; runs the file's code."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from src.domain.errors import ModelRejected, ServiceError
from src.domain.model_files import ModelDescription
from src.domain.signals import OutputKind
from src.model_formats import pickles
from src.model_formats.failures import brief, refused, rejection, wrong_kind
from src.model_formats.labels import ClassLabels
from src.model_formats.registry import missing_library
from src.model_formats.sentences import Sentences, sentence
from src.model_formats.sklearn_versions import check_meaning, explained, made_with, parts_of, version_note
from src.ports.computing import Predictor

FORMAT: Final = "scikit-learn (pickle or joblib)"

_BOOSTERS: Final = {"xgboost": "src.model_formats.xgboost", "lightgbm": "src.model_formats.lightgbm"}
_LABELS: Final = (OutputKind.BINARY_LABEL, OutputKind.SIGNED_LABEL)
_AUTOMATIC_NAME: Final = re.compile(r"Column_\d+|f\d+|x\d+")
"""Names that libraries generate for the columns of arrays."""


def load(file: Path) -> Predictor:
    """Unpickle a fitted estimator or booster; raises ModelRejected, MissingLibrary."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return _load(file, caught)
        except ModelRejected as error:
            raise explained(error, made_with(caught)) from error
        except ServiceError:
            raise
        except Exception as error:
            refusal = rejection("pickle_nothing", error, file)
            raise explained(refusal, made_with(caught)) from error


def _load(file: Path, caught: Sequence[warnings.WarningMessage]) -> Predictor:
    model = _unpickle(file)
    notes = _notes(caught, file)
    made_by = type(model).__module__.split(".")[0]
    if made_by in _BOOSTERS and type(model).__name__ == "Booster":
        booster: Predictor = importlib.import_module(_BOOSTERS[made_by]).predictor_of(model, notes)
        return booster
    if isinstance(model, type):
        raise refused("pickle_class", name=model.__name__)
    if not hasattr(model, "predict"):
        raise refused("pickle_no_predict", type=f"{made_by}.{type(model).__name__}")
    return _estimator(model, file, notes, _origin(made_by, made_with(caught)), made_with(caught))


def rehearse() -> None:
    """Run scikit-learn once, so that it does its one-time set-up.

    It searches for data-frame libraries (30 ms), and reads the BLAS in use from a file that a child cannot read.
    """
    table = pd.DataFrame({"a": [0.0, 1.0]})
    StandardScaler().fit(table).transform(table)
    KNeighborsClassifier(1, algorithm="brute").fit(table, [0, 1]).predict(table)


def _unpickle(file: Path) -> Any:
    try:
        return pickles.load(file)
    except ModuleNotFoundError as error:
        name = (error.name or "").split(".")[0]
        if name in _BOOSTERS:
            raise missing_library(name, file.suffix) from error
        if name in ("sklearn", "_loss") or (error.name or "").startswith("numpy"):
            raise rejection("pickle_other_version", error, file) from error
        raise rejection("pickle_module", error, file, name=name or "?") from error
    except ModelRejected:
        raise
    except AttributeError as error:
        raise rejection("pickle_attribute", error, file) from error
    except Exception as error:
        raise rejection("pickle_damaged", error, file) from error


def _notes(caught: Sequence[warnings.WarningMessage], file: Path) -> tuple[Sentences, ...]:
    """Return the warnings of loading, each once: a forest warns once for each tree."""
    notes: dict[str, Sentences] = {}
    if made := made_with(caught):
        notes["version"] = version_note(made)
    for item in caught:
        if issubclass(item.category, UserWarning) and not isinstance(item.message, InconsistentVersionWarning):
            text = brief(str(item.message), file)
            notes.setdefault(text, sentence("warned", said=text))
    return tuple(notes.values())[:5]


def _origin(made_by: str, made: str | None) -> tuple[str, str | None]:
    """Return the library that a model was made with, and its version."""
    if made_by != "sklearn":
        version = getattr(importlib.import_module(made_by), "__version__", None)
        return made_by, None if version is None else str(version)
    return "scikit-learn", made or str(sklearn.__version__)


def _estimator(
    model: Any, file: Path, notes: tuple[Sentences, ...], origin: tuple[str, str | None], made: str | None
) -> Predictor:
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise refused("not_fitted", estimator=type(model).__name__) from error
    except TypeError:
        # Not a scikit-learn estimator, but an object with the same methods; it may still predict.
        notes = (*notes, sentence("no_estimator", estimator=type(model).__name__))
    _use_one_thread(model)
    if made is not None:
        check_meaning(model)
    labels = _labels(model)
    kind = _kind(model, labels)
    if kind is None:
        notes = (*notes, sentence("neither_kind", estimator=type(model).__name__))
    names = _own_names(model)
    count = getattr(model, "n_features_in_", None)
    description = ModelDescription(
        format=FORMAT,
        library=origin[0],
        library_version=origin[1],
        n_features=len(names) if names else None if count is None else int(count),
        # Generated names do not identify our columns; only their number is used.
        feature_names=None if names is None or all(map(_AUTOMATIC_NAME.fullmatch, names)) else names,
        output_kind=kind,
        warnings=notes,
        details={"estimator": type(model).__name__},
    )
    return EstimatorPredictor(model, description, labels, file, names=names, made=made)


def _use_one_thread(model: Any) -> None:
    """Set every part of an estimator to one thread: threads add in varying order, which changes the last bits.

    `set_params` would fail on a part that was saved before one of its parameters existed.
    """
    for part in parts_of(model):
        if "n_jobs" in vars(part):
            part.n_jobs = 1


def _labels(model: Any) -> ClassLabels | None:
    classes = getattr(model, "classes_", None)
    if classes is None or (_has_tags(model) and is_regressor(model)):
        return None
    if isinstance(classes, list) or np.ndim(classes) != 1:
        raise refused("classes_of_several")
    return ClassLabels.of(np.asarray(classes).tolist())


def _kind(model: Any, labels: ClassLabels | None) -> OutputKind | None:
    if labels is not None:
        return labels.kind(has_probabilities=hasattr(model, "predict_proba"))
    if _has_tags(model):
        if is_regressor(model):
            return OutputKind.VALUE
        if is_classifier(model):
            raise refused("no_classes", estimator=type(model).__name__)
    return None


def _has_tags(model: Any) -> bool:
    """Return whether scikit-learn can tell a classifier from a regressor here."""
    return hasattr(model, "__sklearn_tags__")


def _own_names(model: Any) -> tuple[str, ...] | None:
    """Return the names of the columns that an estimator was fitted on and requires, generated ones included."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(str(name) for name in names)


class EstimatorPredictor:
    """A fitted estimator with scikit-learn's methods.

    Parameters
    ----------
    names
        Column names of the frame that it expects; None if it expects an array.
    made
        The version of scikit-learn that saved it; None if that is the installed one.
    """

    def __init__(
        self,
        model: Any,
        description: ModelDescription,
        labels: ClassLabels | None,
        file: Path,
        *,
        names: tuple[str, ...] | None,
        made: str | None,
    ) -> None:
        self.description = description
        self._model = model
        self._labels = labels
        self._file = file
        self._own_names = names
        self._made = made

    def predict(
        self, features: NDArray[np.float64], names: tuple[str, ...], declared: OutputKind | None = None
    ) -> tuple[NDArray[np.float64], OutputKind]:
        """Return one number a row and its meaning; `declared` overrides the estimator's own kind."""
        kind = declared or self.description.output_kind or OutputKind.VALUE
        if not len(features):
            return np.empty(0), kind
        table = self._table(features, names)
        if self._labels is None:
            return self._single(self._call("predict", table)).astype(np.float64), kind
        if kind is OutputKind.PROBABILITY:
            column = self._labels.positive_column
            if column is None or not hasattr(self._model, "predict_proba"):
                raise wrong_kind("kind_of_labels", kind=kind.value)
            probabilities = self._call("predict_proba", table)
            return np.asarray(probabilities, dtype=np.float64)[:, column], kind
        if kind not in _LABELS:
            raise wrong_kind("kind_of_classifier", kind=kind.value)
        return self._labels.to_numbers(self._single(self._call("predict", table))), kind

    def _table(self, features: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.float64] | pd.DataFrame:
        """Return the rows with the model's own column names, in its order; other names are matched by position."""
        own = self._own_names
        if own is None:
            return features
        if set(names) == set(own):
            features = features[:, [names.index(name) for name in own]]
        # Contiguous rows, because linear algebra adds in another order for another layout.
        return pd.DataFrame(np.ascontiguousarray(features), columns=list(own))

    def _call(self, method: str, table: NDArray[np.float64] | pd.DataFrame) -> Any:
        try:
            return getattr(self._model, method)(table)
        except Exception as error:
            refusal = rejection("estimator_fails", error, self._file, estimator=type(self._model).__name__)
            raise explained(refusal, self._made) from error

    def _single(self, output: Any) -> NDArray[Any]:
        array = np.asarray(output)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise refused("numbers_a_bar", shape=list(array.shape[1:]))
        return array
