"""Build the errors for model files that a library rejects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from src.domain.errors import InvalidInput, ModelRejected
from src.model_formats.sentences import MAX_QUOTED, Sentences, join, sentence

_FIELD: Final = "outputKind"


def rejection(code: str, error: BaseException, file: Path, **parts: Any) -> ModelRejected:
    """Build the error with a sentence of the catalog, followed by the library's own text.

    Parameters
    ----------
    code
        The sentence of the catalog: what is wrong, and what to do next; `parts` fill its gaps.
    error
        The library's exception; its text is shortened, and the file's path is removed from it.
    """
    if isinstance(error, MemoryError):
        return refused("needs_memory")
    said = brief(str(error), file)
    what = sentence(code, **parts)
    return ModelRejected(join(what, sentence("said", said=said)) if said else what)


def refused(code: str, **parts: Any) -> ModelRejected:
    """Build the error with one sentence of the catalog."""
    return ModelRejected(sentence(code, **parts))


def wrong_kind(code: str, **parts: Any) -> InvalidInput:
    """Build the error about a declared `outputKind` that the model cannot have."""
    return InvalidInput(sentence(code, **parts), field=_FIELD)


def with_more(error: ModelRejected, more: Sentences) -> ModelRejected:
    """Return the same error with another sentence after it."""
    text = error.text
    return ModelRejected(join(text, more) if isinstance(text, Sentences) else text, field=error.field)


def brief(text: str, file: Path) -> str:
    """Return a library's text on one line, short, and without the file's path."""
    for place in (str(file), str(file.resolve()), str(file.parent.resolve())):
        if len(place) > 1:
            text = text.replace(place, "the file")
    line = " ".join(text.split())
    return line if len(line) <= MAX_QUOTED else line[: MAX_QUOTED - 1] + "…"
