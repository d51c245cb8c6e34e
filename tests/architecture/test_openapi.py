"""The OpenAPI document tells the truth: what is sent, what is answered, what may go wrong, each with its words."""

from __future__ import annotations

import asyncio
import re
import threading
from calendar import isleap
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.api.error_table import HTTP_ERROR_TABLE
from src.api.paths import FORM_PATHS
from src.api.rest import document as document_module
from src.api.rest import values
from src.api.rest.receipts import KEYS_PATH
from src.backtest_API import create_app
from src.domain.datasets import check_dataset_name
from src.domain.errors import InvalidInput, ServiceError
from src.domain.instants import parse_instant
from src.domain.model_files import check_user_id
from src.settings import Settings
from tests.architecture.test_floors import SOURCES


@cache
def document() -> dict[str, Any]:
    return create_app(Settings(_env_file=None)).openapi()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def properties(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property of every schema below a node, with its place."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from properties(item, f"{place}[{index}]")
    elif isinstance(node, dict):
        if node.get("type") == "object" and isinstance(node.get("properties"), dict):
            yield from ((f"{place}.{name}", schema) for name, schema in node["properties"].items())
        for name, item in node.items():
            yield from properties(item, f"{place}/{name}")


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema, or the component that it refers to."""
    return document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def form_of(operation: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of the form that an operation takes; None if it takes none."""
    form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    return None if form is None else resolved(form["schema"])


def fields_of(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field of a request's body with its place, through references."""
    if isinstance(node, list):
        for item in node:
            yield from fields_of(item, place)
    elif isinstance(node, dict):
        if "$ref" in node:
            yield from fields_of(resolved(node), place)
        for name, schema in node.get("properties", {}).items():
            yield f"{place}.{name}", schema
            yield from fields_of(schema, f"{place}.{name}")
        yield from fields_of(node.get("anyOf", []), place)


def codes_of(operation: dict[str, Any]) -> set[str]:
    """Return the codes of the errors that an operation declares."""
    words = " ".join(response["description"] for response in operation["responses"].values())
    return set(re.findall(r"\(([A-Z_]+)\)", words))


def error_classes(kind: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from error_classes(below)


async def test_document_is_made_once_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, threads = document(), []
    app = create_app(Settings(_env_file=None))
    make = document_module.complete_openapi

    def noting(*args: Any, **options: Any) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return make(*args, **options)

    monkeypatch.setattr(document_module, "complete_openapi", noting)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        found = await asyncio.gather(*(client.get("/openapi.json") for _ in range(3)))
    assert [response.json() for response in found] == [expected] * 3
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_document_names_the_path_of_a_proxy() -> None:
    app = create_app(Settings(_env_file=None, root_path="/backtests"))
    transport = httpx.ASGITransport(app, root_path="/backtests")
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        found = (await client.get("/backtests/openapi.json")).json()
    assert found.pop("servers") == [{"url": "/backtests"}]
    assert found == document()


def test_every_parameter_says_what_it_is() -> None:
    silent = [
        f"{method} {path}: {parameter['name']}"
        for method, path, operation in operations()
        for parameter in operation.get("parameters", [])
        if not parameter.get("description")
    ]
    assert silent == []


def test_every_property_says_what_it_is() -> None:
    found = list(properties(document(), ""))
    assert len(found) > 200
    assert [place for place, schema in found if not schema.get("description")] == []


def test_every_schema_and_operation_says_what_it_is() -> None:
    schemas = document()["components"]["schemas"]
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []
    assert [path for _, path, operation in operations() if not operation.get("description")] == []


def test_every_error_has_a_schema() -> None:
    without = [
        f"{method} {path}: {status}"
        for method, path, operation in operations()
        for status, response in operation["responses"].items()
        if status >= "400" and not all(body.get("schema") for body in response.get("content", {"": {}}).values())
    ]
    assert without == []


def test_files_are_received_where_the_body_limit_expects_them() -> None:
    forms = {
        path
        for _, path, operation in operations()
        if "multipart/form-data" in operation.get("requestBody", {}).get("content", {})
    }
    assert forms == FORM_PATHS


def test_whoever_takes_a_body_may_refuse_it() -> None:
    for method, path, operation in operations():
        if "requestBody" in operation:
            assert {"400", "408", "413"} <= set(operation["responses"]), f"{method} {path}"
        else:
            # A rerun has no body; its 413 is that of a result that alone exceeds the user's quota.
            too_large = set() if path.endswith(("/rerun", "/run")) else {"413"}
            assert not {"408", "415", *too_large} & set(operation["responses"]), f"{method} {path}"


def test_whoever_reads_a_store_may_find_it_gone() -> None:
    # The others read nothing that may be away: this process's own state, or the store's own answer (/ready).
    stateless = {
        "/health", "/ready", "/metrics", "/errors/{code}", "/api/data/downloads",
        "/api/strategies", "/api/strategies/check", KEYS_PATH,
    }  # fmt: skip
    for method, path, operation in operations():
        if path not in stateless and (method, path) != ("get", "/graphql"):
            assert "STORE_UNAVAILABLE" in codes_of(operation), f"{method} {path}"


def code_of(path: Path) -> str:
    """Return a file's text without the heads of its classes, which name their parents as a call would."""
    return re.sub(r"^class .*$", "", path.read_text(), flags=re.MULTILINE)


def test_every_declared_code_is_one_that_something_raises() -> None:
    declared = set[str]().union(*(codes_of(operation) for _, _, operation in operations()))
    sources = "\n".join(map(code_of, SOURCES))
    raised = {kind.code for kind in error_classes() if re.search(rf"\b{kind.__name__}\(", sources)}
    assert declared <= raised | set(HTTP_ERROR_TABLE)


@pytest.mark.parametrize("kind", [kind for kind in error_classes() if not kind.__subclasses__()])
def test_every_error_of_the_tree_is_raised_by_something(kind: type[ServiceError]) -> None:
    assert any(re.search(rf"\b{kind.__name__}\(", source) for source in map(code_of, SOURCES))


def places_of(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return every place where a request may hold a value of that name, with its schema."""
    places = []
    for method, path, operation in operations():
        for parameter in operation.get("parameters", []):
            if parameter["name"] == name:
                places.append((f"{method} {path}", parameter["schema"]))
        if path != "/graphql":
            for content in operation.get("requestBody", {}).get("content", {}).values():
                found = fields_of(content["schema"], f"{method} {path}")
                places += [
                    (place, schema)
                    for place, schema in found
                    if place.endswith(f".{name}") and "parameters" not in place
                ]
    return places


@pytest.mark.parametrize(
    ("name", "rule", "places"),
    [
        ("user_id", values.USER_ID, 12), ("symbol", values.SYMBOL, 6), ("name", values.DATASET_NAME, 2),
        ("model_name", values.MODEL_NAME, 1), ("start_date", values.DATE, 4),
        ("fees", {"minimum": 0, "exclusiveMaximum": 1}, 2),
    ],
)  # fmt: skip
def test_requests_carry_the_rules_of_the_checks(name: str, rule: dict[str, Any], places: int) -> None:
    found = places_of(name)
    assert len(found) >= places
    assert [place for place, schema in found if not rule.items() <= schema.items()] == []


def is_accepted(check: Callable[[str], object], text: str) -> bool:
    try:
        check(text)
    except InvalidInput:
        return False
    return True


EDGES = ["", "a", "0", "_a", "a_", "a.b-c", "a@b", "A" * 64, "a" * 65, "a\n", "\n", "ä", "a b", "..", "-", "a/b", "٣"]


@pytest.mark.parametrize("text", EDGES)
@pytest.mark.parametrize(
    ("rule", "check"),
    [(values.USER_ID, check_user_id), (values.DATASET_NAME, check_dataset_name)],
    ids=["user", "name"],
)
def test_patterns_allow_what_the_checks_allow(rule: dict[str, str], check: Callable[[str], object], text: str) -> None:
    # ECMA's $ is the end of the text, Python's also stands before a last line break.
    pattern = rule["pattern"].removesuffix("$") + r"\Z"
    assert (re.search(pattern, text) is not None) is is_accepted(check, text)


@pytest.mark.parametrize(
    "text",
    ["2024-01-31", "2024-04-31", "2024-02-30", "2023-02-29", "2000-02-29", "2100-02-29",
     "1969-12-31", "1970-01-01", "2200-12-31", "2201-01-01",
     "2024-13-01", "2024-00-10", "2024-01-10T24:00", "2024-01-10T23:59", "2024-01-10 23:59:59.5Z", "2024-01-10T10",
     "2024-01-10T10:00+0900", "2024-01-10T10:00+09:60", "20240110", "2024-W02-3", "2024-01-10T10:60"],
)  # fmt: skip
def test_date_pattern_allows_what_the_check_allows(text: str) -> None:
    is_allowed = is_accepted(lambda date: parse_instant(date, field="date"), text)
    is_matched = re.search(values.DATE["pattern"], text) is not None
    assert is_matched is is_allowed


@pytest.mark.parametrize("year", range(1970, 2201))
def test_date_pattern_knows_leap_years(year: int) -> None:
    assert (re.search(values.DATE["pattern"], f"{year}-02-29") is not None) is isleap(year)


def test_every_operation_declares_what_is_refused_before_it() -> None:
    for method, path, operation in operations():
        expected = {"421", "431"} | ({"403"} if method in {"post", "delete"} else set())
        assert expected <= set(operation["responses"]), f"{method} {path}"


def test_maxima_of_settings_are_written() -> None:
    described = create_app(Settings(_env_file=None, max_bars=777, max_rows_per_answer=333)).openapi()
    paths, schemas = described["paths"], described["components"]["schemas"]
    rows = paths["/api/backtests/{result_id}/fills"]["get"]["parameters"]
    assert [item["schema"]["maximum"] for item in rows if item["name"] == "first"] == [333]
    bars = paths["/api/data/quality"]["get"]["parameters"]
    assert [item["schema"]["maximum"] for item in bars if item["name"] == "limit"] == [777]
    assert [schemas[name]["properties"]["limit"]["maximum"] for name in ("BacktestRequest", "FetchInput")] == [777, 777]


def test_form_fields_are_never_null() -> None:
    forms = [form for _, path, operation in operations() if path != "/graphql" and (form := form_of(operation))]
    assert len(forms) == 3
    for form in forms:
        assert [name for name, field in form["properties"].items() if "null" in str(field)] == []
        assert form["additionalProperties"] is False


VERBS = (
    "cancel", "check", "delete", "describe", "estimate", "follow", "get", "list", "query", "rerun", "resume", "run",
    "start", "upload",
)  # fmt: skip


def test_operation_ids_are_short_unique_verbs() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if not re.fullmatch(rf"({'|'.join(VERBS)})[A-Z][a-zA-Z]{{1,20}}", name)] == []


def test_operation_ids_of_released_endpoints_stay() -> None:
    ids = {(method, path): operation["operationId"] for method, path, operation in operations()}
    assert {
        ("post", "/api/backtests"): "runBacktest",
        ("post", "/api/models/backtest/ml"): "runModelBacktest",
        ("get", "/api/backtests"): "listBacktests",
        ("get", "/api/backtests/{result_id}"): "getBacktest",
        ("get", "/api/backtests/{result_id}/series"): "getSeries",
        ("get", "/api/data/ohlcv"): "getOhlcv",
        ("get", "/api/data/features"): "getFeatures",
        ("post", "/api/models/upload"): "uploadModel",
        ("post", "/graphql"): "runGraphql",
    }.items() <= ids.items()


def nodes(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object below a node, with its place."""
    if isinstance(node, dict):
        yield place, node
        for name, item in node.items():
            yield from nodes(item, f"{place}/{name}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from nodes(item, f"{place}/{index}")


def test_enums_have_values_that_client_generators_read() -> None:
    # openapi-python-client leaves out an operation whose body has an enum of null and booleans, and names a member
    # after its value in upper case unless x-enum-varnames does.
    enums = {name: schema for name, schema in document()["components"]["schemas"].items() if "enum" in schema}
    assert len(enums) > 15
    for name, schema in enums.items():
        members = schema.get("x-enum-varnames") or [value.upper() for value in schema["enum"]]
        assert len(set(members)) == len(schema["enum"]), name
        assert all(member.isidentifier() and member.isupper() for member in members), name


def test_objects_and_enums_are_named_components() -> None:
    # The rules about several fields stand beside the reference to a body, and generators do not read them.
    inline = [
        place
        for place, node in nodes({name: document()[name] for name in ("paths", "components")})
        if ("enum" in node or isinstance(node.get("properties"), dict))
        and not re.fullmatch("/components/schemas/[^/]+", place)
        and "/schema/allOf/" not in place
    ]
    assert inline == []


def test_component_names_are_plain_words() -> None:
    names = set(document()["components"]["schemas"])
    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z]+", name)] == []
    assert [name for name in names if re.search("Envelope|Union|Schema|Body|_", name)] == []
    assert {
        "BacktestRequest", "BacktestResult", "BacktestResultResponse", "BacktestPage", "ModelBacktestForm",
        "ModelFile", "StrategyChoice", "BarInterval", "Metrics", "Verdict", "Trade", "Problem",
    } <= names  # fmt: skip


def test_summaries_are_short_sentences() -> None:
    for method, path, operation in operations():
        summary = operation["summary"]
        assert re.fullmatch(r"[A-Z][^.]{4,50}", summary), f"{method} {path}"
        assert summary.lower().replace(" ", "") != operation["operationId"].lower(), f"{method} {path}"


def test_titles_do_not_compete_with_names() -> None:
    described = {name: document()[name] for name in ("paths", "components")}
    assert [place for place, node in nodes(described) if isinstance(node.get("title"), str)] == []
