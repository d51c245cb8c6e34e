"""Check a temporary disk that is full while an upload arrives: the client is refused with Retry-After."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

import httpx
import pytest

from src.api.http.spooling import spooling
from src.domain.errors import StoreUnavailable
from tests.graphql_app import GraphQLClient
from tests.rest_app import MIB, make_rest_app

BIG = b"x" * (MIB - 1000)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def write(self: object, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SpooledTemporaryFile, "write", write)
    yield


@pytest.mark.usefixtures("full_disk")
async def test_full_disk_over_rest_is_store_unavailable() -> None:
    transport = httpx.ASGITransport(app=make_rest_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        answer = await client.post("/api/models/upload", files={"file": ("m.pkl", BIG)}, data={"user_id": "u"})
    assert (answer.status_code, answer.json()["code"]) == (503, "STORE_UNAVAILABLE")
    assert "too full to receive the upload" in answer.json()["message"]


@pytest.mark.usefixtures("full_disk")
async def test_full_disk_over_graphql_is_store_unavailable() -> None:
    operations: dict[str, Any] = {"query": "{ health }", "variables": {"file": None}}
    parts = [
        ("operations", (None, json.dumps(operations))),
        ("map", (None, json.dumps({"0": ["variables.file"]}))),
        ("0", ("m.pkl", BIG)),
    ]
    answer = await GraphQLClient().http.post("/graphql", files=parts)
    assert answer.status_code == 503
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "STORE_UNAVAILABLE"
    assert "too full to receive the upload" in error["message"]


def test_disk_errors_name_no_path() -> None:
    with pytest.raises(StoreUnavailable) as caught, spooling():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory", "/srv/tmp")
    assert "/srv" not in caught.value.message


@pytest.mark.parametrize("path", ["/graphql", "/api/models/upload"])
async def test_files_are_closed_if_the_disk_fills(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    close_file = SpooledTemporaryFile.close

    def close(self: SpooledTemporaryFile[bytes]) -> None:
        closed.append(self)
        close_file(self)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    transport = httpx.ASGITransport(app=make_rest_app())
    monkeypatch.setattr(SpooledTemporaryFile, "close", close)
    if path == "/graphql":
        fields = {
            "operations": json.dumps({"query": "{ health }", "variables": {"f": None}}),
            "map": '{"0": ["variables.f"]}',
        }
        answer = await GraphQLClient().http.post(path, data=fields, files={"0": ("m.pkl", b"x")})
    else:
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            answer = await client.post(path, data={"user_id": "u"}, files={"file": ("m.pkl", b"x")})
    assert answer.is_success, answer.text
    assert len(closed) == 1
