"""Wrap the application in its layers, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.errors import install_error_handlers
from src.api.http.authentication import Authentication, IsOpen
from src.api.http.body_limit import BodyLimit, BodyLimits
from src.api.http.compression import Compression
from src.api.http.cross_site import AllowedOrigins, Cors, CrossSite, HostCheck
from src.api.http.disconnects import CancelOnDisconnect
from src.api.http.linger import Linger, LingerLimits
from src.api.http.rate_limits import COUNTED, RateLimits
from src.api.observation import Observation, RequestMetrics
from src.ports.identity import Authenticator
from src.ports.rates import UNLIMITED, RateLimiter

_SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def install_middleware(
    app: FastAPI,
    *,
    limits: BodyLimits,
    cors_origins: Sequence[str],
    allowed_hosts: Sequence[str] | None,
    metrics: RequestMetrics,
    authenticator: Authenticator,
    is_page: IsOpen,
    linger: LingerLimits | None = None,
    limiter: RateLimiter = UNLIMITED,
) -> None:
    """Wrap an application.

    From the inside out: errors, compression, disconnects, body limits, rate limits (if there are any), authentication,
    cross-site check, CORS, host check, headers, observation, lingering. CORS is outside the limits and the
    authentication so that a web page may read why it was refused.
    """
    origins = AllowedOrigins(cors_origins)
    install_error_handlers(app)
    app.add_middleware(Compression)
    app.add_middleware(CancelOnDisconnect)
    app.add_middleware(BodyLimit, limits=limits)
    if not limiter.limits.keys().isdisjoint(COUNTED):
        app.add_middleware(RateLimits, limiter=limiter, is_page=is_page)
    app.add_middleware(Authentication, authenticator=authenticator, is_page=is_page)
    app.add_middleware(CrossSite, origins=origins)
    app.add_middleware(Cors, origins=origins)
    app.add_middleware(HostCheck, names=allowed_hosts)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Observation, metrics=metrics)
    app.add_middleware(Linger, limits=linger or LingerLimits())


class SecurityHeaders:
    """Add the headers that keep browsers from guessing types, framing pages and sending referrers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, add_headers)
