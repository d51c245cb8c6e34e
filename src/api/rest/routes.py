"""Add all REST endpoints to an application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from src.api.rest import backtests, data, error_pages, models, receipts, strategies, tearsheets
from src.api.rest.operations import operations_router
from src.api.rest.schemas import complete_openapi


def install_rest(app: FastAPI, *, registry: CollectorRegistry) -> None:
    """Add the endpoints; they read `app.state.services` and `app.state.max_bars` at each request.

    Parameters
    ----------
    registry
        The metrics that /metrics shows.
    """
    app.include_router(models.router)
    app.include_router(backtests.router)
    app.include_router(tearsheets.router)
    app.include_router(receipts.router)
    app.include_router(strategies.router)
    app.include_router(data.router)
    app.include_router(operations_router(registry))
    app.include_router(error_pages.router)
    # A redirection to the path without its slash would use the host that the request names.
    app.router.redirect_slashes = False
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        return complete_openapi(generate(), max_bars=app.state.max_bars, max_rows=app.state.max_rows)

    app.openapi = openapi  # type: ignore[method-assign]
