"""What is said where a file does not tell what its numbers mean, and nobody else has said it."""

from __future__ import annotations

from collections.abc import Sequence

from src.model_formats.catalogue import REQUEST
from src.model_formats.sentences import Sentences, sentence


def by_columns(columns: int) -> Sentences:
    """Return the warning about a model that gives this many numbers a bar: 1, 2 or 3."""
    return sentence(f"undeclared_{columns}")


def without_requests(warnings: Sequence[str]) -> tuple[str, ...]:
    """Return the warnings that stay true once `outputKind` is declared."""
    return tuple(warning for warning in warnings if REQUEST not in warning)
