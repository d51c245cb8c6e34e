"""`/metrics` gives what is declared, the dashboard asks for nothing else, and both say what clients did."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from src.observing.declared_meters import METERS, MeterKind
from tests.architecture.test_floors import ROOT
from tests.exchange import LoopbackExchange
from tests.ports import unused_port

DASHBOARD = ROOT / "deploy" / "grafana" / "backtesting-service.json"
FUNCTIONS = {"sum", "max", "rate", "increase", "histogram_quantile", "by", "le"}
RUN = "mutation Mine($input: BacktestInput!) { runVectorizedBacktest(input: $input) { id } }"
OwnService = Callable[..., tuple[str, LoopbackExchange]]


def series_names(text: str) -> set[str]:
    """Return the names of series that a text of `/metrics` announces or has."""
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def queries() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def labels_of(series: str) -> set[str]:
    meter = METERS.get(series) or METERS[series.removesuffix("_bucket")]
    return {*meter.labels, *(["le"] if meter.kind is MeterKind.HISTOGRAM else [])}


@pytest.fixture
def metrics(service: str) -> str:
    return httpx.get(f"{service}/metrics", timeout=30).text


def test_served_series_are_the_declared_ones(metrics: str) -> None:
    declared = {
        f"{meter.name}_{part}" if part else meter.name
        for meter in METERS.values()
        for part in (("bucket", "sum", "count") if meter.kind is MeterKind.HISTOGRAM else ("",))
    }
    served = {name for name in series_names(metrics) if not name.endswith("_created")}
    assert served == declared


def test_dashboard_asks_for_series_that_are_served(metrics: str) -> None:
    served = series_names(metrics)
    for query in queries():
        without_labels = re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)", "", query)
        asked = set(re.findall(r"[a-z_]{3,}", without_labels)) - FUNCTIONS
        assert asked, query
        assert asked <= served, query


def test_dashboard_groups_by_labels_that_exist() -> None:
    for query in queries():
        labels = set(re.findall(r"(\w+)[!=]~?\"", query))
        for group in re.findall(r"by \(([^)]*)\)", query):
            labels |= set(group.split(", "))
        [series] = set(re.findall(r"\b(?:http|graphql|queue|rate|sandbox|exchange|store|result)_[a-z_]+", query))
        assert labels <= labels_of(series), query


def test_dashboard_shows_every_declared_metric() -> None:
    together = " ".join(queries())
    assert [name for name in METERS if name not in together] == []


def value(url: str, line: str) -> float:
    text = httpx.get(f"{url}/metrics", timeout=30).text
    return sum(float(found.rsplit(" ", 1)[1]) for found in text.splitlines() if found.startswith(line))


def test_requests_are_counted_by_operation_and_code(own_service: OwnService) -> None:
    url, _ = own_service()
    market = {"symbol": "BTCUSDT", "limit": 300, "source": "simulated"}
    good = {"input": {"userId": "ann", "symbol": "BTCUSDT", "fetchInput": market}}
    bad = {"input": {**good["input"], "fees": -1}}
    for variables in (good, bad):
        httpx.post(f"{url}/graphql", json={"query": RUN, "variables": variables}, timeout=60)
    httpx.post(f"{url}/graphql", json={"query": "{ not graphql"}, timeout=30)
    httpx.get(f"{url}/api/backtests/missing", timeout=30)
    run = 'graphql_operations_total{code="%s",operation="%s"} '
    assert value(url, run % ("OK", "runVectorizedBacktest")) == 1
    assert value(url, run % ("INVALID_INPUT", "runVectorizedBacktest")) == 1
    assert value(url, run % ("GRAPHQL_PARSE_FAILED", "other")) == 1
    assert value(url, 'graphql_operation_duration_seconds_count{operation="runVectorizedBacktest"} ') == 2
    assert value(url, 'http_errors_total{code="RESULT_NOT_FOUND",route="/api/backtests/{result_id}"} ') == 1
    assert value(url, 'store_operation_duration_seconds_count{operation="save",store="results"} ') == 1
    assert value(url, 'store_errors_total{code="RESULT_NOT_FOUND",operation="get",store="results"} ') == 1


def test_metrics_port_shows_them_instead(own_service: OwnService, tmp_path: Path) -> None:
    port = unused_port()
    url, _ = own_service(metrics_port=port)
    assert httpx.get(f"{url}/metrics", timeout=30).status_code == 404
    own = f"http://127.0.0.1:{port}"
    text = httpx.get(f"{own}/metrics", timeout=30).text
    assert {"http_requests_total", "result_store_bytes"} <= series_names(text)
    assert httpx.get(f"{own}/health", timeout=30).status_code == 404
    assert httpx.get(f"{own}/metrics", headers={"Host": "evil.example"}, timeout=30).status_code == 421
