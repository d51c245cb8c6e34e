"""What can go wrong, named once.

The tree (code in brackets); none of these classes knows HTTP, `api/error_table.py` maps them:

    ServiceError
    ├── InvalidInput                [INVALID_INPUT]         a field is wrong: which, what came, what is allowed
    │   ├── MalformedRequest        [MALFORMED_REQUEST]     the body itself cannot be read
    │   ├── InvalidRule             [INVALID_RULE]          a strategy's rule is wrong: where in its text
    │   └── ModelRejected           [MODEL_REJECTED]        the model file cannot be used, and why
    ├── Unauthenticated             [UNAUTHENTICATED]       the request has no key or token
    │   ├── InvalidCredentials      [INVALID_CREDENTIALS]   the key or token cannot be accepted, and why
    │   └── CredentialsExpired      [CREDENTIALS_EXPIRED]
    ├── Forbidden                   [FORBIDDEN]             the request names another user than its sender
    ├── NotFound
    │   ├── SymbolNotFound          [SYMBOL_NOT_FOUND]
    │   ├── ModelNotFound           [MODEL_NOT_FOUND]
    │   ├── ResultNotFound          [RESULT_NOT_FOUND]
    │   ├── SourceNotFound          [SOURCE_NOT_FOUND]
    │   └── JobNotFound             [JOB_NOT_FOUND]
    ├── Conflict                    [CONFLICT]
    ├── TooLarge                    [TOO_LARGE]
    ├── UnsupportedFormat           [UNSUPPORTED_FORMAT]
    ├── MissingLibrary              [MISSING_LIBRARY]       a model format whose library is not installed
    ├── Busy                        [BUSY]                  the queue of waiting work is full
    ├── RateLimited                 [RATE_LIMITED]          the sender has used up a limit per time
    ├── TimedOut                    [TIMED_OUT]             our own work took longer than its limit
    ├── ExchangeError
    │   ├── ExchangeRefused         [EXCHANGE_REFUSED]      it refuses the request, or its page is invalid
    │   ├── ExchangeUnavailable     [EXCHANGE_UNAVAILABLE]  it is down, or has ordered a pause
    │   └── ExchangeTimeout         [EXCHANGE_TIMEOUT]
    ├── StoreUnavailable            [STORE_UNAVAILABLE]
    │   └── UnreadableResult        [STORE_UNAVAILABLE]     a stored result is damaged, or of another version
    ├── SandboxUnavailable          [SANDBOX_UNAVAILABLE]   model files cannot be opened safely here
    ├── ClusterUnavailable          [CLUSTER_UNAVAILABLE]   no scheduler, or no worker of this version: jobs wait
    └── IdentityUnavailable         [IDENTITY_UNAVAILABLE]  the keys of the tokens' issuer cannot be read
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from src.domain.error_text import FieldName, Template, Text


class ServiceError(Exception):
    """What went wrong, for the client, as data: each API writes the sentence in its own spelling.

    Parameters
    ----------
    text
        A template of `domain.error_text`, or a finished text; holds no path, secret or stack trace.
    retry_after_s
        Seconds after which trying again makes sense, if that is known.
    parts
        What fills the template's gaps.
    """

    code: ClassVar[str] = "SERVICE_ERROR"

    def __init__(self, text: str | Text, *, retry_after_s: float | None = None, **parts: Any) -> None:
        self.text: Text = text if isinstance(text, Text) else Template(text, parts)
        super().__init__(self.text)
        self.retry_after_s = retry_after_s

    @property
    def message(self) -> str:
        """The sentence with the fields' declared names, for logs."""
        return str(self.text)


class InvalidInput(ServiceError):
    """A value that the contract does not allow.

    Parameters
    ----------
    field
        The field's public name (camelCase, as in the GraphQL schema), which fills the gap `{field}`; None if no
        single field is at fault.
    """

    code = "INVALID_INPUT"

    def __init__(self, text: str | Text, *, field: str | None = None, **parts: Any) -> None:
        super().__init__(text, **parts, field=None if field is None else FieldName(field))
        self.field = field

    def move_into(self, path: str) -> None:
        """Prefix the field with the path of the object that holds it: `to` in `parameters.0.range`."""
        self.field = path if self.field is None else f"{path}.{self.field}"
        if isinstance(self.text, Template):
            self.text = Template(self.text.template, {**self.text.parts, "field": FieldName(self.field)})
            self.args = (self.text,)


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Name the field of an InvalidInput that the block raises by its path: see `InvalidInput.move_into`."""
    try:
        yield
    except InvalidInput as error:
        error.move_into(path)
        raise


class MalformedRequest(InvalidInput):
    code = "MALFORMED_REQUEST"


class InvalidRule(InvalidInput):
    """A rule that cannot be read or computed.

    Parameters
    ----------
    line, column
        The place of the fault in the rule's text, both from 1, in characters; they fill gaps of the template.
    """

    code = "INVALID_RULE"

    def __init__(
        self, text: str | Text, *, field: str | None = None, line: int = 1, column: int = 1, **parts: Any
    ) -> None:
        super().__init__(text, field=field, line=line, column=column, **parts)
        self.line = line
        self.column = column


class ModelRejected(InvalidInput):
    code = "MODEL_REJECTED"


class Unauthenticated(ServiceError):
    code = "UNAUTHENTICATED"


class InvalidCredentials(Unauthenticated):
    code = "INVALID_CREDENTIALS"


class CredentialsExpired(Unauthenticated):
    code = "CREDENTIALS_EXPIRED"


class Forbidden(ServiceError):
    """A request that names another user than its sender; `field` is the public name of what names the user."""

    code = "FORBIDDEN"

    def __init__(self, text: str | Text, *, field: str = "userId", **parts: Any) -> None:
        super().__init__(text, **parts, field=FieldName(field))
        self.field = field


class NotFound(ServiceError):
    code = "NOT_FOUND"


class SymbolNotFound(NotFound):
    code = "SYMBOL_NOT_FOUND"


class ModelNotFound(NotFound):
    code = "MODEL_NOT_FOUND"


class ResultNotFound(NotFound):
    code = "RESULT_NOT_FOUND"


class SourceNotFound(NotFound):
    code = "SOURCE_NOT_FOUND"


class JobNotFound(NotFound):
    code = "JOB_NOT_FOUND"


class Conflict(ServiceError):
    code = "CONFLICT"


class TooLarge(ServiceError):
    code = "TOO_LARGE"


class UnsupportedFormat(ServiceError):
    code = "UNSUPPORTED_FORMAT"


class MissingLibrary(ServiceError):
    """A model format, or a search, whose library is not installed.

    Parameters
    ----------
    library
        The module that is missing, if it is known by name.
    """

    code = "MISSING_LIBRARY"

    def __init__(self, text: str | Text, *, library: str | None = None, **parts: Any) -> None:
        super().__init__(text, library=library, **parts)
        self.library = library


class Busy(ServiceError):
    code = "BUSY"


class RateLimited(ServiceError):
    code = "RATE_LIMITED"


class TimedOut(ServiceError):
    code = "TIMED_OUT"


class ExchangeError(ServiceError):
    code = "EXCHANGE_ERROR"


class ExchangeRefused(ExchangeError):
    code = "EXCHANGE_REFUSED"


class ExchangeUnavailable(ExchangeError):
    code = "EXCHANGE_UNAVAILABLE"


class ExchangeTimeout(ExchangeError):
    code = "EXCHANGE_TIMEOUT"


class StoreUnavailable(ServiceError):
    code = "STORE_UNAVAILABLE"


class UnreadableResult(StoreUnavailable):
    pass


class SandboxUnavailable(ServiceError):
    code = "SANDBOX_UNAVAILABLE"


class ClusterUnavailable(ServiceError):
    """The cluster cannot compute now: a job that needs it is interrupted and continued later, never failed."""

    code = "CLUSTER_UNAVAILABLE"


class IdentityUnavailable(ServiceError):
    code = "IDENTITY_UNAVAILABLE"


CONTENT_TYPE_REFUSED: Final = "Content-Type is {got!r}. Allowed: {allowed}."


def result_not_found(result_id: str) -> ResultNotFound:
    """Build the error for an id that no stored result of the user has."""
    return ResultNotFound("Backtest {id!r} does not exist or belongs to another user.", id=result_id)


def error_of_code(code: str) -> type[ServiceError]:
    """Return the error class of a code, the most general one if several have it; ServiceError if none has it."""
    kinds: list[type[ServiceError]] = [ServiceError]
    for kind in kinds:
        if kind.code == code:
            return kind
        kinds += kind.__subclasses__()
    return ServiceError


def job_not_found(job_id: str) -> JobNotFound:
    """Build the error for an id that no job of the user has."""
    return JobNotFound("Job {id!r} does not exist or belongs to another user.", id=job_id)


def file_too_large(max_bytes: int) -> TooLarge:
    """Build the error for an upload of more than `max_bytes`."""
    return TooLarge("The file is too large. Maximum: {most:g} MiB (MAX_UPLOAD_MB).", most=max_bytes / 1024**2)


def bad_value(field: str, *, got: object, allowed: str | Iterable[object]) -> InvalidInput:
    """Build the error for a value that the field does not allow.

    Parameters
    ----------
    allowed
        The allowed values in words; or the names of a closed list.
    """
    known = allowed if isinstance(allowed, str) else tuple(allowed)
    return InvalidInput("{field} is {got!r}. Allowed: {allowed}.", field=field, got=got, allowed=known)


def missing(field: str) -> InvalidInput:
    """Build the error for a field that must be given."""
    return InvalidInput("{field} is required.", field=field)


def unknown_field(name: str, *, known: Iterable[str], got: str | None = None) -> InvalidInput:
    """Build the error for a field that does not exist.

    `known` are the names that do, as the client spells them; `got` is what the client sent if `name` is not that.
    """
    got = name if got is None else got
    names = tuple(known)
    if not names:
        return InvalidInput("Unknown field {got!r}.", field=name, got=got)
    return InvalidInput("Unknown field {got!r}. Known fields: {known}.", field=name, got=got, known=names)


def both_given(field: str, other: str) -> InvalidInput:
    """Build the error for two fields of which only one may be given."""
    return InvalidInput(
        "{field} and {other} are both given. Allowed: one of them.", field=field, other=FieldName(other)
    )


def not_exactly_one(field: str, *, named: Sequence[str], allowed: Sequence[str]) -> InvalidInput:
    """Build the error for an object that must name one of several things."""
    return InvalidInput(
        "{field} names {named}. Allowed: exactly one of {allowed}.",
        field=field, named=tuple(named) or "none", allowed=tuple(allowed),
    )  # fmt: skip


def bad_pair(field: str, *, got: object, rule: str, other: str, value: object) -> InvalidInput:
    """Build the error for a value that does not go with another field's: `fast (50) must be less than slow (20).`"""
    return InvalidInput(
        "{field} ({got}) must be {rule} {other} ({value}).",
        field=field, got=got, rule=rule, other=FieldName(other), value=value,
    )  # fmt: skip
