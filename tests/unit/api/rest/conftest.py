"""Provide a client of the REST API without a network; it checks every response against the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache
from typing import Any

import httpx
import pytest

from tests.rest_app import MemoryServices, make_rest_app

_EVERYWHERE = {405, 500}
"""Statuses that no endpoint declares: a wrong method, and an unexpected error."""


@pytest.fixture
def services() -> MemoryServices:
    return MemoryServices()


@pytest.fixture
async def client(services: MemoryServices) -> AsyncIterator[httpx.AsyncClient]:
    app = make_rest_app(services, cors_origins=("https://pages.example",))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://service",
        event_hooks={"response": [declared_statuses_only()]},
    ) as client:
        yield client


@cache
def declared_paths() -> Mapping[str, Any]:
    """Return the paths of the OpenAPI document: to make it takes longer than most tests."""
    paths: Mapping[str, Any] = make_rest_app(MemoryServices()).openapi()["paths"]
    return paths


def declared_statuses_only() -> Callable[[httpx.Response], Awaitable[None]]:
    """Return a hook that fails if an endpoint responds with a status that it does not declare."""
    paths = declared_paths()

    async def check(response: httpx.Response) -> None:
        method, path = response.request.method.lower(), response.request.url.path
        for template, operations in paths.items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method in operations and response.status_code not in _EVERYWHERE:
                declared = operations[method]["responses"]
                assert str(response.status_code) in declared, f"{method} {template} answered {response.status_code}"

    return check
