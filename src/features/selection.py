"""Which columns a model receives. Light: the sandbox's child runs it beside the loaded model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from src.domain.errors import InvalidInput
from src.features.names import FEATURE_NAMES, OHLCV_NAMES

_FIELD: Final = "featureColumns"


def choose_columns(
    available: Sequence[str],
    requested: Sequence[str] | None,
    model_names: Sequence[str] | None,
    n_features: int | None,
) -> tuple[str, ...]:
    """Choose the model's input columns, in the order in which it wants them.

    The request decides; without one the names that the model was trained with; without those all 14 where the model
    wants 14, and the five OHLCV columns where it wants 5.

    Parameters
    ----------
    available
        Names of the columns that there are.
    requested
        `featureColumns` of the request; None or empty where it names none.
    model_names
        The names that the model file gives its inputs, in order; None where it gives none.
    n_features
        How many columns the model wants; None where the file does not say.

    Raises
    ------
    InvalidInput
        On `featureColumns`: an unknown or repeated column, a count that is not the model's, names that contradict the
        model's own, or no way to tell which columns are meant.
    """
    wanted = len(model_names) if n_features is None and model_names else n_features
    if requested:
        chosen = _checked_request(available, requested)
        if wanted is not None and len(chosen) != wanted:
            raise _refusal(f"featureColumns names {len(chosen)}, and the model wants {wanted} columns", available)
        return _in_model_order(available, chosen, model_names)
    if model_names:
        if unknown := [name for name in model_names if name not in available]:
            raise _refusal(
                f"the model was trained on columns that do not exist here ({_listed(unknown)}); say in featureColumns "
                f"which {len(model_names)} columns stand for its own, in its order",
                available,
            )
        return tuple(model_names)
    for names in (FEATURE_NAMES, OHLCV_NAMES):
        if wanted == len(names) and set(names) <= set(available):
            return names
    if wanted is None:
        raise _refusal("the model file does not say which columns it wants; name them in featureColumns", available)
    raise _refusal(f"the model wants {wanted} columns and does not name them; name them in featureColumns", available)


def _checked_request(available: Sequence[str], requested: Sequence[str]) -> tuple[str, ...]:
    if unknown := [name for name in requested if name not in available]:
        raise _refusal(f"featureColumns holds unknown columns: {_listed(unknown)}", available)
    if repeated := sorted({name for name in requested if list(requested).count(name) > 1}):
        raise _refusal(f"featureColumns holds {_listed(repeated)} more than once", available)
    return tuple(requested)


def _in_model_order(
    available: Sequence[str], chosen: tuple[str, ...], model_names: Sequence[str] | None
) -> tuple[str, ...]:
    """Put the chosen columns in the order of the model's own names; foreign names are matched by position."""
    if not model_names or not set(model_names) <= set(available):
        return chosen
    if set(chosen) != set(model_names):
        raise InvalidInput(
            f"featureColumns is {_listed(chosen)}, but the model was trained on {_listed(model_names)}; "
            "leave featureColumns out, or name the same columns",
            field=_FIELD,
        )
    return tuple(model_names)


def _refusal(what: str, available: Sequence[str]) -> InvalidInput:
    return InvalidInput(f"{what}; known columns: {', '.join(available)}", field=_FIELD)


def _listed(names: Sequence[str]) -> str:
    # Names may come from a hostile file or request: few and short is all that an answer needs.
    # In quotation marks, for they might read like words of ours.
    shown = ", ".join(repr(name if len(name) <= 40 else name[:40] + "…") for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
