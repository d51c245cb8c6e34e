"""Warnings about models whose output kind neither the file nor the request tells."""

from __future__ import annotations

from src.model_formats.catalog import ASKS_FOR_KIND
from src.model_formats.sentences import Sentences, sentence


def by_columns(columns: int) -> Sentences:
    """Return the warning about a model that gives this many numbers a bar: 1, 2 or 3."""
    return sentence(f"undeclared_{columns}")


def asks_for_kind(warning: Sentences) -> bool:
    """Whether a warning asks for `outputKind`, and so no longer holds once it is declared."""
    return any(code in ASKS_FOR_KIND for code, _ in warning.items)
