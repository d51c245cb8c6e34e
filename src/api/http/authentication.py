"""Find out who sends each request and opens each WebSocket, once, before any endpoint runs."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.allowance import client_address
from src.api.caller import CALLER, set_caller
from src.api.errors import describe_error, problem_response
from src.api.http.accept_headers import weights_in
from src.api.http.cross_site import is_loopback
from src.api.paths import GRAPHQL_PATH, path_in
from src.domain.errors import ServiceError, Unauthenticated
from src.domain.identity import ANYBODY, AuthMode, Caller
from src.ports.identity import Authenticator, Credentials

SESSION_COOKIE: Final = "backtesting_session"
SESSION_PATH: Final = "/api/session"
METRICS_PATH: Final = "/metrics"
RECEIPT_KEYS_PATH: Final = "/.well-known/backtesting-receipt-keys.json"
OPEN_PATHS: Final = frozenset({"/health", "/ready", "/openapi.json", RECEIPT_KEYS_PATH, SESSION_PATH})
OPEN_PREFIXES: Final = ("/errors/",)
_READING: Final = frozenset({"GET", "HEAD"})
UNAUTHORIZED_SOCKET: Final = 4401

IsOpen = Callable[[Scope], bool]


class Authentication:
    """Authenticate requests: a request without a key, or with a refused one, gets 401 before its body is read.

    A WebSocket without credentials is let in, because browsers cannot send headers with it: the endpoint asks for them
    in its first message, and serves nothing before.

    Parameters
    ----------
    is_page
        Whether a request is for a page or a static file, which contain no user's data.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator, is_page: IsOpen) -> None:
        self._app = app
        self._authenticator = authenticator
        self._is_page = is_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if self._authenticator.mode is AuthMode.NONE:
            remember(scope, ANYBODY)
            await self._app(scope, receive, send)
            return
        if is_open(scope, self._is_page):
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._authenticator.identify(read_credentials(scope))
        except ServiceError as error:
            if scope["type"] == "http":
                await refuse(Request(scope), error, self._authenticator)(scope, receive, send)
            elif type(error) is Unauthenticated:
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": UNAUTHORIZED_SOCKET})
            return
        remember(scope, caller)
        await self._app(scope, receive, keep_private(send))


def keep_private(send: Send) -> Send:
    """Return a `send` that tells shared caches to keep no response, except those with a Cache-Control header.

    Caches do this by themselves for `Authorization`, but not for X-API-Key, a cookie or a gateway's header.
    """

    async def send_private(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                message = {**message, "headers": [*headers, (b"cache-control", b"private, no-cache")]}
        await send(message)

    return send_private


def remember(scope: Scope, caller: Caller) -> None:
    """Make this the caller of a request or WebSocket."""
    scope.setdefault("state", {})[CALLER] = caller
    set_caller(caller)


def refuse(request: Request, error: ServiceError, authenticator: Authenticator) -> Response:
    """Return the response to a request whose sender could not be identified."""
    response = problem_response(request, describe_error(error))
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = authenticator.challenge
    response.headers["Cache-Control"] = "no-store"
    return response


def read_credentials(scope: Scope) -> Credentials:
    """Return what a request carries about its sender.

    A browser sends the cookie with every request to this host, also for pages of another port. It counts only if a page
    of this service sent the request, or the user did.
    """
    headers = Headers(scope=scope)
    session = cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE)
    return Credentials(
        headers=tuple((name, value) for name, value in headers.items()),
        session=session if session and is_own_page(headers) else None,
        address=client_address(scope),
    )


def is_own_page(headers: Headers) -> bool:
    """Return whether a page of this service, or no page, sent a request."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in {"same-origin", "none"}
    return origin is None or origin.partition("://")[2] == headers.get("host", "")


def is_open(scope: Scope, is_page: IsOpen) -> bool:
    """Return whether a request is for something that contains no user's data."""
    if scope["type"] != "http":
        return False
    path = path_in(scope)
    if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
        return True
    if path == METRICS_PATH:
        return is_loopback((scope.get("client") or ("",))[0])
    if path == GRAPHQL_PATH:
        return _asks_for_page(scope)
    return scope["method"] in _READING and is_page(scope)


def _asks_for_page(scope: Scope) -> bool:
    """Return whether a browser opens the page of the GraphQL API, and sends no document."""
    accepted = weights_in(Headers(scope=scope).get("accept", ""))
    return scope["method"] in _READING and not scope["query_string"] and accepted.get("text/html", 0.0) > 0
