"""Forms and files as they arrive: read within limits, handed on in pieces, and gone when the request ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from src.api.http.disposition import read_disposition
from src.api.http.spooling import spooling
from src.api.spelling import as_written, in_one_spelling
from src.domain.errors import (
    CONTENT_TYPE_REFUSED,
    InvalidInput,
    MalformedRequest,
    TooLarge,
    UnsupportedFormat,
    missing,
    unknown_field,
)
from src.domain.model_files import ModelFile
from src.service.models import ModelService

CHUNK_BYTES: Final = 256 * 1024
MAX_FORM_FIELDS: Final = 200
FILE_FIELD: Final = "file"
"""The field of every form that is a file, also where it comes without a file name, as some clients send it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedForm:
    """A multipart form: its text fields, each with all its values in the order sent, and its files by field name.

    Names are in snake_case, whichever spelling they came in.
    """

    texts: Mapping[str, Sequence[str]]
    files: Mapping[str, UploadFile]
    written: Mapping[str, object] = field(default_factory=dict)
    """The text fields under the names that the client gave them."""

    def text(self, name: str) -> str | None:
        """Return a field's only value; None where it was not sent.

        Raises
        ------
        InvalidInput
            Where it was sent more than once.
        """
        values = self.texts.get(name, ())
        if len(values) > 1:
            raise InvalidInput("{field} was sent {count} times. Allowed: once.", field=name, count=len(values))
        return values[0] if values else None

    def required_text(self, name: str) -> str:
        """Return a field's only value; InvalidInput where it was not sent."""
        value = self.text(name)
        if value is None:
            raise missing(name)
        return value

    def required_file(self, name: str) -> UploadFile:
        """Return the file of a field; InvalidInput where there is none."""
        if name not in self.files:
            raise InvalidInput("{field} is required. Send it as a file part with a file name.", field=name)
        return self.files[name]

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Raise InvalidInput for the first field that is not among the known ones."""
        for name in (*self.texts, *self.files):
            if name not in known:
                raise unknown_field(name, known=known, got=as_written((name,), self.written))


_FILE_MARK: Final = b'; filename=""'
"""What makes a part a file for Starlette's parser, which knows `filename` only."""


@asynccontextmanager
async def received_form(request: Request) -> AsyncIterator[ReceivedForm]:
    """Read a multipart form with at most one file, for as long as the block runs.

    The file is spooled: up to 1 MiB in memory, beyond that in a nameless temporary file that the system frees even if
    this process dies. How much may come at all is `BodyLimit`'s business. A client often sends the file before the
    fields that say whose it is, so it cannot go to its place in the store before the form's end.

    Raises
    ------
    UnsupportedFormat
        For a body that is not a multipart form.
    InvalidInput
        Where a field came in both spellings.
    MalformedRequest
        For one that cannot be read as such, breaks off, or has a second file.
    TooLarge
        Where a text is.
    StoreUnavailable
        Where there is no room for the file.
    """
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise UnsupportedFormat(CONTENT_TYPE_REFUSED, got=content_type, allowed="multipart/form-data")
    form = await _WholeFormParser(request).parse()
    try:
        texts: dict[str, list[str]] = {}
        files: dict[str, UploadFile] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = value
            else:
                texts.setdefault(name, []).append(value)
        yield ReceivedForm(texts=in_one_spelling(texts.items()), files=files, written=texts)
    finally:
        await form.close()


class _WholeFormParser(MultiPartParser):
    """Starlette's parser, with two more demands and better words.

    Starlette does not ask for the last boundary: a form that breaks off would count as whole. And it takes every part
    without a file name for text.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request.headers, self._stream(request), max_files=1, max_fields=MAX_FORM_FIELDS)
        self._is_whole = False

    def on_headers_finished(self) -> None:
        part = self._current_part
        name, filename = read_disposition(part.content_disposition)
        is_file = name == FILE_FIELD or filename is not None
        others = [field for field, value in self.items if isinstance(value, UploadFile)]
        if others and is_file:
            raise MalformedRequest(
                "There are two files, in {first!r} and {second!r}. Allowed: one, in {allowed}.",
                field=name, first=others[0], second=name, allowed=FILE_FIELD,
            )  # fmt: skip
        if is_file and b"filename" not in parse_options_header(part.content_disposition)[1]:
            part.content_disposition = (part.content_disposition or b"") + _FILE_MARK
        super().on_headers_finished()
        if part.file is not None and not part.file.filename:
            part.file.filename = filename or ""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None and len(part.data) + end - start > self.max_part_size:
            raise TooLarge(
                "The text in {got!r} is too long. Maximum: {most} bytes. Send a file in {file_field}.",
                got=part.field_name, most=self.max_part_size, file_field=FILE_FIELD,
            )  # fmt: skip
        super().on_part_data(data, start, end)

    def on_end(self) -> None:
        self._is_whole = True

    async def parse(self) -> FormData:
        try:
            with spooling():
                return await super().parse()
        except MultiPartException as error:
            raise MalformedRequest("The form cannot be read: {reason}.", reason=error.message.rstrip(".")) from error

    async def _stream(self, request: Request) -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            yield chunk
        # Raised while the parser still asks for more, so that it closes what it has opened.
        if not self._is_whole:
            raise MultiPartException("it ends before its last boundary")


async def chunks_of(upload: UploadFile) -> AsyncIterator[bytes]:
    """Yield an upload's bytes from its beginning, piece by piece."""
    await upload.seek(0)
    while chunk := await upload.read(CHUNK_BYTES):
        yield chunk


def temporary_model(
    models: ModelService, upload: UploadFile, *, user_id: str, model_name: str | None = None
) -> AbstractAsyncContextManager[ModelFile]:
    """Keep the file that came with a backtest for as long as the block runs; it is removed however the block ends."""
    return models.temporary(
        user_id=user_id, original_filename=upload.filename or "", model_name=model_name, chunks=chunks_of(upload)
    )
