"""Read what the application gives to its endpoints from a request."""

from __future__ import annotations

from starlette.requests import Request

from src.service.services import Services


def services_of(request: Request) -> Services:
    """Return the services that the application was started with (`app.state.services`)."""
    services: Services = request.app.state.services
    return services


def max_rows_of(request: Request) -> int:
    """Return the maximum number of rows of one table in a response (`app.state.max_rows`)."""
    return int(request.app.state.max_rows)


def max_bars_of(request: Request) -> int:
    """Return the maximum number of bars that one request may ask for (`app.state.max_bars`)."""
    return int(request.app.state.max_bars)
