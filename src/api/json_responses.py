"""Write responses as JSON: short ones at once, long tables in a thread, very long ones while they are sent."""

from __future__ import annotations

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Final

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_INLINE_ROWS: Final = 2_000
"""Up to this many rows (a millisecond or two), writing is cheaper than a hand-over to a thread."""

_STREAMED_ROWS: Final = 20_000
"""Responses with more rows than this (some megabytes) are sent while they are written."""


class PendingTable(ABC):
    """A list of rows that is written only when the response is sent."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def row_pieces(self) -> Iterator[bytes]:
        """Yield the rows as JSON objects with commas between them, some thousands at a time; nothing if there are no
        rows.

        Each piece must take only milliseconds, because other threads may not run meanwhile.
        """


class JsonText:
    """A response as JSON text, with each `PendingTable` written only when `pieces` reaches it."""

    def __init__(self, content: object) -> None:
        self._tables: list[PendingTable] = []
        self._placeholder = uuid.uuid4().hex  # a text that occurs nowhere else in the response
        text = orjson.dumps(content, default=self._put_aside)
        self._texts = text.split(b'"%b"' % self._placeholder.encode())
        self.pending_rows = sum(map(len, self._tables))

    def pieces(self) -> Iterator[bytes]:
        """Yield the whole text in order, in parts of some hundred kilobytes."""
        yield self._texts[0]
        for table, text_after in zip(self._tables, self._texts[1:], strict=True):
            opening = b"["
            for rows in table.row_pieces():
                yield opening + rows
                opening = b","
            yield (b"[]" if opening == b"[" else b"]") + text_after

    def whole(self) -> bytes:
        return b"".join(self.pieces())

    def _put_aside(self, value: object) -> str:
        if not isinstance(value, PendingTable):
            raise TypeError(f"cannot write a {type(value).__name__} as JSON")
        self._tables.append(value)
        return self._placeholder


class JsonResponse(Response):
    """A response whose tables are written when it is sent, off the event loop."""

    media_type = "application/json"

    def __init__(
        self,
        content: object,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._text = JsonText(content)
        self.status_code = status_code
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI)
        text = self._text
        if text.pending_rows > _STREAMED_ROWS:
            await self._start(send)
            pieces = text.pieces()
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        is_short = text.pending_rows <= _INLINE_ROWS
        body = text.whole() if is_short else await asyncio.to_thread(text.whole)
        self.headers["Content-Length"] = str(len(body))
        await self._start(send)
        await send({"type": "http.response.body", "body": body})

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
