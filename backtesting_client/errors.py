"""The exceptions of this package.

ClientError
├── ServiceUnreachable      no response: no service at the address, or the connection broke, or time ran out
└── ServiceError            the service's own error, with its code, field, place and hint
    ├── InvalidRequest      the request must be changed
    ├── NotFound            the service does not have what the request names
    └── Unavailable         the same request may succeed later
"""

from __future__ import annotations

import json

import httpx

_NOT_FOUND = 404
_SERVER_ERROR = 500
_LATER = {429, 502, 503, 504}


class ClientError(Exception):
    """Any error of this package."""


class ServiceUnreachable(ClientError):
    """The service gave no response."""


class ServiceError(ClientError):
    """An error that the service reported.

    Attributes
    ----------
    code
        Stable name in upper snake case, such as INVALID_INPUT; the service has a page on each at /errors/{code}.
    status
        The HTTP status.
    message
        What is wrong: the value that was sent, and what is allowed.
    field
        The field at fault; None if there is none.
    line, column
        Place of the fault in a rule, from 1; None except in INVALID_RULE.
    hint
        What to do; None if the service does not say.
    retry_after_s
        Seconds after which a retry makes sense; None if that is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int,
        field: str | None = None,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.message, self.code, self.status = message, code, status
        self.field, self.line, self.column = field, line, column
        self.hint, self.retry_after_s = hint, retry_after_s
        super().__init__(message)

    def __str__(self) -> str:
        where = [self.code]
        if self.field is not None:
            where.append(f"field {self.field}")
        if self.line is not None:
            where.append(f"line {self.line}, column {self.column}")
        hint = "" if self.hint is None else f"\nHint: {self.hint}"
        return f"{self.message} ({', '.join(where)}){hint}"


class InvalidRequest(ServiceError):
    """The request must be changed."""


class NotFound(ServiceError):
    """The service does not have what the request names."""


class Unavailable(ServiceError):
    """The same request may succeed later."""


def error_of(response: httpx.Response) -> ServiceError:
    """Return the error that a response reports."""
    try:
        problem = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        # A gateway in front of the service, or something else at that address.
        text = (
            f"{response.request.url} responded with {response.status_code} {response.reason_phrase}, not as the service"
        )
        problem = {"code": f"HTTP_{response.status_code}", "message": text}
    return _kind_of(response.status_code)(
        str(problem.get("message") or problem.get("detail")),
        code=str(problem["code"]),
        status=response.status_code,
        retry_after_s=_seconds_in(response.headers.get("retry-after", "")),
        field=problem.get("field"),
        line=problem.get("line"),
        column=problem.get("column"),
        hint=problem.get("hint"),
    )


def _kind_of(status: int) -> type[ServiceError]:
    if status == _NOT_FOUND:
        return NotFound
    if status in _LATER:
        return Unavailable
    return InvalidRequest if status < _SERVER_ERROR else ServiceError


def _seconds_in(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None
