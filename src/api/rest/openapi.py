"""Complete the OpenAPI document: add what FastAPI cannot know, and the names for generated clients.

Every object and every closed list of values is a component with a name of its own, because generators name inline
schemas after their place. Titles are left out, because FastAPI makes them from field names and generators prefer them
to names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from src.api.components import COMPONENT, REFERENCE, public_name
from src.api.error_table import HTTP_ERROR_TABLE
from src.api.rest import values
from src.api.rest.openapi_access import describe_access, describe_limits
from src.api.rest.schemas import Problem, complete_body, error_response
from src.domain.identity import AuthMode

Schemas = dict[str, Any]

_DEFINITION: Final = "#/$defs/"
_BESIDE_REFERENCES: Final = ("default", "description", "examples", "allOf")
"""Keywords that stay beside the reference to a component, because they concern only that place."""


def complete_openapi(
    document: dict[str, Any],
    *,
    max_bars: int,
    max_rows: int,
    mode: AuthMode = AuthMode.NONE,
    is_limited: bool = False,
) -> dict[str, Any]:
    """Add problem documents, errors raised before an endpoint runs, and maxima; give every schema its name."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas[Problem.__name__] = Problem.model_json_schema()
    for path in document["paths"].values():
        for method, operation in path.items():
            complete_body(operation)
            _add_early_errors(method, operation)
    for name in list(schemas):
        schemas[name] = _lift(schemas[name], schemas)
    document["paths"] = _lift(document["paths"], schemas)
    _rename(document)
    maxima = {"MAX_BARS": max_bars, "MAX_ROWS_PER_ANSWER": max_rows}
    for part, name in ((document, "paths"), (document["components"], "schemas")):
        part[name] = values.with_maxima(_without_titles(part[name]), maxima)
    if mode is not AuthMode.NONE:
        describe_access(document, mode)
    if is_limited:
        describe_limits(document)
    return document


def _add_early_errors(method: str, operation: dict[str, Any]) -> None:
    codes = ["HOST_NOT_ALLOWED", "HEAD_TOO_LARGE"]
    if method not in {"get", "head", "options"}:
        codes.append("ORIGIN_NOT_ALLOWED")
    for code in codes:
        row = HTTP_ERROR_TABLE[code]
        operation["responses"][str(row.status)] = error_response(f"{row.title} ({code}).")
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _lift(node: Any, schemas: Schemas) -> Any:
    """Return a node with references in place of the components in it, which are added to the schemas."""
    if isinstance(node, list):
        return [_lift(item, schemas) for item in node]
    if not isinstance(node, dict):
        return node
    if COMPONENT in node:
        found = node[COMPONENT]
        _add(found["name"], _lift(found["schema"], schemas), schemas)
        own = found["schema"]
        beside = {name: node[name] for name in _BESIDE_REFERENCES if name in node and node[name] != own.get(name)}
        return {"$ref": f"{REFERENCE}{found['name']}", **_lift(beside, schemas)}
    for name, schema in node.get("$defs", {}).items():
        _add(name, _lift(schema, schemas), schemas)
    lifted = {name: _lift(item, schemas) for name, item in node.items() if name != "$defs"}
    if isinstance(lifted.get("$ref"), str):
        lifted["$ref"] = lifted["$ref"].replace(_DEFINITION, REFERENCE)
    return lifted


def _add(name: str, schema: Schemas, schemas: Schemas) -> None:
    if schemas.setdefault(name, schema) != schema:
        raise ValueError(f"two schemas have the name {name}")


def _rename(document: dict[str, Any]) -> None:
    """Give the components their public names; raises ValueError if two have the same one."""
    schemas = document["components"]["schemas"]
    # FastAPI's names of generic models are made of all their parts; the titles are the names of the classes.
    names = {name: public_name(schema.get("title", name)) for name, schema in schemas.items()}
    if len(set(names.values())) < len(names):
        raise ValueError(f"two schemas have the same name: {sorted(names.values())}")
    renamed = {names[name]: _with_references(schema, names) for name, schema in schemas.items()}
    document["components"]["schemas"] = dict(sorted(renamed.items()))
    document["paths"] = _with_references(document["paths"], names)


def _with_references(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_with_references(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: f"{REFERENCE}{names[item.removeprefix(REFERENCE)]}"
        if name == "$ref" and isinstance(item, str)
        else _with_references(item, names)
        for name, item in node.items()
    }


def _without_titles(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    # A property may be named title: its value is a schema, and no text.
    return {name: _without_titles(item) for name, item in node.items() if name != "title" or not isinstance(item, str)}
