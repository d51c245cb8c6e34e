"""Describe the GraphQL endpoint in the OpenAPI document: its bodies, parameters and statuses."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import APIRoute

from src.api.components import GRAPHQL_ERROR, any_object, component
from src.api.error_table import ERROR_TABLE, HTTP_ERROR_TABLE
from src.api.errors import PROBLEM_MEDIA_TYPE
from src.api.graphql.multipart import MAX_FILES
from src.domain import errors

PLAIN_JSON: Final = "application/json"
GRAPHQL_JSON: Final = "application/graphql-response+json"

_QUERY: Final = {"type": "string", "minLength": 1, "description": "The document; names in camelCase or snake_case."}
_OPERATION_NAME: Final = {
    "type": ["string", "null"],
    "description": "Which operation of the document to run, if it has several.",
}
_VARIABLES: Final = {
    "anyOf": [any_object("GraphqlVariables", "Values of the document's variables."), {"type": "null"}],
    "description": "Values of the document's variables.",
}
_EXTENSIONS: Final = {
    "anyOf": [any_object("GraphqlExtensions", "An object of any fields."), {"type": "null"}],
    "description": "Accepted and ignored.",
}

_REQUEST: Final = component(
    "GraphqlRequest",
    {
        "type": "object",
        "description": "A GraphQL request.",
        "properties": {
            "query": _QUERY,
            "operationName": _OPERATION_NAME,
            "variables": _VARIABLES,
            "extensions": _EXTENSIONS,
        },
        "required": ["query"],
    },
)
_FORM: Final = component(
    "GraphqlUploadForm",
    {
        "type": "object",
        "description": "The GraphQL multipart request: one more part for each file, under the name that `map` gives "
        "it.",
        "properties": {
            "operations": _REQUEST | {"description": "The request, with null in place of each file."},
            "map": component(
                "GraphqlFileMap",
                {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": {"type": "string", "pattern": r"^variables\."}},
                    "description": "By the name of each file's part: the paths of its nulls in operations.",
                },
            )
            | {"description": "Which nulls in operations stand for which file."},
        },
        "required": ["operations", "map"],
        "maxProperties": 2 + MAX_FILES,
        "additionalProperties": {"type": "string", "format": "binary"},
    },
)
_JSON_PARTS: Final = {name: {"contentType": PLAIN_JSON} for name in ("operations", "map")}
_ERRORS: Final = {"type": "array", "items": GRAPHQL_ERROR, "description": "What went wrong; absent if nothing did."}
_DATA: Final = {
    "anyOf": [any_object("GraphqlData", "The requested fields."), {"type": "null"}],
    "description": "The requested fields; absent if nothing was executed.",
}
_ANSWER: Final = component(
    "GraphqlResponse",
    {
        "type": "object",
        "description": "The response to a document that was executed, or found to be wrong.",
        "properties": {"data": _DATA, "errors": _ERRORS},
    },
)
_REFUSAL: Final = component(
    "GraphqlRefusal",
    {
        "type": "object",
        "description": "The response to a request that cannot be read as GraphQL.",
        "properties": {"errors": _ERRORS},
        "required": ["errors"],
    },
)


def describe_routes(router: APIRouter) -> None:
    """Give FastAPI what it cannot read from the endpoint's functions."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            route.responses = {}
            route.openapi_extra = _post() if "POST" in (route.methods or ()) else _get()


def _post() -> dict[str, Any]:
    return {
        "operationId": "runGraphql",
        "summary": "Run a GraphQL document",
        "description": "Run a document of queries or mutations; files come as a multipart form.",
        "requestBody": {
            "required": True,
            "content": {
                PLAIN_JSON: {"schema": _REQUEST},
                "multipart/form-data": {"schema": _FORM, "encoding": _JSON_PARTS},
            },
        },
        "responses": {
            "200": _answered(),
            "400": _refused(ERROR_TABLE[errors.MalformedRequest].title, errors.MalformedRequest.code),
            "408": _problem(HTTP_ERROR_TABLE["REQUEST_TIMEOUT"].title, "REQUEST_TIMEOUT"),
            "415": _problem(ERROR_TABLE[errors.UnsupportedFormat].title, errors.UnsupportedFormat.code),
            "413": _problem(ERROR_TABLE[errors.TooLarge].title, errors.TooLarge.code),
            "503": _refused("The disk has no space to receive the upload", errors.StoreUnavailable.code),
        },
    }


def _get() -> dict[str, Any]:
    parameters = {
        "query": (_QUERY["description"], _QUERY, True),
        "operationName": (_OPERATION_NAME["description"], {"type": "string"}, False),
        "variables": ("Values of the document's variables, a JSON object.", {}, False),
        "extensions": ("A JSON object; accepted and ignored.", {}, False),
    }
    return {
        "operationId": "queryGraphql",
        "summary": "Run a GraphQL query",
        "description": "Run a query; a browser that sends none gets the GraphiQL page.",
        "parameters": [
            {"name": name, "in": "query", "required": is_required, "description": description}
            | ({"schema": schema} if schema else {"content": {PLAIN_JSON: {"schema": _VARIABLES}}})
            for name, (description, schema, is_required) in parameters.items()
        ],
        "responses": {
            "200": _answered() | {"content": _content(_ANSWER) | {"text/html": {"schema": {"type": "string"}}}},
            "400": _refused(ERROR_TABLE[errors.MalformedRequest].title, errors.MalformedRequest.code),
            "405": _refused("A mutation; use POST", "METHOD_NOT_ALLOWED"),
        },
    }


def _answered() -> dict[str, Any]:
    return {"description": "The response; errors in the document are in errors.", "content": _content(_ANSWER)}


def _refused(words: str, code: str) -> dict[str, Any]:
    return {"description": f"{words} ({code}).", "content": _content(_REFUSAL)}


def _problem(words: str, code: str) -> dict[str, Any]:
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": f"{words} ({code}).", "content": content}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {media_type: {"schema": schema} for media_type in (PLAIN_JSON, GRAPHQL_JSON)}
