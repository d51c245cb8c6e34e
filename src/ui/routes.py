"""Serve the pages, their static files, and the documentation as Markdown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from src.ui.markdown import markdown_files
from src.ui.pages import GRAPHQL_PAGE, MISSING_PAGE, NO_SIGN_IN, PAGES, STATIC_PATH, Page, content_policy, render_page
from src.ui.static_files import StaticFile, static_files

_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_CHECK_EACH_TIME: Final = "no-cache"


def install_pages(app: FastAPI) -> None:
    """Add the pages and the static files; none of them is part of the REST API's description.

    Ids in a page's path are not looked up. The shell is the same for every id, except for a link to the data, and the
    page's script shows what the REST API returns for the id.
    """
    for page in PAGES:
        app.add_route(page.path, _page_endpoint(page), methods=["GET"], include_in_schema=False)
    app.router.default = MissingPage(app.router.default)
    app.add_route(f"{STATIC_PATH}/{{version}}/{{name:path}}", read_static, methods=["GET"], include_in_schema=False)
    for name, file in markdown_files().items():
        app.add_route(f"/{name}", _file_endpoint(file), methods=["GET"], include_in_schema=False)


def find_pages(app: FastAPI) -> Callable[[Scope], bool]:
    """Return a test for requests of pages, static files and documentation, which hold no user's data."""
    own = [page.path for page in PAGES] + [f"{STATIC_PATH}/{{version}}/{{name:path}}"]
    own += [f"/{name}" for name in markdown_files()]
    routes = [route for route in app.router.routes if isinstance(route, Route) and route.path in own]

    def is_page(scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    return is_page


def _page_endpoint(page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        return page_response(page, request)

    return show


class MissingPage:
    """Respond with a page to browsers at an address without a route; pass all other requests to `otherwise`."""

    def __init__(self, otherwise: ASGIApp) -> None:
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and _is_browser(Request(scope)):
            response = page_response(MISSING_PAGE, Request(scope))
            response.status_code = HTTPStatus.NOT_FOUND
            await response(scope, receive, send)
        else:
            await self._otherwise(scope, receive, send)


def _is_browser(request: Request) -> bool:
    """Return whether the client accepts HTML by name: only browsers do; HTTP libraries accept anything."""
    return "text/html" in request.headers.get("accept", "").lower()


def page_response(page: Page, request: Request) -> Response:
    """Return a page's shell with its headers; a browser requests it anew each time, because it names the files."""
    headers = {"Content-Security-Policy": content_policy(page), "Cache-Control": _CHECK_EACH_TIME}
    auth = getattr(request.app.state, "auth", NO_SIGN_IN)
    shell = render_page(page, root=request.scope.get("root_path", ""), path=request.path_params, auth=auth)
    return HTMLResponse(shell, headers=headers)


graphql_page = partial(page_response, GRAPHQL_PAGE)
"""Return the page that the GraphQL endpoint shows to a browser."""


async def read_static(request: Request) -> Response:
    """Return a static file.

    A page of an earlier process may name a path of another version. It gets the file of this version, which the browser
    must request again the next time.
    """
    own = static_files()
    file = own.files.get(request.path_params["name"])
    if file is None:
        return PlainTextResponse("There is no such file.", status_code=404)
    is_own_version = request.path_params["version"] == own.version
    return _file_response(file, request, _IMMUTABLE if is_own_version else _CHECK_EACH_TIME)


def _file_endpoint(file: StaticFile) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        return _file_response(file, request, _CHECK_EACH_TIME)

    return show


def _file_response(file: StaticFile, request: Request, cache_control: str) -> Response:
    """Return a file, or 304 if the client has it."""
    headers = {"ETag": file.tag, "Cache-Control": cache_control}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers | {"Content-Type": file.media_type})
