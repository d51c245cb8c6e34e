"""Build a predictor from a pickled `lightgbm.Booster`: trees without scikit-learn's interface."""

from __future__ import annotations

import re
from typing import Any, Final

import lightgbm
import numpy as np
from numpy.typing import NDArray

from src.model_formats.tensors import Activation, TensorInput, TensorPredictor, build_predictor

_ACTIVATIONS: Final = {
    "binary": Activation.SIGMOID,
    "cross_entropy": Activation.SIGMOID,
    "multiclass": Activation.SOFTMAX,
    "regression": Activation.LINEAR,
    "regression_l1": Activation.LINEAR,
    "huber": Activation.LINEAR,
    "fair": Activation.LINEAR,
    "poisson": Activation.LINEAR,
    "quantile": Activation.LINEAR,
    "mape": Activation.LINEAR,
    "gamma": Activation.LINEAR,
    "tweedie": Activation.LINEAR,
}
_OBJECTIVE: Final = re.compile(r"^objective=(\w+)", re.MULTILINE)
_AUTOMATIC_NAME: Final = re.compile(r"Column_\d+")


def predictor_of(booster: Any, notes: tuple[str, ...]) -> TensorPredictor:
    """Wrap a trained booster; its objective determines what its numbers mean."""
    found = _OBJECTIVE.search(booster.model_to_string(num_iteration=1))
    names = tuple(str(name) for name in booster.feature_name())

    def run(rows: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(booster.predict(rows, num_threads=1))

    return build_predictor(
        file_format="lightgbm Booster (pickle or joblib)",
        library="lightgbm",
        library_version=str(lightgbm.__version__),
        layout=TensorInput(n_features=int(booster.num_feature())),
        dtype=np.float64,
        activation=_ACTIVATIONS.get(found[1], Activation.UNKNOWN) if found else Activation.UNKNOWN,
        run=run,
        feature_names=None if all(_AUTOMATIC_NAME.fullmatch(name) for name in names) else names,
        warnings=notes,
    )
