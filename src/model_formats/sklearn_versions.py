"""Handle files of other scikit-learn versions: warn about them, and reject those that would predict wrongly."""

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
    """Return the version that saved a file, from the warnings of loading it; None if it is the installed one."""
    for item in caught:
        if isinstance(item.message, InconsistentVersionWarning):
            return str(item.message.original_sklearn_version)
    return None


def version_note(made: str) -> Sentences:
    return sentence("version_note", made=made)


def explained(error: ModelRejected, made: str | None) -> ModelRejected:
    """Return the error with a sentence on the version that saved the file, if that is another one."""
    return error if made is None else with_more(error, sentence("saved_with", made=made))


def check_meaning(model: Any) -> None:
    """Raise ModelRejected if an estimator of an older version would load and predict other values than before."""
    for part in parts_of(model):
        if isinstance(part, DecisionTreeClassifier) and hasattr(part, "tree_") and _counts_in_leaves(part):
            # Up to 1.3 a leaf held the number of rows of each class; 1.4 and later read it as their shares.
            raise refused("counts_in_leaves", estimator=type(part).__name__)
        if isinstance(part, AdaBoostClassifier) and getattr(part, "algorithm", None) == "SAMME.R":
            # Removed in 1.6, which evaluates such files as SAMME. (Files trained with SAMME give the same bits.)
            raise refused("samme_r", estimator=type(part).__name__)


def parts_of(model: Any) -> Iterator[Any]:
    """Yield an estimator and every estimator inside it, fitted or not, each once."""
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
