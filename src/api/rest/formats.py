"""Choose the format of rows, JSON or a file, by a parameter or the header Accept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import Query
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from src.api.error_table import HTTP_ERROR_TABLE
from src.api.http.accept_headers import weights_in
from src.api.rest.schemas import error_response
from src.api.rows.files import FileColumns, write_arrow, write_csv, write_parquet


class Format(StrEnum):
    """A format of rows."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"


MEDIA_TYPES: Final[Mapping[Format, str]] = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.ARROW: "application/vnd.apache.arrow.file",
}
WARNINGS_HEADER: Final = "X-Warnings"
MAX_WARNINGS_BYTES: Final = 2048
"""Proxies allow at least 4 KiB for all headers of a response (nginx's smallest buffer)."""

FormatParameter = Annotated[
    Format | None,
    Query(description="json, csv, parquet or arrow (an IPC file, as Feather). If absent, as the header Accept says."),
]

_NOT_ACCEPTABLE: Final = f"{HTTP_ERROR_TABLE['NOT_ACCEPTABLE'].title} (NOT_ACCEPTABLE)."

FORMAT_RESPONSES: Final[Mapping[int | str, Any]] = {
    200: {
        "content": {
            MEDIA_TYPES[Format.CSV]: {"schema": {"type": "string"}},
            MEDIA_TYPES[Format.PARQUET]: {"schema": {"type": "string", "format": "binary"}},
            MEDIA_TYPES[Format.ARROW]: {"schema": {"type": "string", "format": "binary"}},
        },
        "headers": {
            WARNINGS_HEADER: {
                "description": "Only with a file that has warnings: what `warnings` of the JSON response says, a JSON "
                f"list of sentences in ASCII, cut after {MAX_WARNINGS_BYTES} bytes. Arrow and Parquet have all of them "
                "in the schema's metadata, under `warnings`.",
                "required": False,
                "schema": {"type": "string", "maxLength": MAX_WARNINGS_BYTES},
            }
        },
    },
    406: error_response(_NOT_ACCEPTABLE),
}
"""The responses of an endpoint of rows other than JSON."""


def choose_format(request: Request, given: Format | None) -> Format:
    """Return the format that the parameter names, or the best one for the header Accept.

    Raises HTTPException with status 406 if Accept allows none.
    """
    if given is not None:
        return given
    accepted = weights_in(request.headers.get("accept", "") or "*/*")
    weights = {known: _weight_of(media_type, accepted) for known, media_type in MEDIA_TYPES.items()}
    best = max(weights, key=weights.__getitem__)
    if not weights[best] > 0:
        raise HTTPException(
            406, f"Accept allows no format of this table. Known formats: {', '.join(MEDIA_TYPES.values())}."
        )
    return best


def _weight_of(media_type: str, accepted: Mapping[str, float]) -> float:
    """Return the weight of the narrowest range that holds a media type (RFC 9110, 12.5.1)."""
    names = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((accepted[name] for name in names if name in accepted), 0.0)


async def respond_file(
    name: str,
    columns: FileColumns,
    length: int,
    chosen: Format,
    headers: Mapping[str, str] | None = None,
    *,
    warnings: Sequence[str],
) -> Response:
    """Return rows as a file of this name, which is written in a thread.

    `warnings` are those of the same rows as JSON. A header has them, and also the file if its format allows that.
    """
    content = await run_in_threadpool(_write, chosen, columns, length, warnings)
    own = {"Content-Disposition": f'attachment; filename="{name}.{chosen}"', "Vary": "Accept"}
    if warnings:
        own[WARNINGS_HEADER] = warnings_header(warnings)
    return Response(content, headers={**(headers or {}), **own}, media_type=MEDIA_TYPES[chosen])


def _write(chosen: Format, columns: FileColumns, length: int, warnings: Sequence[str]) -> bytes:
    if chosen is Format.CSV:
        return write_csv(columns, length)
    write = write_parquet if chosen is Format.PARQUET else write_arrow
    return write(columns, length, warnings)


def warnings_header(warnings: Sequence[str]) -> str:
    """Return sentences as a JSON list in ASCII of at most `MAX_WARNINGS_BYTES`.

    If they do not fit, return only the first ones, and a last sentence with the number that was left out.
    """
    for kept in range(len(warnings), -1, -1):
        left = len(warnings) - kept
        rest = [f"{left} more: see `warnings` of the JSON response."] if left else []
        text = json.dumps([*warnings[:kept], *rest])
        if len(text) <= MAX_WARNINGS_BYTES:
            break
    return text
