"""Build the application; uvicorn imports it as `src.backtest_API:app`."""

from __future__ import annotations

import src.runtime.compile_cache  # noqa: F401  (before numba, which all the others import)

# isort: split
import asyncio
import logging
import multiprocessing
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from src import __version__
from src.api.graphql.router import build_graphql_router
from src.api.http.body_limit import BodyLimits
from src.api.http.connection_limits import raise_descriptor_limit
from src.api.http.cross_site import ANY, HostCheck, is_loopback
from src.api.http.middleware import install_middleware
from src.api.job_streams import JobStreams
from src.api.observation import RequestMetrics
from src.api.rest.operations import show_metrics
from src.api.rest.routes import install_rest
from src.domain.errors import ServiceError
from src.domain.identity import AuthMode
from src.observing.logs import configure_logging
from src.observing.prometheus_meters import PrometheusMeters
from src.runtime.allocator import return_freed_memory
from src.runtime.exposure import find_exposure
from src.runtime.metrics_server import MetricsServer
from src.runtime.server import ON_DRAIN
from src.runtime.setting_names import find_unknown_settings
from src.runtime.tracing import start_tracing
from src.service.services import Services
from src.settings import Settings, SettingsError, read_settings
from src.ui.report import ReportFiles
from src.ui.routes import find_pages, graphql_page, install_pages
from src.wiring.identity import build_authenticator
from src.wiring.rates import build_limiter, count_attempts
from src.wiring.services import build_services

MCP_PACKAGE = "'mcp>=2.3,<3'"
"""As the extra `mcp` in pyproject.toml asks for it."""

NO_FRAMEWORK_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own spans carry query strings, and its log records the messages of all errors."""


def create_app(settings: Settings) -> FastAPI:
    """Return the application for these settings; its services start and stop with it."""
    return_freed_memory()
    raise_descriptor_limit()
    configure_logging(settings.log_format, settings.log_level)
    registry = CollectorRegistry()
    meters = PrometheusMeters(registry)
    limiter = build_limiter(settings, meters)
    authenticator = build_authenticator(settings)
    counted = count_attempts(authenticator, limiter)
    services = build_services(settings, meters, limiter)
    streams = JobStreams()
    mcp = _build_mcp(services, streams, settings) if settings.mcp else None
    metrics = _build_metrics_server(services, settings, registry) if settings.metrics_port else None

    def start_draining() -> None:
        services.start_draining()
        streams.close()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        stop_tracing = start_tracing(os.environ)
        await services.start()
        try:
            async with nullcontext() if mcp is None else mcp.run(), nullcontext() if metrics is None else metrics.run():
                yield {ON_DRAIN: start_draining}
        finally:
            streams.close()
            await authenticator.close()
            await services.stop()
            await asyncio.to_thread(stop_tracing)

    app = FastAPI(
        title="Backtesting service",
        version=__version__,
        summary="Send a trained model or a trading rule, get back whether to believe it.",
        lifespan=lifespan,
        openapi_url=None,  # src.api.rest.document serves it
        docs_url=None,  # FastAPI's own pages load from another host; src.ui has one that does not
        redoc_url=None,
        telemetry=NO_FRAMEWORK_TELEMETRY,
    )
    app.state.services = services
    app.state.job_streams = streams
    app.state.auth = settings.auth.value
    app.state.authenticator = counted
    app.state.sessions = authenticator if authenticator.mode is AuthMode.KEYS else None
    app.state.max_bars = settings.max_bars
    app.state.max_rows = settings.max_rows_per_answer
    app.state.report_writer = ReportFiles()
    graphql = build_graphql_router(
        has_introspection=settings.graphql_introspection,
        max_depth=settings.graphql_max_depth,
        max_aliases=settings.graphql_max_aliases,
        max_tokens=settings.graphql_max_tokens,
        is_user_optional=settings.auth is not AuthMode.NONE,
        page=graphql_page,
    )
    # First, because FastAPI asks one router after the other: the last of eleven is found after 0.1 of a small request.
    app.include_router(graphql)
    install_rest(app, registry=registry if metrics is None else None, is_limited=bool(limiter.limits))
    if mcp is not None:
        mcp.install(app)
    install_pages(app)
    install_middleware(
        app,
        limits=BodyLimits(max_upload_bytes=settings.max_upload_bytes),
        cors_origins=settings.cors_origins,
        allowed_hosts=allowed_hosts(settings),
        metrics=RequestMetrics(registry),
        authenticator=counted,
        is_page=find_pages(app),
        limiter=limiter,
    )
    return app


def _build_mcp(services: Services, streams: JobStreams, settings: Settings) -> Any:
    """Return the endpoint for agents; raises SettingsError if its package is not installed."""
    try:
        endpoint = import_module("src.api.mcp.endpoint")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"mcp", "mcp_types"}:
            raise
        raise SettingsError(
            "MCP is true, but the package mcp is not installed. "
            f"Install it (pip install {MCP_PACKAGE}), or set MCP=false."
        ) from error
    return endpoint.McpEndpoint(services, streams, max_bars=settings.max_bars)


def _build_metrics_server(services: Services, settings: Settings, registry: CollectorRegistry) -> MetricsServer:
    """Return the server of METRICS_PORT, which responds to the same host names as the service."""

    async def get_metrics(_: Request) -> Response:
        return await show_metrics(registry, services)

    app = Starlette(
        routes=[Route("/metrics", get_metrics)], middleware=[Middleware(HostCheck, names=allowed_hosts(settings))]
    )
    return MetricsServer(app, host=settings.host, port=settings.metrics_port)


def allowed_hosts(settings: Settings) -> Sequence[str] | None:
    """Return the host names that requests may name; None: it depends on the address of the connection."""
    if settings.allowed_hosts is None and not is_loopback(settings.host):
        return (ANY,)
    return settings.allowed_hosts


def __getattr__(name: str) -> Any:
    """Build `app` on first access, so that importing this module reads no settings and opens nothing."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        # Cached, because uvicorn reads it twice, and each application has its own stores and threads.
        settings = read_settings()
        application = globals()["app"] = create_app(settings)
        if multiprocessing.parent_process() is None:  # `runtime.serve` names them once for all workers
            for warning in (*find_unknown_settings(os.environ), *find_exposure(settings)):
                logging.getLogger(__name__).warning("%s", warning)
        return application
    except (SettingsError, ServiceError) as error:
        sys.exit(f"The service cannot start:\n{error}")
