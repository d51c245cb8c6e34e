"""From error to HTTP answer by the one table, for REST and GraphQL alike."""

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

from src.api.error_table import EDGE_TABLE, ERROR_HELP, ERROR_TABLE, UNFORESEEN_CODE, code_of_status, help_path
from src.api.observation import request_line
from src.api.paths import GRAPHQL_PATH, path_in
from src.api.spelling import as_written, camel_case, rest_name
from src.domain import errors
from src.domain.error_text import Template, Text, Written

logger = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
_SHOWN_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """What a client is told about an error; each API writes `text` with its own names of fields.

    `code` is stable and upper-snake; `field` the public name of the value at fault; `retry_after_s` in seconds.
    """

    status: int
    code: str
    title: str
    text: Text
    field: str | None = None
    retry_after_s: float | None = None

    @property
    def message(self) -> str:
        """The sentence with the fields' declared names, for logs."""
        return str(self.text)


def describe_error(error: BaseException) -> ErrorAnswer:
    """Return the answer for an error; one that nobody foresaw is logged with an id, and the client gets the id only."""
    if isinstance(error, errors.ServiceError):
        row = next(ERROR_TABLE[kind] for kind in type(error).__mro__ if kind in ERROR_TABLE)
        if error.__cause__ is not None and row.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # Clients are not told what stands behind it; whoever runs the service has to know.
            logger.warning("%s: %s (%s)", error.code, error.message, _in_one_line(error.__cause__))
        return ErrorAnswer(
            status=row.status,
            code=error.code,
            title=row.title,
            text=error.text,
            field=error.field if isinstance(error, errors.InvalidInput) else None,
            retry_after_s=error.retry_after_s,
        )
    error_id = uuid.uuid4().hex
    logger.error("unforeseen error %s", error_id, exc_info=error)
    return edge_answer(
        UNFORESEEN_CODE, "Something went wrong on our side. If you report it, quote the id {id}.", id=error_id
    )


def edge_answer(code: str, text: str | Text, *, retry_after_s: float | None = None, **parts: object) -> ErrorAnswer:
    """Return the answer with a code of `EDGE_TABLE`; `text` is a template for `parts`, or is made already."""
    row = EDGE_TABLE[code]
    text = text if isinstance(text, Text) else Template(text, parts)
    return ErrorAnswer(status=row.status, code=code, title=row.title, text=text, retry_after_s=retry_after_s)


def graphql_message(answer: ErrorAnswer) -> str:
    """Return an answer's sentence with GraphQL's names of fields."""
    return answer.text.render(camel_case)


def problem_response(request: Request | None, answer: ErrorAnswer, *, root_path: str = "") -> Response:
    """Write an answer as a problem document (RFC 9457) with the service's own members beside the standard ones.

    `type` is the path of the page that says how to fix it. Without a request, `root_path` is the proxy's prefix.

    Fields have REST's names, in snake_case. At GraphQL's path they keep their own, and `errors` says the same as
    GraphQL says it, for its clients look nowhere else. `request` None leaves `instance` out.
    """
    is_graphql = request is not None and path_in(request.scope) == GRAPHQL_PATH
    # A client may send text that is not Unicode (lone surrogates); it comes back with replacement marks.
    message = _encodable(graphql_message(answer) if is_graphql else answer.text.render(rest_name))
    if answer.field is not None:
        answer = replace(answer, field=_encodable(answer.field if is_graphql else rest_name(answer.field)))
    prefix = root_path if request is None else request.scope.get("root_path", "")
    document: dict[str, object] = {
        "type": prefix + help_path(answer.code),
        "title": answer.title,
        "status": answer.status,
        "detail": message,
        "success": False,
        "message": message,
        "code": answer.code,
    }
    if request is not None:
        document["instance"] = _encodable(request.scope["path"])  # `request.url` fails on some Host fields
    if answer.field is not None:
        document["field"] = answer.field
    if is_graphql:
        document |= request_error(message, extensions_of(answer))
    headers = {}
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(max(0, math.ceil(answer.retry_after_s)))
    return Response(orjson.dumps(document), status_code=answer.status, media_type=PROBLEM_MEDIA_TYPE, headers=headers)


def extensions_of(answer: ErrorAnswer) -> dict[str, Any]:
    """Return the `extensions` of a GraphQL error that is answered so."""
    extensions: dict[str, Any] = {"code": answer.code}
    if answer.field is not None:
        extensions["field"] = answer.field
    if answer.retry_after_s is not None:
        extensions["retryAfterS"] = answer.retry_after_s
    return extensions


def request_error(message: str, extensions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole answer to a request that could not even be read as GraphQL."""
    return {"errors": [{"message": message, "extensions": dict(extensions)}]}


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of the application as a problem document."""

    async def on_service_error(request: Request, error: Exception) -> Response:
        return problem_response(request, describe_error(error))

    async def on_invalid_request(request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else ()
        return problem_response(request, describe_error(explain_validation(found)))

    async def on_http_error(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return problem_response(request, describe_error(error))
        response = problem_response(request, _answer_http(error))
        response.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # A router tells the methods of the first route of that path; there may be one for each method.
            response.headers["Allow"] = ", ".join(_methods_at(request))
        return response

    app.add_exception_handler(errors.ServiceError, on_service_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_middleware(UnforeseenErrors)


class UnforeseenErrors:
    """Answer what no handler knows with 500 and an id.

    Starlette's own handler for `Exception` raises the error again after answering, so that the server would log it a
    second time, without the id.
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
            logger.info("client left during %s", request_line(scope))
        except Exception as error:
            answer = describe_error(error)
            if has_started:
                raise  # too late for an answer: the server must break the connection
            await problem_response(Request(scope), answer)(scope, receive, send)


def explain_validation(
    found: Sequence[Any], *, allowed: Sequence[str] = (), sent: Mapping[str, object] | None = None
) -> errors.InvalidInput:
    """Turn pydantic's list of findings into one error that names the first field, what came and what is allowed.

    Parameters
    ----------
    found
        As `ValidationError.errors()` gives it.
    allowed
        The known fields, listed where an unknown one was sent.
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
}
"""What is allowed, by the first word of pydantic's type of finding (`int_parsing`, `int_from_float`) or all of it."""


def _allowed_by(finding: Any) -> str:
    """Say what would have been right, in words that do not depend on how it is checked."""
    kind = finding["type"]
    allowed = _ALLOWED.get(kind) or _ALLOWED.get(kind.partition("_")[0])
    if allowed is not None:
        return allowed.format(**finding.get("ctx", {}))
    # pydantic's own words: "Input should be 'a' or 'b'", "String should match pattern ..."
    return str(finding["msg"]).removeprefix("Value error, ").removeprefix("Input should be ").rstrip(".")


def _answer_http(error: HTTPException) -> ErrorAnswer:
    code = code_of_status(error.status_code)
    title = ERROR_HELP[code].meanings[0]
    return ErrorAnswer(status=error.status_code, code=code, title=title, text=Written(str(error.detail)))


def _methods_at(request: Request) -> list[HTTPMethod]:
    return [
        method
        for method in HTTPMethod
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
