"""Serve `GET /errors/{code}`: the page that the `type` of a problem document names."""

from __future__ import annotations

import re
from html import escape
from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.responses import HTMLResponse

from src.api.error_table import ERROR_HELP, ErrorHelp
from src.api.rest.schemas import error_responses
from src.domain.errors import InvalidInput, NotFound

router = APIRouter(tags=["operations"])

_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{code}</title></head>
<body>
<h1>{code}</h1>
<p>HTTP status {status}. {meaning}.</p>
<h2>How to fix it</h2>
{fixes}
</body>
</html>
"""
_HEADERS: Final = {"Content-Security-Policy": "default-src 'none'"}

Code = Annotated[str, Path(max_length=64, description="A code of an error, as `code` in a problem document.")]


@router.get(
    "/errors/{code}",
    summary="Explain an error code",
    response_class=HTMLResponse,
    responses=error_responses(NotFound, InvalidInput),
)
async def get_error_page(code: Code) -> HTMLResponse:
    """Return the page on what an error means and how to fix it."""
    found = ERROR_HELP.get(code)
    if found is None:
        raise NotFound("Error code {got!r} does not exist. Known codes: {known}.", got=code, known=tuple(ERROR_HELP))
    return HTMLResponse(render_page(found), headers=_HEADERS)


def render_page(found: ErrorHelp) -> str:
    """Return the page on a code, in HTML without scripts."""
    return _PAGE.format(
        code=escape(found.code),
        status=found.status,
        meaning=escape("; ".join(found.meanings)),
        fixes="\n".join(f"<p>{_with_code(fix)}</p>" for fix in found.fixes),
    )


def _with_code(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
