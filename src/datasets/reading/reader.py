"""Read an uploaded file in a child process: start it, wait for it, and check its reply."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from src.concurrency.child_process import KillSwitch, start_child
from src.concurrency.fair_queue import FairQueue, Refusals
from src.datasets.reading.table import NUMBER_ROLES, RATE, Fault
from src.datasets.reading.worker import Task
from src.domain.datasets import BarFileDeclaration
from src.domain.error_text import FieldName, Piece, Written
from src.domain.errors import Busy, InvalidInput, ServiceError, TimedOut, TooLarge, UnsupportedFormat
from src.observing.meters import UNMEASURED, QueueMeter

logger = logging.getLogger(__name__)

BYTES_PER_ROW: Final = 300
"""Most bytes of a row of text on average: the exchange's twelve columns need about 150."""
_MEMORY_BYTES: Final = 3 * 1024**3
_HEAD_BYTES: Final = 64 * 1024
_COLUMNS: Final = 7
_AT_ONCE: Final = 2
_MAX_WAITING: Final = 16
_ENVIRONMENT: Final = {"LANG": "C.UTF-8", "ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
_FIELDS: Final = ("file", "timezone", "dateFormat", "decimal")
_FROM_SERVER: Final = ("LD_LIBRARY_PATH",)
_REFUSALS: Final = Refusals(
    full="{waiting} files are already queued to be read. Retry in {retry} s.",
    late="The file was queued for {waited:g} s, and others are still before it. Retry in {retry} s.",
    closed=lambda: Busy("The service is stopping. Try again later."),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarFileRows:
    """The unchecked rows of a file, column by column [n] by the roles of `BarTable.columns`, and the `Findings`."""

    columns: dict[str, NDArray[Any]]
    units: tuple[str, ...]
    is_zone_assumed: bool
    offsets: tuple[int, ...]
    unreadable: tuple[str, ...]
    unreadable_cells: int
    other_symbol: str | None = None


class BarFileReader:
    """Reads files of bars, each in a child process of its own; a few at the same time.

    Parameters
    ----------
    max_rows
        The maximum rows of a file.
    timeout_s
        Seconds after which a child is killed.
    memory_bytes
        Address space that a child may use.
    folder
        Folder for replies, which are nameless files; None: the system's temporary folder.
    meter
        Counts the files that are read and those that wait.
    """

    def __init__(
        self,
        *,
        max_rows: int,
        timeout_s: float,
        memory_bytes: int = _MEMORY_BYTES,
        folder: Path | None = None,
        meter: QueueMeter = UNMEASURED,
    ) -> None:
        self._folder = folder
        self._max_rows = max_rows
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._queue = FairQueue(
            slots=_AT_ONCE,
            max_waiting=_MAX_WAITING,
            max_wait_s=None,
            max_slots_per_user=1,
            refusals=_REFUSALS,
            meter=meter,
        )

    async def read(self, file: IO[bytes], declared: BarFileDeclaration, *, user_id: str) -> BarFileRows:
        """Read a file from its beginning, one at a time for each user.

        Raises InvalidInput, TooLarge, UnsupportedFormat, TimedOut, Busy.
        """
        task = Task(
            symbol=declared.symbol,
            unit=declared.unit.value if declared.unit else None,
            timezone=declared.timezone,
            date_format=declared.date_format.value if declared.date_format else None,
            decimal=declared.decimal.value if declared.decimal else None,
            max_rows=self._max_rows,
            max_bytes=self._max_rows * BYTES_PER_ROW,
            memory_bytes=self._memory_bytes,
            cpu_seconds=math.ceil(self._timeout_s) * (os.cpu_count() or 1) + 1,
            answer_bytes=self._max_rows * _COLUMNS * 8 + _HEAD_BYTES,
        )
        async with self._queue.slot(user_id):
            with tempfile.TemporaryFile(dir=self._folder) as reply:
                await self._run(file, task, reply)
                return await asyncio.to_thread(_read_reply, reply, self._max_rows)

    async def _run(self, file: IO[bytes], task: Task, reply: IO[bytes]) -> None:
        switch = KillSwitch()
        try:
            code, complaint = await asyncio.to_thread(_run_child, file, task, reply, self._timeout_s, switch)
        except subprocess.TimeoutExpired:
            raise TimedOut(
                "Reading the file took longer than {most:g} s. Send a smaller one.", most=self._timeout_s
            ) from None
        finally:
            switch.cancel()
        if code != 0:
            logger.warning("reader of bar file failed: exit_code=%s stderr=%s", code, complaint[-2000:])
            raise InvalidInput("The file made its reader fail. It is damaged, or no file of bars.", field="file")


def _run_child(file: IO[bytes], task: Task, reply: IO[bytes], timeout_s: float, switch: KillSwitch) -> tuple[int, str]:
    """Return the exit code and the standard error of the child; raises TimeoutExpired."""
    file.seek(0)
    child = start_child(
        "src.datasets.reading.worker",
        asdict(task),
        environment=_ENVIRONMENT,
        inherited=_FROM_SERVER,
        stdin=file,
        stdout=reply,
        stderr=subprocess.PIPE,
    )
    switch.watch(child)
    try:
        _, complaint = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise
    return child.returncode, complaint.decode("ascii", "backslashreplace")


def _read_reply(reply: IO[bytes], max_rows: int) -> BarFileRows:
    """Check the child's reply, which may be hostile, and read its columns."""
    reply.seek(0)
    head = json.loads(reply.readline(_HEAD_BYTES))
    if "rejected" in head:
        raise _rejection(list(head["rejected"]), str(head["fault"]), str(head["field"]))
    rows, kinds = int(head["rows"]), dict(head["columns"])
    of_bars = {"time", *NUMBER_ROLES}
    is_known = of_bars <= set(kinds) <= {"close_time", *of_bars} or set(kinds) == {"time", RATE}
    if not 0 < rows <= max_rows or not is_known:
        raise ValueError("the reader's reply is not a table of bars or rates")
    columns = {}
    for role in kinds:
        dtype = np.dtype("<f8" if role in (*NUMBER_ROLES, RATE) else "<i8")
        content = reply.read(rows * dtype.itemsize)
        columns[role] = np.frombuffer(content, dtype=dtype, count=rows)
    if reply.read(1):
        raise ValueError("the reader's reply is longer than its table")
    return BarFileRows(
        columns=columns,
        units=tuple(map(str, head["units"])),
        is_zone_assumed=bool(head["is_zone_assumed"]),
        offsets=tuple(map(int, head["offsets"])),
        unreadable=tuple(map(str, head["unreadable"])),
        unreadable_cells=int(head["unreadable_cells"]),
        other_symbol=None if head["other_symbol"] is None else str(head["other_symbol"]),
    )


def _rejection(pieces: list[object], fault: str, field: str) -> ServiceError:
    sentence = Written(*map(_piece, pieces))
    if fault == Fault.TOO_LARGE:
        return TooLarge(sentence)
    if fault == Fault.FORMAT:
        return UnsupportedFormat(sentence)
    return InvalidInput(sentence, field=field if field in _FIELDS else "file")


def _piece(given: object) -> Piece:
    """Read a piece of a sentence; only the fields that a child may blame become names of fields."""
    if isinstance(given, list) and len(given) == 1 and given[0] in _FIELDS:
        return FieldName(str(given[0]))
    return str(given)
