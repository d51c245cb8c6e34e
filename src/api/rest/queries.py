"""Read query parameters in either spelling, each once; an unknown one is refused, because ignoring it misleads."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from src.api.caller import fill_user
from src.api.spelling import snake_case
from src.domain.errors import InvalidInput


class NamedQueryRoute(APIRoute):
    """A route that refuses query parameters that it does not know."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = list(_query_names(self.dependant))

        async def handle_named(request: Request) -> Response:
            if request.scope["query_string"]:
                request.scope["query_string"] = read_query(request.scope["query_string"], known)
            if "user_id" in known:
                _fill_user(request)
            return await handle(request)

        return handle_named


def _fill_user(request: Request) -> None:
    """Add the caller to a query that names no user."""
    user_id = fill_user(None)
    given = QueryParams(request.scope["query_string"])
    if user_id is not None and "user_id" not in given:
        request.scope["query_string"] = urlencode({**given, "user_id": user_id}).encode("ascii")


def _query_names(dependant: Dependant) -> Iterator[str]:
    """Yield the names of the query parameters of an endpoint and of what it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for part in dependant.dependencies:
        yield from _query_names(part)


def read_query(query: bytes, known: Sequence[str]) -> bytes:
    """Return a query string with its parameters under their snake_case names.

    Raises
    ------
    InvalidInput
        If one is unknown, or came twice.
    """
    written: dict[str, str] = {}
    values: dict[str, str] = {}
    for name, value in QueryParams(query).multi_items():
        key = snake_case(name)
        if key not in known:
            if not known:
                raise InvalidInput("Unknown parameter {got!r}. Allowed: none.", field=key[:60], got=name)
            raise InvalidInput(
                "Unknown parameter {got!r}. Known parameters: {known}.", field=key[:60], got=name, known=tuple(known)
            )
        if key in values:
            raise InvalidInput(
                "The parameters {first!r} and {second!r} are the same one. Allowed: once. Known parameters: {known}.",
                field=key, first=written[key], second=name, known=tuple(known),
            )  # fmt: skip
        written[key], values[key] = name, value
    return urlencode(values).encode("ascii")
