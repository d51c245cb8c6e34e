"""Read multipart forms within limits: REST's forms and GraphQL's multipart requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from src.api.http.disposition import read_disposition
from src.api.http.spooling import spooling
from src.domain.errors import MalformedRequest, TooLarge

MAX_FORM_FIELDS: Final = 200

_FILE_MARK: Final = b'; filename=""'
"""Marks a part as a file for Starlette's parser, which knows `filename` only."""


class FormReader(MultiPartParser, ABC):
    """Starlette's parser, with two more checks and better messages.

    1. Starlette does not require the last boundary: a form that breaks off would count as whole.
    2. Starlette reads every part without a file name as text.
    """

    what = "The form"

    def __init__(self, request: Request) -> None:
        super().__init__(request.headers, self._stream(request), max_fields=MAX_FORM_FIELDS)
        self._is_whole = False

    @abstractmethod
    def admit(self, name: str | None, filename: str | None) -> bool:
        """Return whether the part that begins is a file; raises ServiceError if there may be no such part."""

    @abstractmethod
    def too_long(self, name: str) -> TooLarge:
        """Build the error for a text that is longer than `max_part_size`."""

    def files(self) -> list[str]:
        """Return the field names of the files that have come so far."""
        return [name for name, value in self.items if isinstance(value, UploadFile)]

    def on_headers_finished(self) -> None:
        part = self._current_part
        name, filename = read_disposition(part.content_disposition)
        is_file = self.admit(name, filename)
        if is_file and b"filename" not in parse_options_header(part.content_disposition)[1]:
            part.content_disposition = (part.content_disposition or b"") + _FILE_MARK
        super().on_headers_finished()
        part.field_name = name or part.field_name  # the name that `admit` saw, whatever charset Content-Type names
        if part.file is not None and not part.file.filename:
            part.file.filename = filename or ""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None and len(part.data) + end - start > self.max_part_size:
            raise self.too_long(part.field_name)
        super().on_part_data(data, start, end)

    def on_end(self) -> None:
        self._is_whole = True

    async def _stream(self, request: Request) -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            yield chunk
        # Raised while the parser still asks for more, so that it closes what it has opened.
        if not self._is_whole:
            raise MultiPartException("it ends before its last boundary")


@asynccontextmanager
async def receive_form(reader: FormReader) -> AsyncIterator[FormData]:
    """Read a form; its files exist for as long as the block runs.

    A file is spooled: up to 1 MiB in memory, beyond that in a nameless temporary file that the system frees even if
    this process dies. `BodyLimit` bounds the whole size.

    Raises
    ------
    MalformedRequest
        If it cannot be read as a form, or breaks off.
    TooLarge
        If a text is too long.
    StoreUnavailable
        If the disk has no space for a file.
    """
    try:
        with spooling():
            form = await reader.parse()
    except MultiPartException as error:
        raise MalformedRequest(
            "{what} cannot be read: {reason}.", what=reader.what, reason=error.message.rstrip(".")
        ) from error
    try:
        yield form
    finally:
        for _, value in form.multi_items():
            if isinstance(value, UploadFile):
                with suppress(OSError):  # closing writes what is buffered, and the disk may be full
                    await value.close()
