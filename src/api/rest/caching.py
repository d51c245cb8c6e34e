"""Let clients cache responses about a stored result: data, which never changes, for good; pages with a check."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from src import __version__

NOT_MODIFIED: Final[Mapping[int | str, Any]] = {
    304: {"description": "The client has this response already (If-None-Match)."}
}


def immutable_headers(*names: str) -> dict[str, str]:
    """Return the headers of a response that never changes; `names` tell it from all others."""
    return {"ETag": _tag_of(names), "Cache-Control": "private, max-age=31536000, immutable"}


def checked_headers(*names: str) -> dict[str, str]:
    """Return the headers of a response that a browser keeps, but asks for each time: for what people open.

    They would else see a page of a deleted result, or one that a newer version of the service draws correctly.
    """
    return {"ETag": _tag_of(names), "Cache-Control": "private, no-cache"}


def _tag_of(names: tuple[str, ...]) -> str:
    # The same result may be written differently by another version of the service.
    named = "\0".join((__version__, *names)).encode("utf-8", "replace")
    # Weak, because the response may be compressed or not.
    return f'W/"{hashlib.sha256(named).hexdigest()[:32]}"'


def has_already(request: Request, headers: Mapping[str, str]) -> bool:
    """Return whether the client has the response with these headers; False if they have no tag."""
    if "ETag" not in headers:
        return False
    condition = request.headers.get("if-none-match", "")
    named = {part.strip().removeprefix("W/") for part in condition.split(",")}
    return headers["ETag"].removeprefix("W/") in named or condition.strip() == "*"
