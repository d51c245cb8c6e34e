"""Build a predictor from a pickled `xgboost.Booster`: trees without scikit-learn's interface."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from src.model_formats.tensors import Activation, TensorInput, TensorPredictor, build_predictor

_ACTIVATIONS: Final = {
    "binary:logistic": Activation.SIGMOID,
    "reg:logistic": Activation.SIGMOID,
    "binary:logitraw": Activation.LINEAR,
    "multi:softprob": Activation.SOFTMAX,
    "reg:squarederror": Activation.LINEAR,
    "reg:squaredlogerror": Activation.LINEAR,
    "reg:pseudohubererror": Activation.LINEAR,
    "reg:absoluteerror": Activation.LINEAR,
    "reg:quantileerror": Activation.LINEAR,
    "reg:gamma": Activation.LINEAR,
    "reg:tweedie": Activation.LINEAR,
    "count:poisson": Activation.LINEAR,
}
_AUTOMATIC_NAME: Final = re.compile(r"f\d+")


def predictor_of(booster: Any, notes: tuple[str, ...]) -> TensorPredictor:
    """Wrap a trained booster; its objective determines what its numbers mean."""
    booster.set_param({"nthread": 1})
    learner = json.loads(booster.save_config())["learner"]
    objective = str(learner["objective"]["name"])
    names = booster.feature_names

    def run(rows: NDArray[Any]) -> NDArray[Any]:
        predicted = np.asarray(booster.predict(xgboost.DMatrix(rows, feature_names=names)))
        return predicted.astype(np.int64) if objective in ("binary:hinge", "multi:softmax") else predicted

    return build_predictor(
        file_format="xgboost Booster (pickle or joblib)",
        library="xgboost",
        library_version=str(xgboost.__version__),
        layout=TensorInput(n_features=int(booster.num_features())),
        dtype=np.float64,
        activation=_ACTIVATIONS.get(objective, Activation.UNKNOWN),
        run=run,
        # Names that xgboost or pandas generate do not identify our columns; only their number is used.
        feature_names=None if names is None or all(map(_AUTOMATIC_NAME.fullmatch, names)) else tuple(names),
        warnings=notes,
    )
