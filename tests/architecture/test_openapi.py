"""The OpenAPI document tells the truth: what is sent, what is answered, what may go wrong, each with its words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from src.api.errors import EDGE_TABLE
from src.api.paths import FORM_PATHS
from src.backtest_API import create_app
from src.domain.errors import ServiceError
from src.settings import Settings
from tests.architecture.test_floors import SOURCES, SRC


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


def codes_of(operation: dict[str, Any]) -> set[str]:
    """Return the codes of the errors that an operation declares."""
    words = " ".join(response["description"] for response in operation["responses"].values())
    return set(re.findall(r"\(([A-Z_]+)\)", words))


def error_classes(kind: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from error_classes(below)


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
            assert not {"408", "413", "415"} & set(operation["responses"]), f"{method} {path}"


def test_whoever_reads_a_store_may_find_it_gone() -> None:
    # The others read nothing that may be away: this process's own state, or the store's own answer (/ready).
    stateless = {"/health", "/ready", "/metrics", "/api/data/downloads"}
    for method, path, operation in operations():
        if path not in stateless and (method, path) != ("get", "/graphql"):
            assert "STORE_UNAVAILABLE" in codes_of(operation), f"{method} {path}"


def test_every_declared_code_is_one_that_something_raises() -> None:
    declared = set[str]().union(*(codes_of(operation) for _, _, operation in operations()))
    sources = "\n".join(path.read_text() for path in SOURCES if path != SRC / "domain" / "errors.py")
    raised = {kind.code for kind in error_classes() if re.search(rf"\b{kind.__name__}\(", sources)}
    assert declared <= raised | set(EDGE_TABLE)


@pytest.mark.parametrize("kind", [kind for kind in error_classes() if not kind.__subclasses__()])
def test_every_error_of_the_tree_is_raised_by_something(kind: type[ServiceError]) -> None:
    sources = (path.read_text() for path in SOURCES if path != SRC / "domain" / "errors.py")
    assert any(re.search(rf"\b{kind.__name__}\(", source) for source in sources)
