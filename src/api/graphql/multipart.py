"""The GraphQL multipart request: an `operations` document, a `map`, and the files that go into its variables.

Specification: https://github.com/jaydenseric/graphql-multipart-request-spec. Form parsers take a part without a file
name for text, and some clients send files so (gql when it streams); here every part but the two named ones is a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import orjson
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.requests import Request

from src.api.http.disposition import read_disposition
from src.api.http.spooling import spooling
from src.domain.errors import MalformedRequest, TooLarge

OPERATIONS: Final = "operations"
MAP: Final = "map"

MAX_FILES: Final = 8
MAX_TEXT_BYTES: Final = 1024 * 1024
"""As for a body of plain JSON."""
MEMORY_BYTES: Final = 1024 * 1024
"""What of a file is kept in memory; beyond it, the system frees a nameless temporary file even if this process dies."""


class MultipartBody:
    """A multipart body as it arrives: two texts, and files on disk; `close` frees the files."""

    def __init__(self) -> None:
        self.texts: dict[str, bytearray] = {}
        self.files: dict[str, UploadFile] = {}
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._headers: list[tuple[bytes, bytes]] = []
        self._part: bytearray | UploadFile = bytearray()
        self._unwritten: list[tuple[UploadFile, bytes]] = []
        self._is_whole = False

    async def read(self, request: Request) -> None:
        """Read the request's body to its end.

        Raises
        ------
        MalformedRequest, TooLarge, StoreUnavailable
        """
        _, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary")
        if not boundary:
            raise MalformedRequest("Content-Type names no multipart boundary.")
        try:
            parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header_name,
                    "on_header_value": self._add_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open_part,
                    "on_part_data": self._add_data,
                    "on_end": self._end,
                },
            )
            with spooling():
                async for chunk in request.stream():
                    parser.write(chunk)
                    await self._write()
                parser.finalize()
                for upload in self.files.values():
                    await upload.seek(0)
        except FormParserError as error:
            raise MalformedRequest("The multipart body cannot be read: {reason}.", reason=str(error)) from error
        # The parser does not ask for the last boundary: a body that breaks off would count as whole.
        if not self._is_whole:
            raise MalformedRequest("The multipart body ends before its last boundary.")

    async def close(self) -> None:
        for upload in self.files.values():
            with suppress(OSError):  # closing writes what is buffered, and the disk may be full
                await upload.close()

    def _begin_part(self) -> None:
        self._headers = []

    def _add_header_name(self, content: bytes, start: int, end: int) -> None:
        self._header[0].extend(content[start:end])

    def _add_header_value(self, content: bytes, start: int, end: int) -> None:
        self._header[1].extend(content[start:end])

    def _end_header(self) -> None:
        name, value = self._header
        self._headers.append((bytes(name).lower(), bytes(value)))
        self._header = (bytearray(), bytearray())

    def _open_part(self) -> None:
        headers = Headers(raw=self._headers)
        name, filename = read_disposition(headers.get("content-disposition"))
        if name is None:
            raise MalformedRequest("A part of the multipart body has no name.")
        if name in self.texts or name in self.files:
            raise MalformedRequest("The part {got!r} was sent twice.", got=name)
        if name in {OPERATIONS, MAP}:
            self._part = self.texts[name] = bytearray()
            return
        if len(self.files) >= MAX_FILES:
            raise MalformedRequest("There are too many files. Maximum: {most}.", most=MAX_FILES)
        spool: Any = SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115  (closed with the body)
        self._part = self.files[name] = UploadFile(spool, size=0, filename=filename or "", headers=headers)

    def _add_data(self, content: bytes, start: int, end: int) -> None:
        if isinstance(self._part, UploadFile):
            self._unwritten.append((self._part, content[start:end]))
            return
        self._part.extend(content[start:end])
        if len(self._part) > MAX_TEXT_BYTES:
            raise TooLarge(
                "The parts operations and map are too long. Maximum: {most} bytes each.", most=MAX_TEXT_BYTES
            )

    def _end(self) -> None:
        self._is_whole = True

    async def _write(self) -> None:
        for upload, content in self._unwritten:
            await upload.write(content)
        self._unwritten.clear()


def place_files(texts: Mapping[str, bytearray], files: Mapping[str, UploadFile]) -> dict[str, Any]:
    """Return `operations` with each file at the places that `map` names for it.

    Raises
    ------
    MalformedRequest
        Where either is missing or is not what the specification says.
    """
    operations = _read_object(texts, OPERATIONS)
    for name, paths in _read_object(texts, MAP).items():
        if name not in files:
            raise MalformedRequest("The map names the part {got!r}, which was not sent.", got=name)
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise MalformedRequest("The value of {got!r} in the map is not a list of paths.", got=name)
        for path in paths:
            _place(operations, path, files[name])
    return operations


def _read_object(texts: Mapping[str, bytearray], name: str) -> dict[str, Any]:
    if name not in texts:
        raise MalformedRequest("The multipart body has no part {name}.", name=name)
    try:
        value = orjson.loads(texts[name])
    except orjson.JSONDecodeError as error:
        raise MalformedRequest("The part {name} is not JSON: {reason}.", name=name, reason=str(error)) from error
    if not isinstance(value, dict):
        raise MalformedRequest(
            "The part {name} is not a JSON object. Batches of operations are not supported.", name=name
        )
    return value


def _place(operations: dict[str, Any], path: str, upload: UploadFile) -> None:
    *parents, last = path.split(".")
    target: Any = operations
    for key in parents:
        target = _child(target, key)
    if parents[:1] != ["variables"] or _child(target, last, missing=0) is not None:
        raise MalformedRequest(
            "The map has the path {got!r}, but operations has no null there in its variables.", got=path
        )
    if isinstance(target, list):
        target[int(last)] = upload
    else:
        target[last] = upload


def _child(parent: Any, key: str, *, missing: Any = None) -> Any:
    """Return what a JSON value holds under a key of a path, `missing` where there is no such place."""
    if isinstance(parent, dict):
        return parent.get(key, missing)
    if isinstance(parent, list) and key.isascii() and key.isdigit() and len(key) < 6 and int(key) < len(parent):
        return parent[int(key)]
    return missing
