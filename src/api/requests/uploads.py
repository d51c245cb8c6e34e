"""Read forms and files while they arrive: within limits, in pieces, removed when the request ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import UploadFile
from starlette.requests import Request

from src.api.caller import fill_user
from src.api.http.multipart import FormReader, receive_form
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
FILE_FIELD: Final = "file"
"""The file field of every form; it is a file even without a file name, because some clients send it so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedForm:
    """A multipart form: its text fields, each with all its values in the order sent, and its files by field name.

    Names are in snake_case, in whichever spelling they came.
    """

    texts: Mapping[str, Sequence[str]]
    files: Mapping[str, UploadFile]
    written: Mapping[str, object] = field(default_factory=dict)
    """The text fields under the names that the client gave them."""

    def text(self, name: str) -> str | None:
        """Return a field's only value; None if it was not sent.

        Raises
        ------
        InvalidInput
            If it was sent more than once.
        """
        values = self.texts.get(name, ())
        if len(values) > 1:
            raise InvalidInput("{field} was sent {count} times. Allowed: once.", field=name, count=len(values))
        return values[0] if values else None

    def required_text(self, name: str) -> str:
        """Return a field's only value; InvalidInput if it was not sent."""
        value = self.text(name)
        if value is None:
            raise missing(name)
        return value

    def required_file(self, name: str) -> UploadFile:
        """Return the file of a field; InvalidInput if there is none."""
        if name not in self.files:
            raise InvalidInput("{field} is required. Send it as a file part with a file name.", field=name)
        return self.files[name]

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Raise InvalidInput for the first field that is not among the known ones."""
        for name in (*self.texts, *self.files):
            if name not in known:
                raise unknown_field(name, known=known, got=as_written((name,), self.written))


@asynccontextmanager
async def received_form(request: Request) -> AsyncIterator[ReceivedForm]:
    """Read a multipart form with at most one file, for as long as the block runs.

    A client often sends the file before the fields that name its owner, so it can be stored only after the form's end.

    Raises
    ------
    UnsupportedFormat
        If the body is not a multipart form.
    InvalidInput
        If a field came in both spellings.
    MalformedRequest
        If the form cannot be read, breaks off, or has a second file.
    TooLarge
        If a text is too long.
    StoreUnavailable
        If the disk has no space for the file.
    """
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise UnsupportedFormat(CONTENT_TYPE_REFUSED, got=content_type, allowed="multipart/form-data")
    async with receive_form(_OneFileForm(request)) as form:
        texts: dict[str, list[str]] = {}
        files: dict[str, UploadFile] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = value
            else:
                texts.setdefault(name, []).append(value)
        one_spelling = in_one_spelling(texts.items())
        if (user_id := fill_user(None)) is not None:
            one_spelling.setdefault("user_id", [user_id])
        yield ReceivedForm(texts=one_spelling, files=files, written=texts)


class _OneFileForm(FormReader):
    """A form of texts with at most one file."""

    def admit(self, name: str | None, filename: str | None) -> bool:
        is_file = name == FILE_FIELD or filename is not None
        if is_file and (others := self.files()):
            raise MalformedRequest(
                "There are two files, in {first!r} and {second!r}. Allowed: one, in {allowed}.",
                field=name, first=others[0], second=name, allowed=FILE_FIELD,
            )  # fmt: skip
        return is_file

    def too_long(self, name: str) -> TooLarge:
        return TooLarge(
            "The text in {got!r} is too long. Maximum: {most} bytes. Send a file in {file_field}.",
            got=name, most=self.max_part_size, file_field=FILE_FIELD,
        )  # fmt: skip


async def chunks_of(upload: UploadFile) -> AsyncIterator[bytes]:
    """Yield an upload's bytes from its beginning, piece by piece."""
    await upload.seek(0)
    while chunk := await upload.read(CHUNK_BYTES):
        yield chunk


def temporary_model(
    models: ModelService, upload: UploadFile, *, user_id: str, model_name: str | None = None
) -> AbstractAsyncContextManager[ModelFile]:
    """Hold the file that came with a backtest for as long as the block runs; it is removed however the block ends."""
    return models.temporary(
        user_id=user_id, original_filename=upload.filename or "", model_name=model_name, chunks=chunks_of(upload)
    )
