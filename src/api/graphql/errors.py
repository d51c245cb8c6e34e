"""Give GraphQL errors the codes that REST has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.schema.exceptions import InvalidOperationTypeError

from src.api.error_table import LIMIT_EXCEEDED, PARSE_FAILED, VALIDATION_FAILED
from src.api.errors import describe_error, extensions_of, extensions_of_code, graphql_message
from src.api.graphql.limits import LimitExceeded
from src.domain.errors import InvalidInput, MalformedRequest
from src.observing.activity import note_error

MAX_MESSAGE_LENGTH: Final = 500


def explain(error: GraphQLError, *, is_executed: bool) -> None:
    """Give an error its code in place, and hide the text of an unexpected one.

    Parameters
    ----------
    is_executed
        Whether the document was valid, so that a value is wrong and not the document.
    """
    cause = _cause(error)
    if isinstance(cause, InvalidOperationTypeError):
        cause = MalformedRequest("A WebSocket serves subscriptions only. Send queries and mutations over HTTP.")
    if cause is not None:
        described = describe_error(cause)
        note_error(described.code)
        error.message = graphql_message(described)
        error.extensions = {**(error.extensions or {}), **extensions_of(described)}
        return
    if len(error.message) > MAX_MESSAGE_LENGTH:
        # GraphQL quotes the value at fault, which may be as long as the request.
        error.message = error.message[:MAX_MESSAGE_LENGTH] + "…"
    if isinstance(error, GraphQLSyntaxError):
        code = PARSE_FAILED
    elif isinstance(error, LimitExceeded):
        code = LIMIT_EXCEEDED
    else:
        code = InvalidInput.code if is_executed else VALIDATION_FAILED
    note_error(code)
    error.extensions = {**(error.extensions or {}), **extensions_of_code(code)}


def drop_tracebacks(error: GraphQLError) -> None:
    """Free the objects in the frames that an error passed through: a whole result may be among them.

    The error and the frames refer to each other, so that otherwise only a full collection frees them, which is rare.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = None
        waiting += [current.__cause__, current.__context__]
        if isinstance(current, GraphQLError):
            waiting.append(current.original_error)


def is_request_error(data: object, errors: Sequence[GraphQLError] | None) -> bool:
    """Return whether nothing was executed: the response then has no `data` (GraphQL specification, 7.1.1)."""
    return data is None and bool(errors) and all(error.path is None for error in errors or ())


def _cause(error: GraphQLError) -> Exception | None:
    """Return the exception that caused an error; None if GraphQL itself raised the error."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause
