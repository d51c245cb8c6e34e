"""Provide a client of the REST API without a network; it checks every response against the OpenAPI document."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator
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
        event_hooks={"response": [check_status_is_declared]},
    ) as client:
        yield client


@functools.cache
def declared_operations() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Return the pattern of each path and its operations; made once, because the document takes 0.9 s."""
    paths = make_rest_app().openapi()["paths"]
    return [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), paths[path]) for path in paths]


async def check_status_is_declared(response: httpx.Response) -> None:
    """Fail if an endpoint responds with a status that it does not declare."""
    method, path = response.request.method.lower(), response.request.url.path
    for pattern, operations in declared_operations():
        if pattern.fullmatch(path) and method in operations and response.status_code not in _EVERYWHERE:
            declared = operations[method]["responses"]
            assert str(response.status_code) in declared, f"{method} {path} answered {response.status_code}"
