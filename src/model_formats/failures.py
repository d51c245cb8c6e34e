"""What a client is told when a library refuses a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from src.domain.errors import ModelRejected

_LONGEST: Final = 300


def rejection(what: str, error: BaseException, file: Path) -> ModelRejected:
    """Build the error that says `what` is wrong and what the library said.

    Parameters
    ----------
    what
        Whole sentences for the client: what is wrong, and what to do next.
    error
        The library's exception; its text is shortened and the file's place on our disk taken out.
    """
    if isinstance(error, MemoryError):
        return ModelRejected("The model needs more memory than one model may use here; save a smaller one.")
    said = brief(str(error), file)
    return ModelRejected(f"{what} (the library said: {said})" if said else what)


def brief(text: str, file: Path) -> str:
    """Return a library's text on one line, short, and without the file's path."""
    for place in (str(file), str(file.resolve()), str(file.parent.resolve())):
        if len(place) > 1:
            text = text.replace(place, "the file")
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
