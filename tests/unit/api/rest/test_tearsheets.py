"""Tear sheets over REST: rows as columns, and the figures beside them."""

from __future__ import annotations

import calendar
import io
from dataclasses import replace
from typing import Any

import httpx
import jsonschema
import numpy as np
import pandas as pd
import pytest

from src.api.rest import sheet_parts
from src.api.rest.sheet_parts import COLUMNS
from src.domain.tearsheet import SERIES_COLUMNS
from tests.rest_app import MemoryServices, make_rest_app
from tests.unit.service.test_tearsheets import BARS, OneSource, make_stored

SHEETS = (
    "series?columns=date,equity&points=10",
    "months",
    "drawdowns",
    "distribution",
    "costs",
    "judgement",
    "tearsheet",
)


@pytest.fixture(autouse=True)
def stored(services: MemoryServices) -> None:
    services.backtests.results["result-1"] = make_stored()
    services.sources["binance"] = OneSource()


async def get(client: httpx.AsyncClient, path: str) -> Any:
    response = await client.get("/api/backtests/result-1" + (path if path.startswith("?") else f"/{path}"))
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def test_series_are_columns_of_points(client: httpx.AsyncClient) -> None:
    data = await get(client, "series?points=100")
    assert (data["total"], data["bars_per_point"], data["warnings"]) == (300, 3, [])
    columns = data["columns"]
    assert set(columns) == {*SERIES_COLUMNS} | {
        f"{name}_{end}" for name in ("close", "equity", "buy_and_hold") for end in ("low", "high")
    }
    assert {len(values) for values in columns.values() if values is not None} == {100}
    assert [name for name, values in columns.items() if values is None] == ["signal", "probability"]
    assert columns["date"][:2] == ["2020-09-13T00:00:00Z", "2020-09-16T00:00:00Z"]
    assert columns["open"][1] == BARS.open[3]
    assert columns["high"][1] == BARS.high[3:6].max()


async def test_series_hold_columns_in_order_asked_for(client: httpx.AsyncClient) -> None:
    data = await get(client, "series?columns=equity,%20buyAndHold,date,equity,signal&start=2020-09-23&end=2020-09-24")
    assert list(data["columns"]) == ["equity", "buy_and_hold", "date", "signal"]
    assert data["columns"]["signal"] == ["buy", "hold"]
    assert data["columns"]["date"] == ["2020-09-23T00:00:00Z", "2020-09-24T00:00:00Z"]
    assert data["total"] == 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "points"),  # 300 bars, and a response holds 100 rows
        ("points=101", "points"),
        ("points=0", "points"),
        ("points=many", "points"),
        ("points=10&columns=date,<script>", "columns"),
        ("points=10&columns=", "columns"),
        ("points=10&start=yesterday", "start"),
        ("points=10&end=2020-13-01", "end"),
        ("points=10&start=2021-01-02&end=2021-01-01", "start"),
        ("points=10&first=5", "first"),
    ],
)
async def test_wrong_request_for_rows_names_field(client: httpx.AsyncClient, query: str, field: str) -> None:
    response = await client.get(f"/api/backtests/result-1/series?{query}")
    assert (response.status_code, response.json()["field"]) == (422, field)


async def test_missing_bars_are_warned_of_and_not_cached(client: httpx.AsyncClient, services: MemoryServices) -> None:
    services.sources.clear()
    services.sources["other"] = OneSource(bars=BARS.slice(0, 299))
    path = "/api/backtests/result-1/series?points=10&columns=date,equity,open"
    response = await client.get(path)
    assert response.json()["data"]["columns"]["open"] is None
    assert "have changed" in response.json()["data"]["warnings"][0]
    assert "etag" not in response.headers
    alone = await client.get("/api/backtests/result-1/series?points=10&columns=date,open")
    assert (alone.status_code, alone.json()["code"]) == (409, "CONFLICT")


async def test_months_drawdowns_distribution_and_costs(client: httpx.AsyncClient) -> None:
    months = await get(client, "months")
    assert [year["year"] for year in months["years"]] == [2020, 2021]
    assert [len(year["months"]) for year in months["years"]] == [12, 12]
    assert months["years"][0]["months"][:8] == [None] * 8
    drawdowns = await get(client, "drawdowns?first=3")
    assert len(drawdowns["items"]) == 3
    assert set(drawdowns["items"][0]) == {"start", "bottom", "end", "depth", "bars"}
    depths = [item["depth"] for item in drawdowns["items"]]
    assert depths == sorted(depths, reverse=True) and depths[-1] > 0
    assert drawdowns["items"][0]["start"].endswith("T00:00:00Z")
    distribution = await get(client, "distribution")
    assert sum(item["count"] for item in distribution["bins"]) == distribution["bars"] == 300
    assert distribution["expected_shortfall_95"] <= distribution["value_at_risk_95"] < 0
    costs = await get(client, "costs")
    assert costs["gross_profit"] - costs["slippage"] - costs["fees"] - costs["funding"] == pytest.approx(
        costs["net_profit"]
    )


async def test_tear_sheet_holds_what_its_parts_give(client: httpx.AsyncClient) -> None:
    data = await get(client, "tearsheet?points=50")
    for name in ("months", "drawdowns", "distribution", "costs"):
        assert data[name] == await get(client, name), name
    assert data["run"] == await get(client, "?rows=false")
    series = await get(client, "series?points=50")
    assert data["overview"]["bars_per_point"] == series["bars_per_point"] == 6
    assert data["overview"]["columns"] == {name: series["columns"][name] for name in COLUMNS}
    trades, fills = await get(client, "trades?order=worst"), await get(client, "fills")
    assert data["trades"] == {"items": trades["items"], "total": trades["total"]}
    assert data["fills"] == {"items": fills["items"], "total": fills["total"]}


async def test_tear_sheet_of_many_bars_fetches_few(
    client: httpx.AsyncClient, services: MemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet_parts, "MAX_RANGED_BARS", 299)
    monkeypatch.setattr(sheet_parts, "MAX_FILLS", 1)
    data = await get(client, "tearsheet")
    assert data["overview"]["columns"].keys() == set(COLUMNS) - {"open", "high", "low"}
    assert data["overview"]["columns"]["buy_and_hold"][-1] is not None
    [asked] = services.sources["binance"].asked
    assert (asked.start_ms, asked.end_ms) == tuple(BARS.open_time_ms[:2])
    assert data["fills"] == {"items": [], "total": 2}


async def test_tear_sheet_without_bars_is_not_cached(client: httpx.AsyncClient, services: MemoryServices) -> None:
    services.sources.clear()
    services.sources["other"] = OneSource(bars=BARS.slice(0, 299))
    response = await client.get("/api/backtests/result-1/tearsheet")
    overview = response.json()["data"]["overview"]
    assert overview["columns"]["open"] is None and overview["columns"]["equity"] is not None
    assert "have changed" in overview["warnings"][0]
    assert "etag" not in response.headers


@pytest.mark.parametrize("first", ["0", "1001", "-1", "x"])
async def test_number_of_drawdowns_is_bounded(client: httpx.AsyncClient, first: str) -> None:
    response = await client.get(f"/api/backtests/result-1/drawdowns?first={first}")
    assert (response.status_code, response.json()["field"]) == (422, "first")


@pytest.mark.parametrize("sheet", SHEETS)
async def test_sheets_are_cached_until_result_is_gone(
    client: httpx.AsyncClient, services: MemoryServices, sheet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/api/backtests/result-1/{sheet}"
    first = await client.get(path)
    assert first.headers["cache-control"] == "private, no-cache", "browsers must notice that a result is deleted"
    condition = {"If-None-Match": first.headers["etag"]}
    with monkeypatch.context() as patch:
        patch.setattr(services.backtests, "get", None)  # the result is not read for that
        assert (await client.get(path, headers=condition)).status_code == 304
    services.backtests.results.clear()
    gone = await client.get(path, headers=condition)
    assert (gone.status_code, gone.json()["code"]) == (404, "RESULT_NOT_FOUND")


async def test_every_sheet_has_its_own_tag(client: httpx.AsyncClient) -> None:
    paths = [f"/{sheet}" for sheet in SHEETS] + [
        "", "?rows=false", "/drawdowns?first=2", "/tearsheet?points=20", "/series?columns=date,equity&points=11",
        "/series?columns=date,equity&points=10&end=2021-01-01", "/series?columns=date,cash&points=10",
    ]  # fmt: skip
    tags = [(await client.get(f"/api/backtests/result-1{path}")).headers["etag"] for path in paths]
    assert len(set(tags)) == len(tags)


async def test_result_without_rows_has_all_else(client: httpx.AsyncClient) -> None:
    whole = (await client.get("/api/backtests/result-1")).json()["data"]
    bare = (await client.get("/api/backtests/result-1?rows=false")).json()["data"]
    tables = {"data", "fills", "trades", "more_rows"}
    assert set(whole) - set(bare) == tables, "the table is longer than a response holds"
    whole["warnings"] = [text for text in whole["warnings"] if "MAX_ROWS_PER_ANSWER" not in text]
    assert bare == {name: value for name, value in whole.items() if name not in tables}


READERS = {
    "csv": (pd.read_csv, "text/csv; charset=utf-8"),
    "parquet": (pd.read_parquet, "application/vnd.apache.parquet"),
    "arrow": (pd.read_feather, "application/vnd.apache.arrow.file"),
}


@pytest.mark.parametrize("kind", READERS)
async def test_files_hold_what_json_holds(client: httpx.AsyncClient, kind: str) -> None:
    read, media_type = READERS[kind]
    for path in ("series?points=50", "fills?offset=1", "trades?first=1", "drawdowns?first=9", "months?"):
        url = f"/api/backtests/result-1/{path}"
        data = (await client.get(url)).json()["data"]
        response = await client.get(f"{url}&format={kind}")
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == media_type
        name = path.partition("?")[0]
        assert response.headers["content-disposition"] == f'attachment; filename="{name}.{kind}"'
        assert "Accept" in response.headers["vary"]
        frame = read(io.BytesIO(response.content))  # type: ignore[operator]
        if name == "series":
            expected = pd.DataFrame({key: values or [None] * 50 for key, values in data["columns"].items()})
        elif name == "months":
            rows = [[year["year"], *year["months"], year["total"]] for year in data["years"]]
            names = [month.lower() for month in calendar.month_name[1:]]
            expected = pd.DataFrame(rows, columns=["year", *names, "total"], dtype="float64")
        else:
            expected = pd.DataFrame(data["items"])
        assert list(frame.columns) == list(expected.columns)
        assert len(frame) == len(expected) > 0
        for column in frame.columns:
            if expected[column].isna().all():
                assert frame[column].isna().all()
            elif column in {"date", "start", "bottom", "end"} or column.endswith("time"):
                assert kind == "csv" or frame[column].dtype.kind == "M"
                shown, wanted = (pd.to_datetime(table[column]) for table in (frame, expected))
                assert ((shown == wanted) | (shown.isna() & wanted.isna())).all(), column
            else:
                assert frame[column].tolist() == pytest.approx(expected[column].tolist(), nan_ok=True), column


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/*", "text/csv; charset=utf-8"),
        ("application/json;q=0.5, application/vnd.apache.arrow.file", "application/vnd.apache.arrow.file"),
        ("application/vnd.apache.parquet, */*;q=0.1", "application/vnd.apache.parquet"),
        ("application/json;q=0, */*", "text/csv; charset=utf-8"),
    ],
)
async def test_accept_chooses_format(client: httpx.AsyncClient, accept: str | None, expected: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    for path in ("series?points=10", "fills", "trades", "months", "drawdowns"):
        response = await client.get(f"/api/backtests/result-1/{path}", headers=headers)
        assert response.headers["content-type"] == expected
        assert "Accept" in response.headers["vary"].replace("Accept-Encoding", "")


async def test_format_goes_before_accept(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/backtests/result-1/fills?format=csv", headers={"Accept": "image/png"})
    assert response.headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize("accept", ["text/html", "image/*, application/xml", "*/*;q=0"])
async def test_unknown_media_type_is_not_acceptable(client: httpx.AsyncClient, accept: str) -> None:
    response = await client.get("/api/backtests/result-1/fills", headers={"Accept": accept})
    assert (response.status_code, response.json()["code"]) == (406, "NOT_ACCEPTABLE")
    assert "application/vnd.apache.parquet" in response.json()["detail"]


async def test_drawdown_that_lasts_has_no_end_in_files(client: httpx.AsyncClient) -> None:
    items = (await get(client, "drawdowns?first=1000"))["items"]
    lasting = [item["end"] is None for item in items]
    assert sum(lasting) == 1
    for kind, (read, _) in READERS.items():
        response = await client.get(f"/api/backtests/result-1/drawdowns?first=1000&format={kind}")
        frame = read(io.BytesIO(response.content))  # type: ignore[operator]
        assert frame["end"].isna().tolist() == lasting


@pytest.mark.parametrize(
    "path", ["months?pionts=10", "distribution?format=csv", "costs?format=csv", "report.html?first=1"]
)
async def test_unknown_parameter_is_named(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"/api/backtests/result-1/{path}")
    name = path.partition("?")[2].partition("=")[0]
    assert (response.status_code, response.json()["field"]) == (422, name)
    allowed = "Known parameters: format." if path.startswith("months") else "Allowed: none."
    assert response.json()["detail"] == f"Unknown parameter '{name}'. {allowed}"


async def test_unknown_format_names_known_ones(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/backtests/result-1/series?points=5&format=xlsx")
    assert (response.status_code, response.json()["field"]) == (422, "format")
    assert "'parquet'" in response.json()["detail"]


async def test_file_without_bars_is_an_error(client: httpx.AsyncClient, services: MemoryServices) -> None:
    services.sources["binance"] = OneSource(bars=BARS.slice(0, 299))
    path = "/api/backtests/result-1/series?points=10&columns=date,equity,open&format=csv"
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")


async def test_file_is_not_cut_silently(client: httpx.AsyncClient, services: MemoryServices) -> None:
    result = make_stored()
    fills = np.resize(result.simulation.fills, 101)
    services.backtests.results["result-1"] = make_stored(simulation=replace(result.simulation, fills=fills))
    path = "/api/backtests/result-1/fills?format=csv"
    response = await client.get(path)
    assert (response.status_code, response.json()["field"]) == (422, "first")
    assert "101 rows: one response holds 100" in response.json()["detail"]
    assert (await client.get(f"{path}&offset=1")).text.count("\r\n") == 101
    assert (await client.get(f"{path}&first=3")).text.count("\r\n") == 4


async def test_json_page_has_100_rows_by_default(client: httpx.AsyncClient) -> None:
    data = (await client.get("/api/backtests/result-1/fills")).json()["data"]
    assert (data["first"], data["offset"], data["total"], len(data["items"])) == (100, 0, 2, 2)


async def test_binary_files_are_not_compressed_again(client: httpx.AsyncClient) -> None:
    for kind, is_compressed in (("csv", True), ("parquet", False), ("arrow", False)):
        response = await client.get(
            f"/api/backtests/result-1/series?points=100&format={kind}", headers={"Accept-Encoding": "gzip"}
        )
        assert (response.headers.get("content-encoding") == "gzip") is is_compressed


async def test_fills_of_range_are_counted_and_paged(client: httpx.AsyncClient) -> None:
    everything = await get(client, "fills")
    later = everything["items"][1]["time"]
    part = await get(client, f"fills?start={later}")
    assert (everything["total"], part["total"]) == (2, 1)
    assert part["items"] == everything["items"][1:]


async def test_trades_are_listed_in_order_asked_for(client: httpx.AsyncClient) -> None:
    assert (await get(client, "trades?order=worst"))["total"] == 1
    response = await client.get("/api/backtests/result-1/trades?order=largest")
    assert response.status_code == 422
    assert response.json()["field"] == "order"


async def test_responses_have_declared_shape(client: httpx.AsyncClient) -> None:
    document = make_rest_app().openapi()
    for path in (*SHEETS, "series?points=20", "fills", "trades"):
        response = await client.get(f"/api/backtests/result-1/{path}")
        name = path.partition("?")[0]
        operation = document["paths"][f"/api/backtests/{{result_id}}/{name}"]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(response.json(), schema | {"components": document["components"]})
