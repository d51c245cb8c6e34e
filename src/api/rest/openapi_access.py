"""Describe in the OpenAPI document who may call what, if the sender of each request is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from src.api.components import REFERENCE
from src.api.error_table import ERROR_TABLE
from src.api.http.authentication import METRICS_PATH, OPEN_PATHS, OPEN_PREFIXES, SESSION_PATH
from src.api.rest.schemas import error_response
from src.domain.errors import Forbidden, RateLimited, ServiceError, Unauthenticated
from src.domain.identity import AuthMode

USER_ID: Final = "user_id"

_BEARER: Final = {"type": "http", "scheme": "bearer"}
SCHEMES: Final[Mapping[AuthMode, Mapping[str, Mapping[str, str]]]] = {
    AuthMode.KEYS: {"apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}, "bearerKey": _BEARER},
    AuthMode.JWT: {"bearerToken": {**_BEARER, "bearerFormat": "JWT"}},
    # The gateway signs users in: what it asks for is not known here.
    AuthMode.HEADER: {},
}


def describe_access(document: dict[str, Any], mode: AuthMode) -> None:
    """Add the ways to authenticate and their errors, and let requests leave the user's id out."""
    schemes = SCHEMES[mode]
    if schemes:
        document["components"]["securitySchemes"] = {name: dict(scheme) for name, scheme in schemes.items()}
    for path, operations in document["paths"].items():
        if is_open(path):
            continue
        for operation in operations.values():
            if schemes:
                operation["security"] = [{name: []} for name in schemes]
            _add_errors(operation)
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == USER_ID and parameter["in"] == "query":
                    parameter["required"] = False
    for schema in _request_schemas(document):
        required = schema.get("required", [])
        if USER_ID in required:
            schema["required"] = [name for name in required if name != USER_ID]


def describe_limits(document: dict[str, Any]) -> None:
    """Add the error of a sender who exceeds a limit per time."""
    for path, operations in document["paths"].items():
        if not is_open(path) or path == SESSION_PATH:
            for operation in operations.values():
                _add_error(operation, RateLimited)


def is_open(path: str) -> bool:
    """Return whether a path of the document is served to everybody."""
    return path in OPEN_PATHS or path == METRICS_PATH or path.startswith(OPEN_PREFIXES)


def _add_errors(operation: dict[str, Any]) -> None:
    for kind in (Unauthenticated, Forbidden):
        _add_error(operation, kind)


def _add_error(operation: dict[str, Any], kind: type[ServiceError]) -> None:
    row = ERROR_TABLE[kind]
    known = operation["responses"].get(str(row.status))
    told = f"{row.title} ({kind.code})."
    operation["responses"][str(row.status)] = error_response(
        told if known is None else f"{known['description']} {told}"
    )
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _request_schemas(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every object schema that a request's body reaches, once."""
    schemas = document["components"]["schemas"]
    waiting: list[Any] = [
        operation["requestBody"]
        for operations in document["paths"].values()
        for operation in operations.values()
        if "requestBody" in operation
    ]
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if "properties" in node:
                yield node
            name = node.get("$ref")
            if isinstance(name, str) and name not in seen:
                seen.add(name)
                waiting.append(schemas[name.removeprefix(REFERENCE)])
            waiting += list(node.values())
