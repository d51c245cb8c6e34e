"""Turn errors into HTTP responses by `error_table`, for both APIs."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPMethod, HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.error_table import ERROR_HELP, ERROR_TABLE, HTTP_ERROR_TABLE, UNEXPECTED_CODE, code_of_status, help_path
from src.api.observation import request_line
from src.api.paths import GRAPHQL_PATH, path_in
from src.api.spelling import as_written, camel_case, rest_name
from src.domain import errors
from src.domain.error_text import Template, Text, Written
from src.observing.activity import note_error

logger = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
_SHOWN_CHARACTERS: Final = 500
_UNEXPECTED: Final = "unexpected error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """What a client receives about an error; each API writes `text` with its own field names.

    `code` is stable and upper-snake; `hint` says what to do about it; `field` is the public name of the value at fault;
    `place` is line and column in its text, both from 1; `retry_after_s` is in seconds.
    """

    status: int
    code: str
    title: str
    hint: str
    text: Text
    field: str | None = None
    place: tuple[int, int] | None = None
    retry_after_s: float | None = None

    @property
    def message(self) -> str:
        """The sentence with the fields' declared names, for logs."""
        return str(self.text)


def describe_error(error: BaseException) -> ErrorResponse:
    """Return the response to an error; an unexpected one is logged with an id, and the client receives only the id."""
    if isinstance(error, errors.ServiceError):
        row = next(ERROR_TABLE[kind] for kind in type(error).__mro__ if kind in ERROR_TABLE)
        if error.__cause__ is not None and row.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # Only the log has the cause: clients do not see it, operators need it.
            logger.warning("%s: %s (%s)", error.code, error.message, _in_one_line(error.__cause__))
        return ErrorResponse(
            status=row.status,
            code=error.code,
            title=row.title,
            hint=row.fix,
            text=error.text,
            field=error.field if isinstance(error, errors.InvalidInput | errors.Forbidden) else None,
            place=(error.line, error.column) if isinstance(error, errors.InvalidRule) else None,
            retry_after_s=error.retry_after_s,
        )
    error_id = uuid.uuid4().hex
    note_error(UNEXPECTED_CODE, error_id=error_id)
    fields = {"error_id": error_id, "code": UNEXPECTED_CODE}
    logger.error("unexpected error: id=%s", error_id, exc_info=error, extra={"event": _UNEXPECTED, "fields": fields})
    return describe_http_error(
        UNEXPECTED_CODE, "Something went wrong on our side. If you report it, quote the id {id}.", id=error_id
    )


def describe_http_error(
    code: str, text: str | Text, *, retry_after_s: float | None = None, **parts: object
) -> ErrorResponse:
    """Return the response with a code of `HTTP_ERROR_TABLE`; `text` is a template for `parts`, or already built."""
    row = HTTP_ERROR_TABLE[code]
    text = text if isinstance(text, Text) else Template(text, parts)
    return ErrorResponse(
        status=row.status, code=code, title=row.title, hint=row.fix, text=text, retry_after_s=retry_after_s
    )


def graphql_message(failure: ErrorResponse) -> str:
    """Return an error's sentence with GraphQL's field names."""
    return failure.text.render(camel_case)


def problem_response(request: Request | None, failure: ErrorResponse, *, root_path: str = "") -> Response:
    """Build the problem document (RFC 9457) of an error, with the service's own members beside the standard ones.

    `type` is the path of the page that says how to fix it. `request` None leaves `instance` out; `root_path` is then
    the proxy's prefix.

    Field names are REST's, in snake_case. At GraphQL's path they are GraphQL's, and `errors` repeats the error as
    GraphQL writes it, because GraphQL clients read only that.
    """
    note_error(failure.code)
    is_graphql = request is not None and path_in(request.scope) == GRAPHQL_PATH
    # A client may send text that is not Unicode (lone surrogates); they are replaced by "?".
    message = _encodable(graphql_message(failure) if is_graphql else failure.text.render(rest_name))
    if failure.field is not None:
        failure = replace(failure, field=_encodable(failure.field if is_graphql else rest_name(failure.field)))
    prefix = root_path if request is None else request.scope.get("root_path", "")
    document: dict[str, object] = {
        "type": prefix + help_path(failure.code),
        "title": failure.title,
        "status": failure.status,
        "detail": message,
        "success": False,
        "message": message,
        "code": failure.code,
        "hint": failure.hint,
    }
    if request is not None:
        document["instance"] = _encodable(request.scope["path"])  # `request.url` fails on some Host fields
    if failure.field is not None:
        document["field"] = failure.field
    document |= _place_members(failure)
    if is_graphql:
        document |= request_error(message, extensions_of(failure))
    return Response(
        orjson.dumps(document),
        status_code=failure.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=retry_header(failure),
    )


def retry_header(failure: ErrorResponse) -> dict[str, str]:
    """Return the header with the whole seconds to wait before trying again; empty if that is unknown."""
    return {} if failure.retry_after_s is None else {"Retry-After": str(max(0, math.ceil(failure.retry_after_s)))}


def _place_members(failure: ErrorResponse) -> dict[str, int]:
    return {} if failure.place is None else dict(zip(("line", "column"), failure.place, strict=True))


def extensions_of(failure: ErrorResponse) -> dict[str, Any]:
    """Return the `extensions` of a GraphQL error."""
    extensions: dict[str, Any] = {"code": failure.code, "hint": failure.hint, **_place_members(failure)}
    if failure.field is not None:
        extensions["field"] = failure.field
    if failure.retry_after_s is not None:
        extensions["retryAfterS"] = failure.retry_after_s
    return extensions


def extensions_of_code(code: str) -> dict[str, Any]:
    """Return the `extensions` of a GraphQL error of which only the code is known."""
    return {"code": code, "hint": ERROR_HELP[code].fixes[0]}


def request_error(message: str, extensions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole response to a request that cannot be read as GraphQL."""
    note_error(extensions["code"])
    return {"errors": [{"message": message, "extensions": dict(extensions)}]}


def install_error_handlers(app: FastAPI) -> None:
    """Respond to every error of the application with a problem document."""

    async def on_service_error(request: Request, error: Exception) -> Response:
        return problem_response(request, describe_error(error))

    async def on_invalid_request(request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else ()
        return problem_response(request, describe_error(explain_validation(found)))

    async def on_http_error(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return problem_response(request, describe_error(error))
        response = problem_response(request, _describe_framework_error(error))
        response.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # A router lists the methods of the first route of that path only; there may be a route per method.
            response.headers["Allow"] = ", ".join(_methods_at(request))
        return response

    app.add_exception_handler(errors.ServiceError, on_service_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_middleware(UnexpectedErrors)


class UnexpectedErrors:
    """Respond to errors that no handler knows with 500 and an id.

    Starlette's own handler for `Exception` raises the error again after it responds, and the server logs it a second
    time, without the id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def watch(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            logger.info("client disconnected: request=%s", request_line(scope))
        except Exception as error:
            failure = describe_error(error)
            if has_started:
                raise  # too late for a response: the server must break the connection
            await problem_response(Request(scope), failure)(scope, receive, send)


def explain_validation(
    found: Sequence[Any], *, allowed: Sequence[str] = (), sent: Mapping[str, object] | None = None
) -> errors.InvalidInput:
    """Turn pydantic's list of findings into one error that names the first field, what was sent and what is allowed.

    Parameters
    ----------
    found
        As `ValidationError.errors()` returns it.
    allowed
        The known fields, listed if the client sent an unknown one.
    sent
        The fields as the client spelled them.
    """
    if not found:
        return errors.InvalidInput("The request is not valid.")
    first = found[0]
    place = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
    field = ".".join(place) or None
    if first["type"] == "json_invalid":
        return errors.MalformedRequest("The body is not JSON.")
    if first["type"] == "missing":
        return errors.InvalidInput("The body is required.") if field is None else errors.missing(field)
    if field is None:
        return errors.InvalidInput(
            "The body is {got!r}. Allowed: {allowed}.", got=first.get("input"), allowed=_allowed_by(first)
        )
    if first["type"] == "extra_forbidden":
        return errors.unknown_field(field, known=allowed, got=as_written(place, sent))
    return errors.bad_value(field, got=first.get("input"), allowed=_allowed_by(first))


def _in_one_line(cause: BaseException) -> str:
    return f"{type(cause).__name__}: {ascii(str(cause))[1:-1]}"[:_SHOWN_CHARACTERS]


_ALLOWED: Final[Mapping[str, str]] = {
    "int": "a whole number",
    "int_parsing_size": "a whole number of far fewer digits",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "dict": "an object",
    "model": "an object",
    "greater_than_equal": "a number ≥ {ge}",
    "greater_than": "a number > {gt}",
    "less_than_equal": "a number ≤ {le}",
    "less_than": "a number < {lt}",
    "too_short": "a list of at least {min_length} items",
    "too_long": "a list of at most {max_length} items",
}
"""What is allowed, by pydantic's type of finding (`int_parsing`, `int_from_float`) or by its first word."""


def _allowed_by(finding: Any) -> str:
    """Return what would have been allowed, in words that do not depend on how it is checked."""
    kind = finding["type"]
    allowed = _ALLOWED.get(kind) or _ALLOWED.get(kind.partition("_")[0])
    if allowed is not None:
        return allowed.format(**finding.get("ctx", {}))
    # pydantic's own words: "Input should be 'a' or 'b'", "String should match pattern ..."
    return str(finding["msg"]).removeprefix("Value error, ").removeprefix("Input should be ").rstrip(".")


def _describe_framework_error(error: HTTPException) -> ErrorResponse:
    code = code_of_status(error.status_code)
    help_ = ERROR_HELP[code]
    return ErrorResponse(
        status=error.status_code,
        code=code,
        title=help_.meanings[0],
        hint=help_.fixes[0],
        text=Written(str(error.detail)),
    )


def _methods_at(request: Request) -> list[HTTPMethod]:
    return [
        method
        for method in HTTPMethod
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
