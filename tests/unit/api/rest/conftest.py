"""A client of the REST edge, without a network between."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.rest_app import MemoryServices, make_rest_app


@pytest.fixture
def services() -> MemoryServices:
    return MemoryServices()


@pytest.fixture
async def client(services: MemoryServices) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=make_rest_app(services, cors_origins=("https://pages.example",)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client
