"""Serve operators: /health, /ready and /metrics."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from src import __version__
from src.api.dependencies import process_of
from src.api.errors import describe_http_error, problem_response
from src.api.observation import exposition, store_exposition
from src.api.rest.presenting import respond
from src.api.rest.schemas import Envelope, HealthSchema, ReadySchema, error_responses
from src.api.spelling import snake_case
from src.service.services import READY, Services


def operations_router(registry: CollectorRegistry | None) -> APIRouter:
    """Return /health, /ready and /metrics; the last shows what `registry` holds, and is left out for None."""
    router = APIRouter(tags=["operations"])
    router.get("/health", summary="Report that the process is alive", response_model=Envelope[HealthSchema])(get_health)
    router.head("/health", include_in_schema=False)(get_health)
    not_ready = error_responses(extra={503: "A part is not ready; the response says which (NOT_READY)."})
    router.get(
        "/ready",
        summary="Report whether requests can be served",
        response_model=Envelope[ReadySchema],
        responses=not_ready,
    )(get_readiness)
    router.head("/ready", include_in_schema=False)(get_readiness)

    if registry is None:
        return router

    @router.get(
        "/metrics",
        summary="Show metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def get_metrics(request: Request) -> Response:
        """Show counts and durations of all workers, and the result store's size, in Prometheus' text format."""
        return await show_metrics(registry, process_of(request))

    return router


async def show_metrics(registry: CollectorRegistry, services: Services) -> Response:
    """Respond with the metrics of all workers, and the result store's size."""
    shown = await run_in_threadpool(exposition, registry)
    if usage := await services.store_usage():
        shown += store_exposition(usage)
    return Response(shown, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def get_health() -> Response:
    """Report that the process is alive."""
    return respond("alive", {"status": "ok", "version": __version__})


async def get_readiness(request: Request) -> Response:
    """Report whether requests can be served: warm-up done, stores reachable."""
    readiness = await process_of(request).readiness()
    parts = {snake_case(name): state for name, state in readiness.parts.items()}
    if readiness.is_ready:
        return respond("ready", {"status": "ready", "parts": parts})
    missing = ", ".join(f"{name}: {state}" for name, state in parts.items() if state != READY)
    return problem_response(
        request, describe_http_error("NOT_READY", "Not ready yet ({missing}).", retry_after_s=1.0, missing=missing)
    )
