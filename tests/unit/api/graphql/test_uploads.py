"""Check files in GraphQL requests, as real clients send them and as hostile ones do."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from src.domain.errors import TimedOut
from tests.graphql_app import GraphQLClient, MemoryMarket, without_hint
from tests.rest_app import MemoryServices

DOCUMENT = """
mutation ($file: Upload!, $input: MLBacktestInput!) { run_ml_backtest_with_file(ml_model_file: $file, input: $input) {
  id strategy { threshold }
} }
"""
INPUT = {"user_id": "alice", "symbol": "BTCUSDT"}
BOUNDARY = "----boundary"


def operations(**changes: Any) -> dict[str, Any]:
    return {"query": DOCUMENT, "variables": {"file": None, "input": INPUT}} | changes


def part(name: str, content: bytes, *, filename: str | None = None, content_type: str | None = None) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    header = f"\r\nContent-Type: {content_type}" if content_type else ""
    return f"--{BOUNDARY}\r\n{disposition}{header}\r\n\r\n".encode() + content + b"\r\n"


def json_part(name: str, value: Any, content_type: str | None = None) -> bytes:
    return part(name, json.dumps(value).encode(), content_type=content_type)


async def send(client: GraphQLClient, *parts: bytes, **headers: str) -> httpx.Response:
    return await client.http.post(
        "/graphql",
        content=b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(),
        headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"} | headers,
    )


BINARY = bytes(range(256)) * 5000
"""More than is buffered in memory, and neither UTF-8 nor Latin-1 text."""


@pytest.mark.parametrize("content_type", [None, "application/json"])
@pytest.mark.parametrize("key", ["0", "1", "variables.file", "my file"])
async def test_uploaded_file_arrives_whole(key: str, content_type: str | None) -> None:
    client = GraphQLClient()
    response = await send(
        client,
        json_part("operations", operations(), content_type),
        json_part("map", {key: ["variables.file"]}, content_type),
        part(key, BINARY, filename="model.pkl"),
        accept="application/graphql-response+json,application/json;q=0.9",
    )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/graphql-response+json")
    assert response.json()["data"]["run_ml_backtest_with_file"]["strategy"] == {"threshold": 0.5}
    (model_file,) = client.backtests.model_files
    assert model_file is not None
    assert model_file.size_bytes == len(BINARY)
    assert client.services.files.files == {}


async def test_extended_file_name_alone_is_used() -> None:
    client = GraphQLClient()
    file = part("0", BINARY, filename="x").replace(b'filename="x"', b"filename*=UTF-8''m%C3%B6del.pkl")
    response = await send(client, OPERATIONS, MAP, file)
    assert "errors" not in response.json()
    (model_file,) = client.backtests.model_files
    assert model_file is not None
    assert model_file.original_filename == "mödel.pkl"


async def test_operation_name_of_form_is_text_or_null() -> None:
    client = GraphQLClient()
    request = {"query": "no document", "variables": {}, "operationName": ["a"]}
    response = await send(client, json_part("operations", request), json_part("map", {}))
    assert response.status_code == 400
    assert response.json()["errors"][0]["message"] == "The operationName must be text or null."


async def test_file_without_a_name_is_a_file() -> None:
    client = GraphQLClient()
    response = await send(
        client,
        json_part("operations", operations()),
        json_part("map", {"0": ["variables.file"]}),
        part("0", BINARY),
    )
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "UNSUPPORTED_FORMAT", "it reached the file store, which wants a name"


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "nonsense"])
async def test_named_texts_stay_texts_in_any_charset(charset: str) -> None:
    client = GraphQLClient()
    response = await send(
        client,
        part("operations", json.dumps(operations()).encode(), filename="operations.json"),
        part("map", b'{"0": ["variables.file"]}', filename="map.json"),
        part("0", b"the model", filename="model.pkl"),
        **{"content-type": f"multipart/form-data; charset={charset}; boundary={BOUNDARY}"},
    )
    assert "errors" not in response.json()


async def test_map_may_come_after_the_file() -> None:
    client = GraphQLClient()
    response = await send(
        client,
        part("0", b"the model", filename="model.pkl"),
        json_part("map", {"0": ["variables.file"]}),
        json_part("operations", operations()),
    )
    assert "errors" not in response.json()


async def test_file_is_removed_if_the_backtest_fails() -> None:
    client = GraphQLClient(MemoryServices(backtests=MemoryMarket(failure=TimedOut("too long"))))
    response = await send(
        client,
        json_part("operations", operations()),
        json_part("map", {"0": ["variables.file"]}),
        part("0", b"the model", filename="model.pkl"),
    )
    assert response.json()["errors"][0]["extensions"]["code"] == "TIMED_OUT"
    assert len(client.backtests.model_files) == 1
    assert client.services.files.files == {}


FILE = part("0", b"x", filename="model.pkl")
OPERATIONS = json_part("operations", operations())
MAP = json_part("map", {"0": ["variables.file"]})


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [FILE],
        [OPERATIONS, FILE],
        [MAP, FILE],
        [OPERATIONS, MAP],
        [part("operations", b"{"), MAP, FILE],
        [part("operations", b"\xff"), MAP, FILE],
        [OPERATIONS.replace(b"alice", b"al\xffce"), MAP, FILE],
        [json_part("operations", [operations()]), MAP, FILE],
        [json_part("operations", None), MAP, FILE],
        [OPERATIONS, part("map", b"x"), FILE],
        [OPERATIONS, json_part("map", []), FILE],
        [OPERATIONS, json_part("map", {"0": "variables.file"}), FILE],
        [OPERATIONS, json_part("map", {"0": [1]}), FILE],
        [OPERATIONS, json_part("map", {"0": [""]}), FILE],
        [OPERATIONS, json_part("map", {"0": ["query"]}), FILE],
        [OPERATIONS, json_part("map", {"0": ["variables"]}), FILE],
        [OPERATIONS, json_part("map", {"0": ["variables.other"]}), FILE],
        [OPERATIONS, json_part("map", {"0": ["variables.file.deeper"]}), FILE],
        [OPERATIONS, json_part("map", {"0": ["variables.input.user_id"]}), FILE],
        [OPERATIONS, json_part("map", {"0": ["variables.input.feature_columns.99999999999"]}), FILE],
        [OPERATIONS, json_part("map", {"0": ["variables.file", "variables.file"]}), FILE],
        [OPERATIONS, OPERATIONS, MAP, FILE],
        [OPERATIONS, part("map", b'{"0": ["variables.file"], "0": ["variables.file"]}'), FILE],
        [OPERATIONS, MAP, FILE, FILE],
        [OPERATIONS, MAP, *(part(str(index), b"x", filename="m.pkl") for index in range(9))],
        [OPERATIONS, MAP, FILE.replace(b'name="0"; ', b"")],
        [OPERATIONS, MAP, FILE.replace(b"Content-Disposition", b"Content-Nothing")],
    ],
)
async def test_invalid_multipart_request_is_malformed(parts: list[bytes]) -> None:
    client = GraphQLClient()
    response = await send(client, *parts)
    assert response.status_code == 400, response.text
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "MALFORMED_REQUEST"
    assert client.backtests.asked == []


@pytest.mark.parametrize("content_type", ["multipart/form-data", f"multipart/form-data; boundary={'b' * 5000}"])
async def test_invalid_boundary_is_malformed(content_type: str) -> None:
    response = await GraphQLClient().http.post("/graphql", content=b"x", headers={"content-type": content_type})
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize("missing", range(0, 60, 7))
async def test_truncated_body_is_malformed(missing: int) -> None:
    client = GraphQLClient()
    whole = OPERATIONS + MAP + part("0", b"x" * 100, filename="model.pkl") + f"--{BOUNDARY}".encode()
    response = await client.http.post(
        "/graphql",
        content=whole[: len(whole) - missing],
        headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
    )
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "MALFORMED_REQUEST"
    assert client.backtests.asked == []


async def test_operations_have_a_limit() -> None:
    response = await send(GraphQLClient(), part("operations", b" " * (1024 * 1024 + 1)), MAP, FILE)
    assert response.status_code == 413
    assert response.json()["errors"][0]["extensions"]["code"] == "TOO_LARGE"


@pytest.mark.parametrize("value", ["text", 5, {"a": 1}, ["x"]])
async def test_upload_that_is_no_file_is_refused(value: Any) -> None:
    error = await GraphQLClient().error(DOCUMENT, {"file": value, "input": INPUT})
    assert without_hint(error["extensions"]) == {"code": "INVALID_INPUT", "field": "mlModelFile"}


async def test_no_file_at_all() -> None:
    error = await GraphQLClient().error(DOCUMENT, {"file": None, "input": INPUT})
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert "$file" in error["message"]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ('runMlBacktest(input: {userId: "a", symbol: "BTCUSDT"})', "modelPath"),
        ('runMlBacktest(input: {userId: "a", symbol: "BTCUSDT", mlModel: {threshold: 0.5}})', "modelPath"),
        (
            'runMlBacktest(input: {userId: "a", symbol: "BTCUSDT", threshold: 0.4, '
            'mlModel: {modelPath: "m.pkl", threshold: 0.5}})',
            "threshold",
        ),
    ],
)
async def test_settings_of_the_model_that_contradict(document: str, field: str) -> None:
    error = await GraphQLClient().error(f"mutation {{ {document} {{ id }} }}")
    assert without_hint(error["extensions"]) == {"code": "INVALID_INPUT", "field": field}


async def test_file_together_with_path_is_refused() -> None:
    both = operations(variables={"file": None, "input": INPUT | {"mlModel": {"modelPath": "m.pkl"}}})
    response = await send(GraphQLClient(), json_part("operations", both), MAP, FILE)
    assert without_hint(response.json()["errors"][0]["extensions"]) == {"code": "INVALID_INPUT", "field": "modelPath"}
