from __future__ import annotations

from typing import Any

import httpx
import pytest

from src.domain.errors import StoreUnavailable
from tests.rest_app import MemoryServices, make_rest_app
from tests.unit.api.rest.conftest import declared_statuses_only


async def test_health_responds_with_200(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json()["data"]["status"] == "ok"


async def test_ready_says_which_part_is_not(client: httpx.AsyncClient, services: MemoryServices) -> None:
    assert (await client.get("/ready")).json()["data"]["parts"] == {"warm_up": "ready", "store": "ready"}
    services.parts["store"] = "not reachable"
    answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "NOT_READY")
    assert "store: not reachable" in answer.json()["message"]
    assert "warm_up" not in answer.json()["message"]
    assert answer.headers["retry-after"] == "1"


async def test_requests_are_counted_by_route_and_status(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await client.get(f"/api/backtests/none-{number}")
        await client.get(f"/no/such/page/{number}")
    await client.request("BREW", "/health")
    text = (await client.get("/metrics")).text
    assert 'http_requests_total{method="GET",route="/api/backtests/{result_id}",status="404"} 3.0' in text
    assert 'http_requests_total{method="GET",route="unmatched",status="404"} 3.0' in text
    assert 'method="OTHER"' in text
    assert "none-1" not in text
    assert "such" not in text
    assert "BREW" not in text
    assert "http_requests_in_progress 1.0" in text
    assert 'http_request_duration_seconds_count{method="GET",route="/api/backtests/{result_id}"} 3.0' in text


async def test_metrics_include_size_of_result_store(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text
    assert "result_store_results 0.0" in text
    assert "result_store_bytes 12345.0" in text


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    missing = await client.get("/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND")
    wrong = await client.put("/health")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["allow"] == "GET, HEAD"
    assert wrong.headers["content-type"] == "application/problem+json"


async def test_every_response_has_security_and_cors_headers(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/nothing"):
        headers = (await client.get(path, headers={"Origin": "https://pages.example"})).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["access-control-allow-origin"] == "https://pages.example"
    stranger = await client.get("/health", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/backtests", "GET, POST"),
        ("OPTIONS", "/api/backtests", "GET, POST"),
        ("GET", "/api/models/upload", "POST"),
        ("GET", "/api/models/user/me/model/m.pkl", "DELETE"),
        ("BREW", "/metrics", "GET"),
    ],
)
async def test_allow_lists_methods_of_all_routes_at_path(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_probes_may_ask_for_the_head_only(client: httpx.AsyncClient, services: MemoryServices, path: str) -> None:
    assert (await client.head(path)).status_code == 200
    services.parts["store"] = "not reachable"
    assert (await client.head(path)).status_code == (503 if path == "/ready" else 200)


@pytest.mark.parametrize("path", ["/api/backtests/", "/health/", "/api/models/upload/"])
async def test_trailing_slash_redirects_to_no_other_host(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Host": "evil.example"})
    assert answer.status_code in {404, 405}
    assert "location" not in answer.headers


async def test_every_endpoint_declares_store_unavailable(services: MemoryServices) -> None:
    gone = StoreUnavailable("gone")

    class Gone:
        def __getattr__(self, name: str) -> Any:
            async def fail(*_: object, **__: object) -> None:
                raise gone

            return fail

    services.backtests = Gone()  # type: ignore[assignment]
    services.files = Gone()  # type: ignore[assignment]
    app = make_rest_app(services)
    check = declared_statuses_only()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client:
        for method, path in [
            ("GET", "/api/models/user/u"), ("DELETE", "/api/models/user/u/model/m.pkl"),
            ("GET", "/api/models/user/u/model/m.pkl/path"), ("GET", "/api/backtests?user_id=u"),
            ("GET", "/api/backtests/x"), ("DELETE", "/api/backtests/x?user_id=u"), ("POST", "/api/backtests/x/rerun"),
            ("GET", "/api/backtests/x/fills"), ("GET", "/api/backtests/x/trades"),
            ("GET", "/api/data/quality?symbol=BTCUSDT"),
        ]:  # fmt: skip
            answer = await client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (503, "STORE_UNAVAILABLE"), path
            await check(answer)
