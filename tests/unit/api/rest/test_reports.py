"""The tear sheet as a file over REST: it holds what the endpoints give."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from src.api.rest import caching, sheet_parts
from tests.rest_app import MemoryServices
from tests.unit.service.test_tearsheets import BARS, OneSource, make_stored

PATH = "/api/backtests/result-1/report.html"


@pytest.fixture(autouse=True)
def stored(services: MemoryServices) -> None:
    services.backtests.results["result-1"] = make_stored()
    services.sources["binance"] = OneSource()


async def get(client: httpx.AsyncClient, path: str) -> Any:
    return (await client.get(f"/api/backtests/result-1{path}")).json()["data"]


def data_of(response: httpx.Response) -> Any:
    return orjson.loads(response.text.split('id="report-data">')[1].split("</script>")[0])


async def test_report_holds_what_endpoints_give(client: httpx.AsyncClient) -> None:
    response = await client.get(PATH)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
    data = data_of(response)
    for name in ("months", "distribution", "costs"):
        assert data[name] == await get(client, f"/{name}"), name
    assert data["drawdowns"] == await get(client, "/drawdowns")
    assert data["run"] == await get(client, "?rows=false")
    series = await get(client, "/series?points=100&columns=" + ",".join(data["overview"]["columns"]))
    assert data["overview"]["columns"] == {name: series["columns"][name] for name in data["overview"]["columns"]}
    assert data["trades"]["items"] == (await get(client, "/trades?order=worst"))["items"]
    assert data["fills"]["items"] == (await get(client, "/fills"))["items"]


async def test_report_is_not_sent_twice(client: httpx.AsyncClient) -> None:
    tag = (await client.get(PATH)).headers["etag"]
    assert (await client.get(PATH, headers={"If-None-Match": tag})).status_code == 304


async def test_report_is_asked_for_each_time(
    client: httpx.AsyncClient, services: MemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await client.get(PATH)
    assert first.headers["cache-control"] == "private, no-cache"
    condition = {"If-None-Match": first.headers["etag"]}
    assert (await client.get(PATH, headers=condition)).headers["cache-control"] == "private, no-cache"
    services.backtests.results["result-2"] = make_stored()
    other = await client.get("/api/backtests/result-2/report.html", headers=condition)
    assert (other.status_code, other.headers["etag"] == first.headers["etag"]) == (200, False)
    monkeypatch.setattr(caching, "__version__", "99.0.0")
    assert (await client.get(PATH, headers=condition)).status_code == 200
    monkeypatch.undo()
    services.backtests.results.clear()
    gone = await client.get(PATH, headers=condition)
    assert (gone.status_code, gone.json()["code"]) == (404, "RESULT_NOT_FOUND")


async def test_report_without_its_bars_is_not_kept(client: httpx.AsyncClient, services: MemoryServices) -> None:
    services.sources.clear()
    services.sources["other"] = OneSource(bars=BARS.slice(0, 299))
    response = await client.get(PATH)
    assert data_of(response)["overview"]["warnings"]
    assert (response.headers["cache-control"], "etag" in response.headers) == ("no-store", False)


async def test_report_draws_all_fills_or_none(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet_parts, "MAX_FILLS", 1)
    response = await client.get(PATH)
    data = data_of(response)
    assert data["fills"] == {"items": [], "total": 2}
