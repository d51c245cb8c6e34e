"""What can go wrong, named once.

The tree (code in brackets); none of these classes knows HTTP, `api/errors.py` maps them:

    ServiceError
    ├── InvalidInput                [INVALID_INPUT]         a field is wrong: which, what came, what is allowed
    │   ├── MalformedRequest        [MALFORMED_REQUEST]     the body itself cannot be read
    │   └── ModelRejected           [MODEL_REJECTED]        the model file cannot be used, and why
    ├── NotFound
    │   ├── SymbolNotFound          [SYMBOL_NOT_FOUND]
    │   ├── ModelNotFound           [MODEL_NOT_FOUND]
    │   ├── ResultNotFound          [RESULT_NOT_FOUND]
    │   └── SourceNotFound          [SOURCE_NOT_FOUND]
    ├── Conflict                    [CONFLICT]
    ├── TooLarge                    [TOO_LARGE]
    ├── UnsupportedFormat           [UNSUPPORTED_FORMAT]
    ├── MissingLibrary              [MISSING_LIBRARY]       a model format whose library is not installed
    ├── Busy                        [BUSY]                  as much work waits already as may wait
    ├── TimedOut                    [TIMED_OUT]             our own work took longer than its limit
    ├── ExchangeError
    │   ├── ExchangeRefused         [EXCHANGE_REFUSED]      it answered, with a no or with nonsense
    │   ├── ExchangeUnavailable     [EXCHANGE_UNAVAILABLE]  down, or it told us to wait
    │   └── ExchangeTimeout         [EXCHANGE_TIMEOUT]
    ├── StoreUnavailable            [STORE_UNAVAILABLE]
    │   └── UnreadableResult        [STORE_UNAVAILABLE]     a stored result is damaged, or of another version
    └── SandboxUnavailable          [SANDBOX_UNAVAILABLE]   model files cannot be opened safely here
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """Say what went wrong in words meant for the client.

    Parameters
    ----------
    message
        One sentence for the client; holds no path, secret or stack trace.
    retry_after_s
        Seconds after which trying again makes sense, where that is known.
    """

    code: ClassVar[str] = "SERVICE_ERROR"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class InvalidInput(ServiceError):
    """A value that the contract does not allow.

    Parameters
    ----------
    field
        The field's public name (camelCase, as in the GraphQL schema); None where no single field is at fault.
    """

    code = "INVALID_INPUT"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class MalformedRequest(InvalidInput):
    code = "MALFORMED_REQUEST"


class ModelRejected(InvalidInput):
    code = "MODEL_REJECTED"


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


class Conflict(ServiceError):
    code = "CONFLICT"


class TooLarge(ServiceError):
    code = "TOO_LARGE"


class UnsupportedFormat(ServiceError):
    code = "UNSUPPORTED_FORMAT"


class MissingLibrary(ServiceError):
    """A model format whose library is not installed.

    Parameters
    ----------
    library
        The module that is missing, if it is known by name.
    """

    code = "MISSING_LIBRARY"

    def __init__(self, message: str, *, library: str | None = None) -> None:
        super().__init__(message)
        self.library = library


class Busy(ServiceError):
    code = "BUSY"


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


def one_of(field: str, value: object, allowed: object) -> InvalidInput:
    """Build the error for a value outside a closed list.

    Parameters
    ----------
    allowed
        Any iterable of the names that would have been right.
    """
    names = ", ".join(str(name) for name in allowed)  # type: ignore[attr-defined]
    return InvalidInput(f"{field} is {value!r}; allowed: {names}", field=field)
