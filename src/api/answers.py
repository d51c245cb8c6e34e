"""Answers as JSON: short ones at once, tables of many rows in a thread, very many while they are sent."""

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
"""Up to so many rows (a millisecond or two) writing them is cheaper than handing the work to a thread."""

_STREAMED_ROWS: Final = 20_000
"""Answers with more rows than this (some megabytes) are sent while they are written."""


class PendingTable(ABC):
    """A list of rows that is written when its turn comes."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def row_pieces(self) -> Iterator[bytes]:
        """Yield the rows as JSON objects with commas between them, some thousands at a time; nothing where are none.

        Few enough that each piece takes only milliseconds: meanwhile no other thread may get its turn.
        """


class AnswerText:
    """An answer as JSON, but for its `PendingTable`s, wherever they stand in it."""

    def __init__(self, answer: object) -> None:
        self._tables: list[PendingTable] = []
        self._placeholder = uuid.uuid4().hex  # a text that stands nowhere else in the answer
        text = orjson.dumps(answer, default=self._put_aside)
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
            raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
        self._tables.append(value)
        return self._placeholder


class JsonAnswer(Response):
    """A response whose tables are written when it is sent, off the event loop."""

    media_type = "application/json"

    def __init__(
        self,
        answer: object,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._text = AnswerText(answer)
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
