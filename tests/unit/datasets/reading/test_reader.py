"""Files wait to be read: one of each user at a time, a few at once, and not without end."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from src.api.spelling import snake_case
from src.datasets.reading import reader
from src.datasets.reading.reader import BarFileReader, _read_reply
from src.datasets.reading.table import BarFileRejected
from src.domain.datasets import BarFileDeclaration
from src.domain.errors import Busy, InvalidInput

DECLARED = BarFileDeclaration(symbol="BTCUSDT")


class Reading:
    """A reader whose files are read for as long as a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.users: list[str] = []
        self.go = asyncio.Event()
        self._reader = BarFileReader(max_rows=10, timeout_s=10.0)
        monkeypatch.setattr(self._reader, "_run", self._hold)
        monkeypatch.setattr(reader, "_read_reply", lambda *_: None)

    async def read(self, user_id: str) -> None:
        await self._reader.read(io.BytesIO(user_id.encode()), DECLARED, user_id=user_id)

    async def start(self, *users: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.read(user)) for user in users]
        await asyncio.sleep(0.01)
        return tasks

    async def _hold(self, file: io.BytesIO, *_: object) -> None:
        self.users.append(file.getvalue().decode())
        await self.go.wait()


@pytest.fixture
async def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    return Reading(monkeypatch)


async def test_files_of_one_user_leave_slot_to_others(reading: Reading) -> None:
    tasks = await reading.start(*["greedy"] * 5, "honest")
    assert reading.users == ["greedy", "honest"]
    reading.go.set()
    await asyncio.gather(*tasks)
    assert len(reading.users) == 6


async def test_full_queue_rejects_file_with_retry_after(reading: Reading) -> None:
    tasks = await reading.start(*["greedy"] * 18)
    with pytest.raises(Busy, match=r"17 files are already queued to be read\. Retry in 1 s\.") as busy:
        await reading.read("greedy")
    assert busy.value.retry_after_s
    honest = await reading.start("honest")
    assert reading.users == ["greedy", "honest"]
    reading.go.set()
    ends = await asyncio.gather(*tasks, *honest, return_exceptions=True)
    assert [isinstance(end, Busy) for end in ends] == [False] * 17 + [True, False]


async def test_cancelled_files_leave_the_queue(reading: Reading) -> None:
    for _ in range(3):
        tasks = await reading.start(*["greedy"] * 9)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    reading.users.clear()
    tasks = await reading.start("greedy", "honest")
    assert reading.users == ["greedy", "honest"]
    reading.go.set()
    await asyncio.gather(*tasks)


def answered(head: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        _read_reply(io.BytesIO(json.dumps(head).encode() + b"\n"), max_rows=10)
    return caught.value


def test_rejection_keeps_its_field_names_across_processes() -> None:
    rejected = BarFileRejected(
        "{got!r} is no date. Give {field}, or {@timezone}.", field="dateFormat", got="dateFormat"
    )
    error = answered(rejected.to_plain())
    assert error.field == "dateFormat"
    assert error.message == rejected.message == "'dateFormat' is no date. Give dateFormat, or timezone."
    assert error.text.render(snake_case) == "'dateFormat' is no date. Give date_format, or timezone."


@pytest.mark.parametrize("piece", [["maxBars"], ["dateFormat", "x"], [["dateFormat"]], {"dateFormat": 1}, 7])
def test_child_cannot_name_other_fields(piece: object) -> None:
    error = answered({"rejected": [piece, "{@maxBars} maxBars"], "fault": "invalid", "field": "maxBars"})
    assert error.field == "file"
    assert error.text.render(snake_case) == f"{piece}{{@maxBars}} maxBars"
