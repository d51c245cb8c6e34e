"""All REST endpoints, put into an application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from src.api.rest import backtests, data, error_pages, models
from src.api.rest.operations import operations_router
from src.api.rest.schemas import complete_openapi


def install_rest(app: FastAPI, *, registry: CollectorRegistry) -> None:
    """Add the endpoints; they find `app.state.services` and `app.state.max_bars` when they are asked.

    Parameters
    ----------
    registry
        What /metrics shows.
    """
    app.include_router(models.router)
    app.include_router(backtests.router)
    app.include_router(data.router)
    app.include_router(operations_router(registry))
    app.include_router(error_pages.router)
    # The redirection to a path without its slash would go to whatever host the request names.
    app.router.redirect_slashes = False
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        return complete_openapi(generate(), max_bars=app.state.max_bars, max_rows=app.state.max_rows)

    app.openapi = openapi  # type: ignore[method-assign]
