"""What is said where a file does not tell what its numbers mean, and nobody else has said it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_REQUEST: Final = "Declare outputKind"

BY_COLUMNS: Final = {
    1: "The file does not say what its numbers mean: they are read as plain values, long while ≥ threshold. "
    f"{_REQUEST} (probability, binary_label, signed_label or value) to say it.",
    2: "The model puts out two numbers a bar and the file does not say what they mean: the larger one decides, the "
    f"second standing for long. {_REQUEST} probability if the second is P(class 1).",
    3: "The model puts out three numbers a bar and the file does not say what they mean. "
    f"{_REQUEST} signed_label if they score sell, keep and buy, in that order.",
}


def neither_kind(estimator: str) -> str:
    """Return the warning about an estimator that is neither a classifier nor a regressor."""
    return (
        f"{estimator} is neither a classifier nor a regressor: its numbers are read as plain values, long while ≥ "
        f"threshold. {_REQUEST} to say what they mean."
    )


def without_requests(warnings: Sequence[str]) -> tuple[str, ...]:
    """Return the warnings that stay true once `outputKind` is declared."""
    return tuple(warning for warning in warnings if _REQUEST not in warning)
