"""Check the origin and the host name of requests, so that foreign web pages cannot use the service.

By default the service needs no login, and runs on the machine whose user also browses. Without these checks every page
could send it forms (a browser asks first only for other content types). A page whose own name resolves to 127.0.0.1
(DNS rebinding) could also read the responses. Programs other than browsers send none of these headers and pass.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from src.api.errors import describe_error, describe_http_error, problem_response
from src.domain.error_text import Template, Text
from src.domain.errors import MalformedRequest

ANY: Final = "*"
METHODS: Final = ("GET", "POST", "DELETE", "OPTIONS")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ANY_PORT: Final = ":*"
_POLICY_VIOLATION: Final = 1008
_ALLOWED_ORIGINS: Final = "Allowed: this service's own pages, and the origins in the setting CORS_ORIGINS."
_OTHER_ORIGIN: Final = f"Origin is {{got!r}}. {_ALLOWED_ORIGINS}"
_NO_ORIGIN: Final = f"Sec-Fetch-Site is {{got!r}}, without an Origin. {_ALLOWED_ORIGINS}"


class AllowedOrigins:
    """The origins of CORS_ORIGINS: `scheme://host`, `scheme://host:port`, `scheme://host:*`, `null` or `*`."""

    def __init__(self, origins: Sequence[str]) -> None:
        self.is_any = ANY in origins
        self._origins = frozenset(origin.lower() for origin in origins)

    def allow(self, origin: str) -> bool:
        """Return whether pages of an origin, as browsers write it, may use the service."""
        origin = origin.lower()
        if self.is_any or origin in self._origins:
            return True
        scheme, separator, place = origin.partition("://")
        host, _, port = place.rpartition(":")
        name = host if port.isascii() and port.isdigit() else place
        return f"{scheme}{separator}{name}{_ANY_PORT}" in self._origins


class Cors(CORSMiddleware):
    """Starlette's CORS layer; a refused preflight says what is allowed."""

    def __init__(self, app: ASGIApp, origins: AllowedOrigins) -> None:
        super().__init__(
            app,
            allow_origins=[ANY] if origins.is_any else [],
            allow_methods=METHODS,
            allow_headers=[ANY],
            allow_private_network=True,
            expose_headers=[
                "ETag",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "X-Request-ID",
                "X-Warnings",
                "traceparent",
            ],
        )
        self._origins = origins

    def is_allowed_origin(self, origin: str) -> bool:
        return self._origins.allow(origin)

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        origin, method = request_headers["origin"], request_headers["access-control-request-method"]
        if not self.is_allowed_origin(origin):
            refusal = problem_response(None, describe_http_error("ORIGIN_NOT_ALLOWED", _refused_origin(origin)))
        else:
            allowed = ", ".join(METHODS)
            refusal = problem_response(
                None,
                describe_http_error(
                    "METHOD_NOT_ALLOWED", "The method is {got!r}. Allowed: {allowed}.", got=method, allowed=allowed
                ),
            )
            refusal.headers["Allow"] = allowed
        refusal.headers["Vary"] = response.headers["Vary"]
        return refusal


class CrossSite:
    """Refuse requests that change something, and WebSockets, if a page of a site that is not allowed sends them.

    As Go's `net/http.CrossOriginProtection`: `Sec-Fetch-Site` says whose page sends the request. If a browser does not
    send it, `Origin` is compared with the requested host.
    """

    def __init__(self, app: ASGIApp, origins: AllowedOrigins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_http = scope["type"] == "http"
        if (is_http and scope["method"] in _SAFE_METHODS) or (not is_http and scope["type"] != "websocket"):
            await self._app(scope, receive, send)
            return
        refused = self._refused_site(Headers(scope=scope))
        if refused is None:
            await self._app(scope, receive, send)
        elif is_http:
            response = problem_response(Request(scope), describe_http_error("ORIGIN_NOT_ALLOWED", refused))
            await response(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    def _refused_site(self, headers: Headers) -> Text | None:
        """Return why a request is refused; None if it is not."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if site in {"same-origin", "none"} or self._origins.is_any:
            return None
        if origin is None:
            return None if site is None else Template(_NO_ORIGIN, {"got": site})
        if self._origins.allow(origin) or (site is None and origin.partition("://")[2] == headers.get("host", "")):
            return None
        return _refused_origin(origin)


class HostCheck:
    """Serve requests only for the service's own host names; other names get 421.

    `names` holds host names, `*.name` for all below one, or `*`. None: loopback names for connections to a loopback
    address, every name for others.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str] | None) -> None:
        self._app = app
        self._names = None if names is None else frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) == 1 and self._is_known(_name_in(hosts[0]), scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        elif len(hosts) == 1:
            failure = describe_http_error(
                "HOST_NOT_ALLOWED", "Host is {got!r}. Allowed: {allowed}.", got=hosts[0], allowed=self._allowed()
            )
            await problem_response(Request(scope), failure)(scope, receive, send)
        elif not hosts and scope["http_version"] == "1.0":  # no browser uses HTTP/1.0
            await self._app(scope, receive, send)
        else:
            error = MalformedRequest("The request has {count} Host fields. Allowed: one.", count=len(hosts))
            await problem_response(Request(scope), describe_error(error))(scope, receive, send)

    def _is_known(self, name: str, scope: Scope) -> bool:
        if self._names is None:
            address = (scope.get("server") or ("",))[0]
            return is_loopback(name) or not is_loopback(address)
        parents = name.split(".")
        below = {"*." + ".".join(parents[start:]) for start in range(1, len(parents))}
        return ANY in self._names or name in self._names or not below.isdisjoint(self._names)

    def _allowed(self) -> str:
        names = "localhost, 127.0.0.1, [::1]" if self._names is None else ", ".join(sorted(self._names))
        return f"{names} (setting ALLOWED_HOSTS)"


def is_loopback(name: str) -> bool:
    """Return whether a host name or address, without a port, is this machine by definition (RFC 6761, 6.3)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _name_in(host: str) -> str:
    """Return the name in a Host field, in lower case, without port, brackets and final dot; empty if there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _refused_origin(origin: str) -> Text:
    return Template(_OTHER_ORIGIN, {"got": origin})
