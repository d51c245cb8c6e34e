"""The OpenAPI document of a service that knows who asks: ways to authenticate, errors, and users left out."""

from __future__ import annotations

from typing import Any

import pytest

from src.api.rest.openapi import complete_openapi
from src.domain.identity import AuthMode
from src.identity.gateway import HeaderAuthenticator
from tests.rest_app import make_rest_app


def document(mode: AuthMode) -> dict[str, Any]:
    app = make_rest_app(authenticator=HeaderAuthenticator("X-User"))
    app.state.authenticator = type("Authenticator", (), {"mode": mode})()
    found: dict[str, Any] = app.openapi()
    return found


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return document(AuthMode.KEYS)


@pytest.fixture(scope="module")
def unknown() -> dict[str, Any]:
    return document(AuthMode.NONE)


def user_parameter(found: dict[str, Any]) -> dict[str, Any]:
    parameters = found["paths"]["/api/backtests"]["get"]["parameters"]
    parameter: dict[str, Any] = next(item for item in parameters if item["name"] == "user_id")
    return parameter


def test_document_without_identities_requires_users(unknown: dict[str, Any]) -> None:
    assert "securitySchemes" not in unknown["components"]
    assert user_parameter(unknown)["required"] is True
    assert "user_id" in unknown["components"]["schemas"]["StartSweepRequest"].get("required", []) or (
        "user_id" in unknown["components"]["schemas"]["BacktestChoice"]["required"]
    )
    assert "401" not in unknown["paths"]["/api/backtests"]["get"]["responses"]


def test_requests_of_known_callers_may_leave_users_out(known: dict[str, Any], unknown: dict[str, Any]) -> None:
    assert user_parameter(known)["required"] is False
    schemas, before = known["components"]["schemas"], unknown["components"]["schemas"]
    changed = {name for name in schemas if schemas[name].get("required") != before[name].get("required")}
    assert {"BacktestChoice", "ModelBacktestRequest"} <= changed
    # What is returned always names its user.
    assert [name for name in changed if name.endswith(("Schema", "Response"))] == []


def test_every_protected_operation_names_its_ways(known: dict[str, Any]) -> None:
    schemes = known["components"]["securitySchemes"]
    assert schemes["apiKey"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    assert schemes["bearerKey"] == {"type": "http", "scheme": "bearer"}
    open_paths = {"/health", "/ready", "/metrics", "/errors/{code}", "/api/session"}
    open_paths.add("/.well-known/backtesting-receipt-keys.json")
    for path, operations in known["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) == (path not in open_paths), path
            if path not in open_paths:
                assert {"401", "403"} <= operation["responses"].keys()
                assert "UNAUTHENTICATED" in operation["responses"]["401"]["description"]
                assert "FORBIDDEN" in operation["responses"]["403"]["description"]
    post = known["paths"]["/api/backtests"]["post"]["responses"]["403"]["description"]
    assert "ORIGIN_NOT_ALLOWED" in post


@pytest.mark.parametrize(("mode", "schemes"), [(AuthMode.JWT, {"bearerToken"}), (AuthMode.HEADER, None)])
def test_each_way_describes_itself(mode: AuthMode, schemes: set[str] | None) -> None:
    found = document(mode)["components"].get("securitySchemes")
    assert (found if found is None else set(found)) == schemes


def test_completion_without_a_mode_changes_nothing(unknown: dict[str, Any]) -> None:
    bare: dict[str, Any] = {"openapi": "3.1.0", "info": {}, "paths": {}}
    assert "securitySchemes" not in complete_openapi(bare, max_bars=1, max_rows=1)["components"]
    assert unknown["components"]["schemas"]
