"""Let clients cache responses about a stored result, and revalidate them each time.

A result never changes, but it can be deleted, and a newer version of the service may present or judge it differently.
Revalidating does not read the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from src import __version__
from src.api.dependencies import services_of

NOT_MODIFIED: Final[Mapping[int | str, Any]] = {
    304: {"description": "The client has this response already (If-None-Match)."}
}


def checked_headers(*names: str) -> dict[str, str]:
    """Return the headers of the response that `names` identify among all of this version of the service."""
    return {"ETag": _tag_of(names), "Cache-Control": "private, no-cache"}


async def is_unchanged(request: Request, headers: Mapping[str, str], result_id: str) -> bool:
    """Return whether the client has the response with these headers; raises ResultNotFound if the result is gone."""
    if not has_already(request, headers):
        return False
    await services_of(request).results.check_exists(result_id)
    return True


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
