"""Hold the one table of errors: code → HTTP status, meaning, how to fix it.

Responses, `GET /errors/{code}` and docs/reference/errors.md are made from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

from src.domain import errors

UNEXPECTED_CODE: Final = "INTERNAL_ERROR"


class ErrorRow(NamedTuple):
    """One error: its HTTP status, `title` (what it means), and `fix` (what the client or the operator can do)."""

    status: int
    title: str
    fix: str


_REPORT: Final = "Send the request again. If it fails again, report it with its time to the operator."
_LATER: Final = "Send the request again after the seconds in Retry-After."

ERROR_TABLE: Final[Mapping[type[errors.ServiceError], ErrorRow]] = {
    errors.ServiceError: ErrorRow(500, "The service failed", _REPORT),
    errors.InvalidInput: ErrorRow(
        422,
        "A value is not allowed",
        "Change the field that `field` names to a value that the message allows. The reference of parameters lists all "
        "fields with their units and bounds.",
    ),
    errors.MalformedRequest: ErrorRow(
        400,
        "The request cannot be read",
        "Send an HTTP/1.1 request whose body is JSON in UTF-8, or a form if the endpoint takes files. A JSON body "
        "needs Content-Type application/json, a form multipart/form-data with its boundary.",
    ),
    errors.InvalidRule: ErrorRow(
        422,
        "A rule of the strategy is wrong",
        "Correct the rule's text at `line` and `column`, under the caret of the message. The page of the rule language "
        "(docs/rules.md) has all names and operators, and POST /api/strategies/check checks rules without a backtest.",
    ),
    errors.ModelRejected: ErrorRow(
        422,
        "The model file cannot be used",
        "Do what the message says about the file: export it again, name its columns in `feature_columns` "
        "(`featureColumns` in GraphQL), or declare what its numbers mean in `output_kind` (`outputKind`).",
    ),
    errors.Unauthenticated: ErrorRow(
        401,
        "The request has no credentials",
        "Send an API key or a token as `Authorization: Bearer …` (a key also as `X-API-Key`), or sign in on the pages. "
        "An operator makes keys with `run.py keys create`; behind a gateway, the gateway names the user.",
    ),
    errors.InvalidCredentials: ErrorRow(
        401,
        "The key or token is not accepted",
        "Do what the message says: use a key that is not revoked, or a token of the issuer and audience that the "
        "service is set up for.",
    ),
    errors.CredentialsExpired: ErrorRow(
        401, "The key or token has expired", "Get a new token from its issuer, a new key from the operator, or sign in."
    ),
    errors.Forbidden: ErrorRow(
        403,
        "Not your user id",
        "Leave `user_id` (`userId` in GraphQL) out, or send your own. Other users' things cannot be used.",
    ),
    errors.NotFound: ErrorRow(
        404, "Not found", "Check the path against the list of endpoints (/docs) and the name against the message."
    ),
    errors.SymbolNotFound: ErrorRow(
        404, "Unknown symbol", "Use a symbol of GraphQL's `fetchCoinList`, such as BTCUSDT, or upload bars of your own."
    ),
    errors.ModelNotFound: ErrorRow(
        404,
        "Unknown model file",
        "List the model files of the user (GET /api/models/user/{user_id}) and use one of these names, or upload the "
        "file again.",
    ),
    errors.ResultNotFound: ErrorRow(
        404,
        "Unknown result",
        "List the stored results (GET /api/backtests) and use one of these ids. A result may have been deleted by its "
        "user, or by the limits of stored results.",
    ),
    errors.SourceNotFound: ErrorRow(
        404,
        "Unknown source of bars",
        "Leave `source` out for the exchange's bars, or name a source that the message lists. A dataset belongs to the "
        "user who uploaded it, so send that `user_id`.",
    ),
    errors.JobNotFound: ErrorRow(
        404,
        "Unknown job",
        "Use an id that starting a job, or the list of your jobs, returned. Jobs can have been deleted, by their user "
        "or by the limits of stored jobs.",
    ),
    errors.Conflict: ErrorRow(
        409,
        "Conflict",
        "Use another name, or delete what has this name first. Upload a model file again if the disk's copy changed.",
    ),
    errors.TooLarge: ErrorRow(
        413,
        "Too large",
        "Send less, or ask for fewer rows: the message names the maximum and the setting that an operator can raise.",
    ),
    errors.UnsupportedFormat: ErrorRow(
        415,
        "Unsupported format",
        "Send one of the formats that the message lists. A file's name must end in the extension of its format.",
    ),
    errors.MissingLibrary: ErrorRow(
        424,
        "A library is not installed",
        "Ask the operator to run the command in the message, or export the model to a format whose library is "
        "installed.",
    ),
    errors.RateLimited: ErrorRow(
        429,
        "Too much in this time",
        "Wait for the seconds in Retry-After, and send requests further apart. GET /api/usage says what is used and "
        "allowed. An operator can raise the setting that the message names, or set it to 0 for no limit.",
    ),
    errors.Busy: ErrorRow(503, "Too much work is waiting", _LATER),
    errors.TimedOut: ErrorRow(
        504,
        "The work took too long",
        "Ask for fewer bars (`limit`), or use a smaller model. An operator can raise REQUEST_TIMEOUT_S and "
        "MODEL_TIMEOUT_S.",
    ),
    errors.ExchangeError: ErrorRow(502, "The exchange failed", "Send the request again in a minute."),
    errors.ExchangeRefused: ErrorRow(
        502,
        "The exchange refused",
        "Check symbol and dates. If all symbols fail, the exchange does not serve this server's country or address: "
        "an operator can set BINANCE_API_URL, or use uploaded or simulated bars.",
    ),
    errors.ExchangeUnavailable: ErrorRow(503, "The exchange is not available", _LATER),
    errors.ExchangeTimeout: ErrorRow(
        504, "The exchange is too slow", "Send the request again: bars that have arrived are not downloaded twice."
    ),
    errors.StoreUnavailable: ErrorRow(
        503,
        "Results cannot be stored or read now",
        "Send the request again after some seconds. An operator should look for a full or read-only disk "
        "(STORAGE_DIR), or whether MongoDB can be reached (MONGODB_URI).",
    ),
    errors.UnreadableResult: ErrorRow(
        503,
        "A stored result cannot be read",
        "Delete a damaged result, or run its backtest again. If a newer version of the service wrote it, use that "
        "version.",
    ),
    errors.SandboxUnavailable: ErrorRow(
        503,
        "Model files cannot be opened now",
        "Send the request again after some seconds. If it stays so, an operator should read the log of the start, "
        "which names the layers of the sandbox that this machine lacks.",
    ),
    errors.ClusterUnavailable: ErrorRow(
        503,
        "The cluster cannot compute now",
        "Wait: the job continues from its stored rows once the cluster responds. An operator should look whether the "
        "scheduler and workers of this version run (`run.py cluster`).",
    ),
    errors.IdentityUnavailable: ErrorRow(
        503,
        "Tokens cannot be checked now",
        "Send the request again after some seconds. An operator should look whether the key set in JWT_JWKS can be "
        "read.",
    ),
}
"""Error class → its row; a class that is missing here uses the row of its nearest parent."""

HTTP_ERROR_TABLE: Final[Mapping[str, ErrorRow]] = {
    "ORIGIN_NOT_ALLOWED": ErrorRow(
        403,
        "Not from this site",
        "Send the request from a page of this service, or from a program other than a browser. An operator can allow "
        "the page's origin in CORS_ORIGINS.",
    ),
    "METHOD_NOT_ALLOWED": ErrorRow(
        405,
        "Method Not Allowed",
        "Use one of the methods in the header Allow. GraphQL mutations need POST.",
    ),
    "NOT_ACCEPTABLE": ErrorRow(
        406,
        "No format that the client accepts",
        "Name a media type of the message in the header Accept, or give the parameter `format`.",
    ),
    "REQUEST_TIMEOUT": ErrorRow(
        408, "The request came too slowly", "Send the request again over a faster connection, without long pauses."
    ),
    "HOST_NOT_ALLOWED": ErrorRow(
        421,
        "Not under this host name",
        "Use one of the host names in the message. An operator can add the name to ALLOWED_HOSTS.",
    ),
    "HEAD_TOO_LARGE": ErrorRow(
        431,
        "The request's head is too large",
        "Send fewer or shorter header fields and a shorter address. Send long GraphQL documents by POST.",
    ),
    UNEXPECTED_CODE: ErrorRow(
        500,
        "The service failed",
        "Report the id in the message to the operator: the log has the details under that id.",
    ),
    "NOT_READY": ErrorRow(
        503, "Not ready", "Wait until GET /ready responds with 200. The message names what is missing."
    ),
}
"""Code → row, for codes that no error class of the domain has."""

PARSE_FAILED: Final = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED: Final = "GRAPHQL_VALIDATION_FAILED"
LIMIT_EXCEEDED: Final = "GRAPHQL_LIMIT_EXCEEDED"

GRAPHQL_TABLE: Final[Mapping[str, ErrorRow]] = {
    PARSE_FAILED: ErrorRow(
        400,
        "The document is not GraphQL",
        "Correct the syntax at the line and column in `locations`.",
    ),
    VALIDATION_FAILED: ErrorRow(
        400,
        "The document does not fit the schema",
        "Compare fields, arguments and types with the schema: open /graphql in a browser, or ask for `__schema`.",
    ),
    LIMIT_EXCEEDED: ErrorRow(
        400,
        "The document is too deep or too large",
        "Divide the document into several requests, or nest it less.",
    ),
}
"""Codes of documents that are not executed; they occur only in `errors[].extensions.code`."""

_HTTP_CODES: Final[Mapping[int, str]] = {
    HTTPStatus.NOT_FOUND: errors.NotFound.code,
    HTTPStatus.METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED",
    HTTPStatus.NOT_ACCEPTABLE: "NOT_ACCEPTABLE",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.TooLarge.code,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: errors.UnsupportedFormat.code,
}


@dataclass(frozen=True, slots=True)
class ErrorHelp:
    """The help on one code; classes that share a code share it."""

    code: str
    status: int
    meanings: tuple[str, ...]
    fixes: tuple[str, ...]


def _rows() -> Iterator[tuple[str, ErrorRow]]:
    for kind, row in ERROR_TABLE.items():
        yield kind.code, row
    yield from HTTP_ERROR_TABLE.items()
    yield from GRAPHQL_TABLE.items()


def _collect_help() -> dict[str, ErrorHelp]:
    rows: dict[str, list[ErrorRow]] = {}
    for code, row in sorted(_rows(), key=lambda item: (item[1].status, item[0])):
        rows.setdefault(code, []).append(row)
    return {
        code: ErrorHelp(code, found[0].status, tuple(row.title for row in found), tuple(row.fix for row in found))
        for code, found in rows.items()
    }


ERROR_HELP: Final[Mapping[str, ErrorHelp]] = _collect_help()
"""Every code that a client may receive, by status."""


def code_of_status(status: int) -> str:
    """Return the code of an HTTP error that the framework raised."""
    known = _HTTP_CODES.get(status)
    if known is not None:
        return known
    return errors.MalformedRequest.code if status < HTTPStatus.INTERNAL_SERVER_ERROR else errors.ServiceError.code


def help_path(code: str) -> str:
    """Return the path of the page that says how to fix an error; problem documents have it as `type`."""
    return f"/errors/{code}"
