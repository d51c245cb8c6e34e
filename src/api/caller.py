"""Hold the sender of the current request."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Final

from starlette.requests import HTTPConnection

from src.domain.identity import Caller

CALLER: Final = "caller"
"""Name in the state of a request's scope, where the log of requests reads it too."""

_CALLER: Final[ContextVar[Caller | None]] = ContextVar("caller", default=None)


def set_caller(caller: Caller) -> Token[Caller | None]:
    """Make this the caller of this task, and of the tasks that it starts, from now on."""
    return _CALLER.set(caller)


def current_caller() -> Caller:
    """Return who sends the request that this task serves; raises RuntimeError if it was not authenticated."""
    caller = _CALLER.get()
    if caller is None:
        raise RuntimeError("the request was not authenticated")
    return caller


def caller_of(connection: HTTPConnection) -> Caller:
    """Return who sends a request or opened a WebSocket; raises RuntimeError if the sender was not identified."""
    caller = found_caller(connection)
    if caller is None:
        raise RuntimeError("the request was not authenticated")
    return caller


def found_caller(connection: HTTPConnection) -> Caller | None:
    """Return who sends a request or opened a WebSocket; None if the sender was not identified."""
    caller = connection.scope.get("state", {}).get(CALLER)
    return caller if isinstance(caller, Caller) else None


def fill_user(given: str | None) -> str | None:
    """Return the user id that a request names, or its caller's if it names none.

    It does not check whether the caller may name another user: the services do.
    """
    caller = _CALLER.get()
    return caller.user_id if given is None and caller is not None else given
