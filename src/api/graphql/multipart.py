"""Read the GraphQL multipart request: an `operations` document, a `map`, and the files of its variables.

Specification: https://github.com/jaydenseric/graphql-multipart-request-spec. Form parsers read a part without a file
name as text, and some clients send files so (gql when it streams). Here every part except these two is a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.datastructures import UploadFile
from starlette.requests import Request

from src.api.allowance import found_allowance
from src.api.http.multipart import FormReader
from src.api.json_bodies import check_names
from src.domain.errors import MalformedRequest, TooLarge
from src.domain.rates import Rate

OPERATIONS: Final = "operations"
MAP: Final = "map"

MAX_FILES: Final = 8


class OperationsForm(FormReader):
    """A multipart request while it arrives; `texts` stay bytes because only their JSON defines their meaning."""

    what = "The multipart body"

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.texts: dict[str, bytes] = {}
        self._allowance = found_allowance(request)

    def admit(self, name: str | None, filename: str | None) -> bool:  # noqa: ARG002  (all but two parts are files)
        if name is None:
            raise MalformedRequest("A part of the multipart body has no name.")
        if name in self.texts or name in self.files():
            raise MalformedRequest("The part {got!r} was sent twice.", got=name)
        if name in {OPERATIONS, MAP}:
            self._current_part.content_disposition = b'form-data; name="%b"' % name.encode()  # without a file name
            return False
        if len(self.files()) >= MAX_FILES:
            raise MalformedRequest("There are too many files. Maximum: {most}.", most=MAX_FILES)
        if self.files() and self._allowance is not None:  # the first file is counted with the request
            self._allowance.spend_further(Rate.UPLOADS)
        return True

    def too_long(self, name: str) -> TooLarge:  # noqa: ARG002
        return TooLarge(
            "The parts operations and map are too long. Maximum: {most} bytes each.", most=self.max_part_size
        )

    def on_part_end(self) -> None:
        part = self._current_part
        if part.file is None:
            self.texts[part.field_name] = bytes(part.data)
        else:
            super().on_part_end()


def place_files(texts: Mapping[str, bytes], files: Mapping[str, UploadFile]) -> dict[str, Any]:
    """Return `operations` with each file where `map` puts it.

    Raises
    ------
    MalformedRequest
        If either is missing or breaks the specification.
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


def _read_object(texts: Mapping[str, bytes], name: str) -> dict[str, Any]:
    if name not in texts:
        raise MalformedRequest("The multipart body has no part {name}.", name=name)
    try:
        value = orjson.loads(texts[name])
    except orjson.JSONDecodeError as error:
        raise MalformedRequest("The part {name} is not JSON: {reason}.", name=name, reason=str(error)) from error
    check_names(texts[name])
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
    """Return what a JSON value holds under a key of a path, `missing` if the key does not exist."""
    if isinstance(parent, dict):
        return parent.get(key, missing)
    if isinstance(parent, list) and key.isascii() and key.isdigit() and len(key) < 6 and int(key) < len(parent):
        return parent[int(key)]
    return missing
