"""Twenty honest models of scikit-learn: each reads the service's features and was trained on earlier bars only."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn import discriminant_analysis, ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, RobustScaler, StandardScaler

from src.domain.annualization import DEFAULT_ANNUALIZATION, annualize
from src.domain.bars import Bars
from src.domain.leaks import OverlapSigns
from src.domain.signals import OutputKind, Predictions
from src.domain.trading import TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.features.ohlcv import build_features
from src.judgement.benchmarks import measure_costs
from src.judgement.leaks import measure_overlap
from src.metrics.returns import simple_returns
from src.strategies.model_signals import signals_from_predictions

SEED: Final = 7
NETWORK: Final[Mapping[str, Any]] = {"hidden_layer_sizes": (16,), "max_iter": 300, "random_state": SEED}

LABELS: Final = "binary_label"
VALUES: Final = "value"
PROBABILITIES: Final = ""
"""The service finds probabilities by itself."""


def _scaled(estimator: Any) -> Any:
    return make_pipeline(StandardScaler(), estimator)


def make_models() -> Mapping[str, tuple[Any, str]]:
    """Return unfitted models and what they predict, by name."""
    return {
        "logistic regression": (_scaled(linear_model.LogisticRegression(max_iter=500)), PROBABILITIES),
        "logistic regression, weak": (
            make_pipeline(RobustScaler(), linear_model.LogisticRegression(C=0.01)), PROBABILITIES),
        "logistic regression, squares": (
            make_pipeline(StandardScaler(), PolynomialFeatures(2), linear_model.LogisticRegression(C=0.01)),
            PROBABILITIES),
        "ridge classifier": (_scaled(linear_model.RidgeClassifier()), LABELS),
        "stochastic gradient": (_scaled(linear_model.SGDClassifier(loss="log_loss", random_state=SEED)), PROBABILITIES),
        "linear discriminant": (_scaled(discriminant_analysis.LinearDiscriminantAnalysis()), PROBABILITIES),
        "naive Bayes": (naive_bayes.GaussianNB(), PROBABILITIES),
        "nearest neighbors": (_scaled(neighbors.KNeighborsClassifier(25)), PROBABILITIES),
        "tree": (tree.DecisionTreeClassifier(max_depth=4, random_state=SEED), PROBABILITIES),
        "forest": (ensemble.RandomForestClassifier(60, min_samples_leaf=5, random_state=SEED), PROBABILITIES),
        "extra trees": (ensemble.ExtraTreesClassifier(60, min_samples_leaf=5, random_state=SEED), PROBABILITIES),
        "gradient boosting": (ensemble.GradientBoostingClassifier(n_estimators=40, random_state=SEED), PROBABILITIES),
        "histogram boosting": (ensemble.HistGradientBoostingClassifier(max_iter=40, random_state=SEED), PROBABILITIES),
        "AdaBoost": (ensemble.AdaBoostClassifier(n_estimators=20, random_state=SEED), PROBABILITIES),
        "support vectors": (_scaled(svm.SVC()), LABELS),
        "network": (_scaled(neural_network.MLPClassifier(**NETWORK)), PROBABILITIES),
        "linear regression": (_scaled(linear_model.LinearRegression()), VALUES),
        "ridge": (_scaled(linear_model.Ridge(10.0)), VALUES),
        "forest of returns": (
            ensemble.RandomForestRegressor(60, min_samples_leaf=5, random_state=SEED), VALUES),
        "network of returns": (_scaled(neural_network.MLPRegressor(**NETWORK)), VALUES),
    }  # fmt: skip


def fit(model: Any, kind: str, bars: Bars, count: int) -> Any:
    """Return a model that is fitted on the first `count` bars: the label of the last one ends at the bar after it."""
    values = build_features(bars).values
    change = np.append(bars.close[1:] / bars.close[:-1] - 1, np.nan)
    known = np.isfinite(values).all(axis=1) & (np.arange(len(bars)) < count - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(values[known], change[known] if kind == VALUES else (change[known] > 0).astype(int))


def predict(model: Any, kind: str, bars: Bars) -> Predictions:
    """Return what the service would be told by the model's file."""
    values = build_features(bars).values
    known = np.isfinite(values).all(axis=1)
    found: NDArray[np.float64] = np.full(len(bars), np.nan)
    found[known] = model.predict_proba(values[known])[:, 1] if kind == PROBABILITIES else model.predict(values[known])
    kinds = {PROBABILITIES: OutputKind.PROBABILITY, LABELS: OutputKind.BINARY_LABEL, VALUES: OutputKind.VALUE}
    return Predictions(values=found, kind=kinds[kind])


def find_signs(model: Any, kind: str, bars: Bars, first: int, rules: TradingRules) -> OverlapSigns:
    """Return the signs of having known the bars from `first` on, as a result on them has."""
    predictions = predict(model, kind, bars)
    later = bars.slice(first, len(bars))
    signals = signals_from_predictions(
        Predictions(values=predictions.values[first:], kind=predictions.kind),
        threshold=0.0 if kind == VALUES else 0.5,
    )
    engine = EventDrivenEngine()
    simulation = engine.run(later, signals, rules)
    annualization = annualize(later, DEFAULT_ANNUALIZATION)
    delayed = measure_costs(later, signals, rules, simulation, annualization, engine.run).delayed_returns
    market = simple_returns(later.close, float(later.close[0]))
    return measure_overlap(simulation.position, market, simple_returns(simulation.equity, rules.initial_cash), delayed)


def cut_windows(bars: Bars, *, trained: int, tested: int, step: int) -> Iterator[Bars]:
    """Yield windows of trained + tested bars, each `step` bars after the one before."""
    for first in range(0, len(bars) - trained - tested + 1, step):
        yield bars.slice(first, first + trained + tested)
