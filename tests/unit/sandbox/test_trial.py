"""A model is tried on made-up rows before it is kept: those that can never predict are refused, no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from src.domain.errors import InvalidInput, ModelRejected
from src.domain.model_files import ModelDescription
from src.domain.signals import OutputKind
from src.features.made_up import made_up_features
from src.features.names import FEATURE_NAMES
from src.model_formats.failures import refused, wrong_kind
from src.model_formats.registry import load_model
from src.model_formats.sentences import from_plain, to_plain
from src.sandbox.trial import try_out

Table = NDArray[np.float64]
MADE_UP = made_up_features()
ROWS = MADE_UP.values[np.isfinite(MADE_UP.values).all(axis=1)]


class Scripted:
    def __init__(
        self, predict: Callable[[Table], Any], n_features: int | None = 14, names: tuple[str, ...] | None = None
    ) -> None:
        self._predict = predict
        self.seen: list[tuple[Table, tuple[str, ...]]] = []
        self.description = ModelDescription(
            format="f", library="l", library_version=None, n_features=n_features, feature_names=names, output_kind=None
        )

    def predict(
        self, features: Table, names: tuple[str, ...], declared: OutputKind | None = None
    ) -> tuple[Any, OutputKind]:
        self.seen.append((features, names))
        return self._predict(features), OutputKind.VALUE


def test_made_up_rows_are_plausible_and_always_the_same() -> None:
    assert ROWS.shape == (301, 14)
    assert np.isfinite(ROWS).all()
    opening, high, low, close = ROWS[:, :4].T
    assert (low <= np.minimum(opening, close)).all()
    assert (high >= np.maximum(opening, close)).all()
    assert 0 < np.abs(ROWS[:, FEATURE_NAMES.index("Returns")]).max() < 0.05
    made_up_features.cache_clear()
    np.testing.assert_array_equal(made_up_features().values, MADE_UP.values)


def test_model_that_predicts_is_tried_once() -> None:
    model = Scripted(lambda table: table[:, 0])
    assert try_out(model, FEATURE_NAMES, ROWS) == ()
    ((table, names),) = model.seen
    np.testing.assert_array_equal(table, ROWS)
    assert names == FEATURE_NAMES


def test_model_with_names_gets_its_columns() -> None:
    model = Scripted(lambda table: table[:, 0], 2, ("Volume", "Close"))
    try_out(model, FEATURE_NAMES, ROWS)
    np.testing.assert_array_equal(model.seen[0][0], ROWS[:, [4, 3]])


@pytest.mark.parametrize(("count", "names"), [(3, None), (None, ("RSI", "MACD", "Close"))])
def test_model_of_other_columns_gets_made_up_ones(count: int | None, names: tuple[str, ...] | None) -> None:
    model = Scripted(lambda table: table.sum(axis=1), count, names)
    assert try_out(model, FEATURE_NAMES, ROWS) == ()
    table, given = model.seen[0]
    assert table.shape == (301, 3)
    assert given == (names or ("column_0", "column_1", "column_2"))


def test_model_of_unknown_width_is_tried_on_all_columns() -> None:
    model = Scripted(lambda table: table[:, 0], None)
    assert try_out(model, FEATURE_NAMES, ROWS) == ()
    ((table, names),) = model.seen
    np.testing.assert_array_equal(table, ROWS)
    assert names == FEATURE_NAMES


@pytest.mark.parametrize(
    ("predict", "reason"),
    [
        (
            lambda _: [].missing,
            "In the words of the file or its library: \"AttributeError: 'list' object has no attribute 'missing'\".",
        ),
        (lambda table: np.zeros((len(table), 14)), "The model returns 301 rows with an array of shape 301 × 14."),
        (lambda table: np.full(len(table), np.inf), "The model's prediction for row 0 is not a finite number."),
    ],
)
def test_failure_of_unknown_width_is_a_warning(predict: Callable[[Table], Any], reason: str) -> None:
    model = Scripted(predict, None)
    (note,) = try_out(model, FEATURE_NAMES, ROWS)
    assert note.startswith(
        "The file does not say how many columns the model takes. It was tried on 301 made-up rows of all 14 feature "
        "columns and failed on each kind of them. Name the columns that it takes in featureColumns. "
    )
    assert note.endswith(reason)
    assert from_plain(to_plain(note)) == note
    assert len(model.seen) == 3


def test_refusal_in_other_words_is_a_warning_without_them() -> None:
    def refuse(_: Table) -> Table:
        raise ModelRejected("free text")

    (note,) = try_out(Scripted(refuse, None), FEATURE_NAMES, ROWS)
    assert note.endswith("Name the columns that it takes in featureColumns.")


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_unknown_width_that_predicts_some_rows_is_warned_of(value: float) -> None:
    model = Scripted(fails_unless(lambda table: bool((table == value).all())), None)
    (note,) = try_out(model, FEATURE_NAMES, ROWS)
    assert "failed on some of them" in note


@pytest.mark.parametrize(
    ("predict", "reason"),
    [
        (lambda _: [].no_such_attribute, "no_such_attribute"),
        (lambda table: np.zeros(len(table) - 1), r"returns 301 rows with an array of shape 300"),
        (lambda table: np.zeros((len(table), 2)), "301 × 2"),
        (lambda table: ["up"] * len(table), "could not convert"),
        (lambda table: np.full(len(table), np.nan), "not a finite number"),
    ],
)
def test_model_that_never_predicts_is_rejected(predict: Callable[[Table], Any], reason: str) -> None:
    with pytest.raises(ModelRejected, match=reason) as caught:
        try_out(Scripted(predict), FEATURE_NAMES, ROWS)
    assert "tried on 301 made-up rows and failed on each kind of them" in caught.value.message


def fails_unless(holds: Callable[[Table], bool]) -> Callable[[Table], Table]:
    def predict(table: Table) -> Table:
        if not holds(table):
            raise ValueError("out of range")
        return table[:, 0]

    return predict


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_model_that_predicts_some_rows_is_accepted_with_warning(value: float) -> None:
    (note,) = try_out(Scripted(fails_unless(lambda table: bool((table == value).all()))), FEATURE_NAMES, ROWS)
    assert "failed on some of them" in note


def test_model_with_some_nans_is_accepted() -> None:
    model = Scripted(lambda table: np.where(np.arange(len(table)) < 100, np.nan, 1.0))
    assert try_out(model, FEATURE_NAMES, ROWS) == ()


def test_output_that_needs_declaration_is_accepted() -> None:
    def ask(_: Table) -> Table:
        raise wrong_kind("kind_undeclared_3")

    assert try_out(Scripted(ask), FEATURE_NAMES, ROWS) == ()


def test_rejection_by_format_keeps_its_text() -> None:
    def refuse(_: Table) -> Table:
        raise refused("torch_outputs")

    with pytest.raises(ModelRejected, match="returns several things") as caught:
        try_out(Scripted(refuse), FEATURE_NAMES, ROWS)
    assert isinstance(caught.value, InvalidInput)


def test_very_wide_model_gets_fewer_rows() -> None:
    model = Scripted(lambda table: table[:, 0], 1_000_000)
    assert try_out(model, FEATURE_NAMES, ROWS) == ()
    assert model.seen[0][0].shape == (4, 1_000_000)


@pytest.mark.parametrize(
    "estimator",
    [
        LinearRegression(), make_pipeline(StandardScaler(), LogisticRegression()), KNeighborsClassifier(50),
        RandomForestClassifier(3), make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
        make_pipeline(OneHotEncoder(), LogisticRegression()),
    ],
    ids=["linear", "pipeline", "neighbors", "forest", "encoder", "strict encoder"],
)  # fmt: skip
def test_honest_estimators_are_accepted(estimator: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 3, (200, 14)).astype(float)
    estimator.fit(values, (values[:, 0] > 1).astype(int))
    joblib.dump(estimator, tmp_path / "m.joblib")
    notes = try_out(load_model(tmp_path / "m.joblib", ".joblib"), FEATURE_NAMES, ROWS)
    # Real categories hold no price of a random walk, but they do hold zero.
    assert bool(notes) == (str(estimator).count("OneHotEncoder()") == 1)


def test_estimator_with_too_few_neighbors_is_rejected(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(10, 14))
    model = KNeighborsClassifier(50).fit(values, (values[:, 0] > 0).astype(int))
    joblib.dump(model, tmp_path / "m.joblib")
    with pytest.raises(ModelRejected, match=r"KNeighborsClassifier fails to predict.*n_neighbors = 50"):
        try_out(load_model(tmp_path / "m.joblib", ".joblib"), FEATURE_NAMES, ROWS)
