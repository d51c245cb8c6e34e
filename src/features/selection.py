"""Choose the columns that a model receives.

This module imports no numeric library, because the sandbox's child uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from src.domain.error_text import FieldName, Template, quote_all
from src.domain.errors import InvalidInput
from src.features.names import FEATURE_NAMES, OHLCV_NAMES

_FIELD: Final = "featureColumns"


def choose_columns(
    available: Sequence[str],
    requested: Sequence[str] | None,
    model_names: Sequence[str] | None,
    n_features: int | None,
) -> tuple[str, ...]:
    """Choose the model's input columns, in the order in which it expects them.

    1. The request decides. 2. Otherwise the names that the model was trained with. 3. Otherwise all 14 columns if the
    model expects 14, and the five OHLCV columns if it expects 5.

    Parameters
    ----------
    available
        Names of the existing columns.
    requested
        `featureColumns` of the request; None or empty if it names none.
    model_names
        The names that the model file gives its inputs, in order; None if it gives none.
    n_features
        How many columns the model expects; None if the file does not tell.

    Raises InvalidInput on `featureColumns` if a column is unknown or repeated, the number of columns is not the
    model's, the names contradict the model's own, or the columns are unclear.
    """
    wanted = len(model_names) if n_features is None and model_names else n_features
    if requested:
        chosen = _checked_request(available, requested)
        if wanted is not None and len(chosen) != wanted:
            raise _refusal(
                "{field} names {count} columns, and the model expects {expected}.",
                available, count=len(chosen), expected=wanted,
            )  # fmt: skip
        return _in_model_order(available, chosen, model_names)
    if model_names:
        if unknown := [name for name in model_names if name not in available]:
            raise _refusal(
                "The model was trained on columns that do not exist here ({unknown}). Say in {field} which {count} "
                "columns stand for its own, in its order.",
                available, unknown=quote_all(unknown), count=len(model_names),
            )  # fmt: skip
        return tuple(model_names)
    for names in (FEATURE_NAMES, OHLCV_NAMES):
        if wanted == len(names) and set(names) <= set(available):
            return names
    if wanted is None:
        raise _refusal("The model file does not say which columns it expects. Name them in {field}.", available)
    raise _refusal(
        "The model expects {expected} columns and does not name them. Name them in {field}.",
        available, expected=wanted,
    )  # fmt: skip


def _checked_request(available: Sequence[str], requested: Sequence[str]) -> tuple[str, ...]:
    if unknown := [name for name in requested if name not in available]:
        raise _refusal("{field} holds unknown columns: {unknown}.", available, unknown=quote_all(unknown))
    if repeated := sorted({name for name in requested if list(requested).count(name) > 1}):
        raise _refusal("{field} holds {repeated} more than once.", available, repeated=quote_all(repeated))
    return tuple(requested)


def _in_model_order(
    available: Sequence[str], chosen: tuple[str, ...], model_names: Sequence[str] | None
) -> tuple[str, ...]:
    """Put the chosen columns in the order of the model's own names; foreign names are matched by position."""
    if not model_names or not set(model_names) <= set(available):
        return chosen
    if set(chosen) != set(model_names):
        raise InvalidInput(
            "{field} is {chosen}, but the model was trained on {trained}. Leave {field} out, or name the same columns.",
            field=_FIELD, chosen=quote_all(chosen), trained=quote_all(model_names),
        )  # fmt: skip
    return tuple(model_names)


def _refusal(what: str, available: Sequence[str], **parts: object) -> InvalidInput:
    cause = Template(what, {**parts, "field": FieldName(_FIELD)})
    return InvalidInput("{cause} Known columns: {known}.", field=_FIELD, cause=cause, known=tuple(available))
