"""Try a model on made-up rows, so that a file that cannot predict is rejected at upload.

A good model may fail on made-up rows, for example if it looks numbers up in a list of categories. So a model is
rejected only if it fails on plausible rows, on zeros and on ones; if it fails on some of these, a warning says so.
If the file does not say how many columns the model takes, the model gets all of them. It may need a selection that
only a request names, so a failure then gives just a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, ModelRejected
from src.features.selection import choose_columns
from src.model_formats.failures import refused, with_more
from src.model_formats.sentences import Sentences, join, sentence
from src.ports.computing import Predictor

_MAX_CELLS: Final = 4_000_000
"""Maximum numbers in one made-up table; a model with very many columns gets fewer rows."""


def try_out(predictor: Predictor, names: Sequence[str], values: NDArray[np.float64]) -> tuple[Sentences, ...]:
    """Have the model predict made-up rows; return warnings for its user.

    Parameters
    ----------
    names, values
        The columns that a backtest offers, and plausible rows [n, k] of them.

    Raises ModelRejected if the model fails on every table, and the file says how many columns it takes.
    """
    known = _columns(predictor, names)
    columns = tuple(names) if known is None else known
    if not len(values):
        return ()
    rows = values[: max(2, _MAX_CELLS // len(columns))]
    failures: list[ModelRejected] = []
    for table in _tables(rows, columns, names):
        failure = _failure(predictor, table, columns)
        if failure is None:
            return (sentence("failed_on_some_made_up_rows"),) if failures else ()
        failures.append(failure)
    if known is None:
        return (_warn_of_unknown_width(failures[0], rows=len(rows), columns=len(columns)),)
    raise with_more(failures[0], sentence("fails_on_made_up_rows", rows=len(rows)))


def _columns(predictor: Predictor, names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the columns that the file says it needs; None if it does not say how many."""
    described = predictor.description
    try:
        return choose_columns(names, None, described.feature_names, described.n_features)
    except InvalidInput:
        if described.feature_names:
            return described.feature_names
        return None if described.n_features is None else tuple(f"column_{i}" for i in range(described.n_features))


def _warn_of_unknown_width(failure: ModelRejected, *, rows: int, columns: int) -> Sentences:
    tried = sentence("failed_on_all_columns", rows=rows, columns=columns)
    return join(tried, failure.text) if isinstance(failure.text, Sentences) else tried


def _tables(rows: NDArray[np.float64], columns: Sequence[str], names: Sequence[str]) -> Iterator[NDArray[np.float64]]:
    places = [names.index(name) if name in names else at % len(names) for at, name in enumerate(columns)]
    yield np.ascontiguousarray(rows[:, places])
    yield np.zeros((len(rows), len(columns)))
    yield np.ones((len(rows), len(columns)))


def _failure(predictor: Predictor, table: NDArray[np.float64], columns: tuple[str, ...]) -> ModelRejected | None:
    """Return what is wrong with the predictions for a table; None if they can be used."""
    try:
        predicted, _ = predictor.predict(table, columns, None)
        predicted = np.asarray(predicted, dtype=np.float64)
    except InvalidInput as error:
        # Output that needs a declared outputKind is not a fault of the file.
        return error if isinstance(error, ModelRejected) else None
    except Exception as error:  # noqa: BLE001 - a model's code may raise anything
        return refused("failed", said=f"{type(error).__name__}: {error}")
    if predicted.shape != (len(table),):
        return refused("rows_and_shape", rows=len(table), shape=[int(size) for size in predicted.shape])
    return None if np.isfinite(predicted).any() else refused("not_finite", row=0)
