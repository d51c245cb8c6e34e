from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import orjson
import pytest
from starlette.types import Message

from src.api.graphql.columns import CompletedRows
from src.api.json_responses import JsonResponse, JsonText
from src.api.rows.columns import float_column, int_column, time_column


def pending(length: int, *, milliseconds: bool = False) -> CompletedRows:
    times = 1_600_000_000_000 + 60_000 * np.arange(length, dtype=np.int64)
    if milliseconds:
        times[-1] += 5
    columns = {
        "Date": time_column(times),
        "value": float_column(np.where(np.arange(length) % 7, np.arange(length) / 3, np.nan)),
        "bar": int_column(np.arange(length)),
        "__typename": "Row",
    }
    return CompletedRows(columns, length)


@pytest.mark.parametrize("length", [0, 1, 2047, 2048, 2049, 10_000])
@pytest.mark.parametrize("milliseconds", [False, True])
def test_json_text_equals_that_of_plain_rows(length: int, milliseconds: bool) -> None:
    rows = pending(length, milliseconds=milliseconds and length > 0)
    answer = {"data": {"first": {"rows": rows, "name": "x"}, "others": [pending(3), 1, None]}, "extensions": {}}
    finished = {
        "data": {"first": {"rows": list(rows), "name": "x"}, "others": [list(pending(3)), 1, None]},
        "extensions": {},
    }
    text = JsonText(answer)
    assert text.pending_rows == length + 3
    assert text.whole() == orjson.dumps(finished)


def test_rows_without_fields_and_rows_by_index() -> None:
    assert JsonText({"rows": CompletedRows({}, 2)}).whole() == b'{"rows":[{},{}]}'
    rows = pending(5000)
    assert rows[4999]["bar"] == 4999
    assert [row["bar"] for row in rows[1:3]] == [1, 2]


def test_value_that_is_no_json_is_an_error() -> None:
    with pytest.raises(TypeError):
        JsonText({"data": {1, 2}})


async def send_all(answer: Any) -> list[Message]:
    messages: list[Message] = []

    async def note(message: Message) -> None:
        messages.append(message)

    response = JsonResponse(answer)
    response.headers["X-Later"] = "yes"
    await response({"type": "http"}, asyncio.Event().wait, note)  # type: ignore[arg-type]
    return messages


@pytest.mark.parametrize(("length", "is_streamed"), [(10, False), (20_000, False), (20_001, True)])
async def test_only_very_long_responses_are_streamed(length: int, is_streamed: bool) -> None:
    rows = pending(length)
    start, *bodies = await send_all({"data": rows})
    headers = dict(start["headers"])
    content = b"".join(message["body"] for message in bodies)
    assert content == orjson.dumps({"data": list(rows)})
    assert (start["status"], headers[b"content-type"], headers[b"x-later"]) == (200, b"application/json", b"yes")
    assert headers.get(b"content-length") == (None if is_streamed else str(len(content)).encode())
    assert (len(bodies) > 3) is is_streamed
    assert not bodies[-1].get("more_body")
