"""Count each request before its body is read, and refuse those over a limit."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.allowance import ALLOWANCE, Allowance, write_headers
from src.api.caller import found_caller
from src.api.errors import describe_error, problem_response
from src.api.http.authentication import METRICS_PATH, SESSION_PATH, IsOpen, is_open
from src.api.paths import FORM_PATHS, path_in
from src.domain.errors import RateLimited
from src.domain.rates import Rate
from src.ports.rates import RateLimiter

TRY_AGAIN_LATER: Final = 1013
COUNTED: Final = frozenset({Rate.REQUESTS, Rate.UPLOADS, Rate.CORE_SECONDS})
"""Limits for which the layer is needed: it counts for them, or its responses say what is left of them."""
_API: Final = "/api/"
_DENIAL: Final = "websocket.http.response"


class RateLimits:
    """Count requests and uploads by their sender; one over a limit gets 429, and a WebSocket is not opened.

    An upload is a request with a form of parts: these are the only ones with files. What needs no identity (health,
    metrics, pages, their files) is not counted. The sender of a WebSocket without credentials is counted with
    each subscription, once known.

    Parameters
    ----------
    is_page
        Whether a request is for a page or a static file.
    """

    def __init__(self, app: ASGIApp, limiter: RateLimiter, is_page: IsOpen) -> None:
        self._app = app
        self._limiter = limiter
        self._is_page = is_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        allowance = Allowance(self._limiter, scope)
        scope.setdefault("state", {})[ALLOWANCE] = allowance
        try:
            self._count(scope, allowance)
        except RateLimited as error:
            allowance.give_back()
            await _refuse(scope, receive, _with_headers(send, allowance), error)
            return
        await self._app(scope, receive, _with_headers(send, allowance))

    def _count(self, scope: Scope, allowance: Allowance) -> None:
        caller, path = found_caller(HTTPConnection(scope)), path_in(scope)
        if caller is None or path == METRICS_PATH:
            return
        # With AUTH=none no earlier layer has checked the path. A prefix is enough for most, and cheaper than `is_open`.
        is_api = path.startswith(_API) and path != SESSION_PATH
        if caller.is_anybody and not is_api and is_open(scope, self._is_page):
            return
        allowance.spend(Rate.REQUESTS)
        if _is_upload(scope):
            allowance.spend(Rate.UPLOADS)


def _is_upload(scope: Scope) -> bool:
    if scope["type"] != "http" or path_in(scope) not in FORM_PATHS:
        return False
    return Headers(scope=scope).get("content-type", "").lower().startswith("multipart/")


def _with_headers(send: Send, allowance: Allowance) -> Send:
    """Return a `send` that adds what is used when the response begins."""

    async def send_counted(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            headers = write_headers(allowance.list_uses())
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return send_counted


async def _refuse(scope: Scope, receive: Receive, send: Send, error: RateLimited) -> None:
    if scope["type"] == "http":
        await problem_response(Request(scope), describe_error(error))(scope, receive, send)
        return
    await receive()
    if _DENIAL not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": "Too many requests."})
        return
    response = problem_response(None, describe_error(error), root_path=scope.get("root_path", ""))
    await response(scope, receive, send)  # Starlette writes it as the response to the handshake
