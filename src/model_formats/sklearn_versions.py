"""Files of other versions of scikit-learn: what is still right, what no longer is, and what the user must hear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from warnings import WarningMessage

import numpy as np
from sklearn.ensemble import AdaBoostClassifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.tree import DecisionTreeClassifier

from src.domain.errors import ModelRejected
from src.model_formats.failures import refused, with_more
from src.model_formats.sentences import Sentences, sentence

_ROUNDING: Final = 1e-6


def made_with(caught: Sequence[WarningMessage]) -> str | None:
    """Return the version that wrote a file, as its loading warned of it; None where it is this one."""
    for item in caught:
        if isinstance(item.message, InconsistentVersionWarning):
            return str(item.message.original_sklearn_version)
    return None


def version_note(made: str) -> Sentences:
    return sentence("version_note", made=made)


def explained(error: ModelRejected, made: str | None) -> ModelRejected:
    """Return a refusal that also says with which version the file was made, where that is another one."""
    return error if made is None else with_more(error, sentence("saved_with", made=made))


def check_meaning(model: Any) -> None:
    """Refuse estimators of older versions that load and predict, and predict something else than they did.

    Raises
    ------
    ModelRejected
    """
    for part in parts_of(model):
        if isinstance(part, DecisionTreeClassifier) and hasattr(part, "tree_") and _counts_in_leaves(part):
            # Up to 1.3 a leaf held how many rows of each class there were; since 1.4 it holds their shares, and what is
            # there is taken for those.
            raise refused("counts_in_leaves", estimator=type(part).__name__)
        if isinstance(part, AdaBoostClassifier) and getattr(part, "algorithm", None) == "SAMME.R":
            # Removed in 1.6: what it trained is then evaluated as SAMME. (SAMME's own files give the same to the bit.)
            raise refused("samme_r", estimator=type(part).__name__)


def parts_of(model: Any) -> Iterator[Any]:
    """Yield an estimator and every estimator inside it, fitted ones too, each once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)
        elif isinstance(part, np.ndarray) and part.dtype == object:
            waiting.extend(part.ravel())
        elif _is_estimator(part):
            yield part
            waiting.extend(vars(part).values())


def _is_estimator(part: Any) -> bool:
    kind = type(part)
    return hasattr(part, "__dict__") and (hasattr(kind, "get_params") or kind.__module__.startswith("sklearn."))


def _counts_in_leaves(tree: DecisionTreeClassifier) -> bool:
    shares: Any = tree.tree_.value.sum(axis=2)
    return bool(np.abs(shares - 1).max() > _ROUNDING)
