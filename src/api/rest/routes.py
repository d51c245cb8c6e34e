"""Add all REST endpoints to an application."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry

from src.api.rest import (
    backtests,
    data,
    error_pages,
    jobs,
    models,
    portfolios,
    receipts,
    reports,
    session,
    strategies,
    sweeps,
    tearsheets,
    usage,
)
from src.api.rest.document import install_document
from src.api.rest.operations import operations_router
from src.api.spelling import camel_case


def name_operation(route: APIRoute) -> str:
    """Return the `operationId`, after which generated clients name their functions: the endpoint's in camelCase."""
    return camel_case(route.name)


def install_rest(app: FastAPI, *, registry: CollectorRegistry | None, is_limited: bool = False) -> None:
    """Add the endpoints; they read `app.state` at each request: services, limits, and the writer of reports.

    Parameters
    ----------
    registry
        The metrics that /metrics shows; None: another port shows them.
    is_limited
        Whether requests can be refused because their sender exceeds a limit per time.
    """
    include = partial(app.include_router, generate_unique_id_function=name_operation)
    include(models.router)
    include(backtests.router)
    include(tearsheets.router)
    include(reports.router)
    include(receipts.router)
    include(strategies.router)
    include(sweeps.router)
    include(portfolios.router)
    include(jobs.router)
    include(data.router)
    include(usage.router)
    include(session.router)
    include(operations_router(registry))
    include(error_pages.router)
    # A redirection to the path without its slash would use the host that the request names.
    app.router.redirect_slashes = False
    install_document(app, is_limited=is_limited)
