"""The server's side of the child that reads files of candles: start it, wait for it, check what it answers."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from src.datasets.reading.table import NUMBER_ROLES, Fault
from src.datasets.reading.worker import Task
from src.domain.datasets import BarFileDeclaration
from src.domain.errors import Busy, InvalidInput, ServiceError, TimedOut, TooLarge, UnsupportedFormat

_logger = logging.getLogger(__name__)

BYTES_PER_ROW: Final = 300
"""What a row of text may take on average: the exchange's twelve columns need some 150."""
_MEMORY_BYTES: Final = 3 * 1024**3
_HEAD_BYTES: Final = 64 * 1024
_COLUMNS: Final = 7
_AT_ONCE: Final = 2
_MOST_WAITING: Final = 16
_MOST_WAITING_OF_ONE: Final = 8
_BUSY_S: Final = 5.0
_BOOT: Final = "import sys; sys.path.insert(0, {root!r}); from src.datasets.reading.worker import main; main()"
_ROOT: Final = Path(__file__).resolve().parents[3]
_ENVIRONMENT: Final = {"LANG": "C.UTF-8", "ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
_FIELDS: Final = ("file", "timezone", "dateFormat", "decimal")
_FROM_SERVER: Final = ("LD_LIBRARY_PATH",)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarFileRows:
    """The rows of a file, column by column [n], unproven: the roles of `BarTable.columns`, and what reading found."""

    columns: dict[str, NDArray[Any]]
    units: tuple[str, ...]
    is_zone_assumed: bool
    offsets: tuple[int, ...]
    unreadable: tuple[str, ...]
    unreadable_cells: int
    other_symbol: str | None = None


class BarFileReader:
    """Reads files of candles, each in a child process of its own; a few at once.

    Parameters
    ----------
    max_rows
        The most rows that a file may have.
    timeout_s
        Seconds after which a child is killed.
    memory_bytes
        Address space that a child may use.
    folder
        Where answers are put down, in nameless files; None: where the system puts such files.
    """

    def __init__(
        self, *, max_rows: int, timeout_s: float, memory_bytes: int = _MEMORY_BYTES, folder: Path | None = None
    ) -> None:
        self._folder = folder
        self._max_rows = max_rows
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._turns = _Turns()

    async def read(self, file: IO[bytes], declared: BarFileDeclaration, *, user_id: str) -> BarFileRows:
        """Read a file from its beginning, one at a time for each user.

        Raises
        ------
        InvalidInput, TooLarge, UnsupportedFormat, TimedOut, Busy
        """
        task = Task(
            symbol=declared.symbol,
            unit=declared.unit.value if declared.unit else None,
            timezone=declared.timezone,
            date_format=declared.date_format.value if declared.date_format else None,
            decimal=declared.decimal.value if declared.decimal else None,
            most_rows=self._max_rows,
            most_bytes=self._max_rows * BYTES_PER_ROW,
            memory_bytes=self._memory_bytes,
            cpu_seconds=math.ceil(self._timeout_s) * (os.cpu_count() or 1) + 1,
            answer_bytes=self._max_rows * _COLUMNS * 8 + _HEAD_BYTES,
        )
        async with self._turns.of(user_id):
            with tempfile.TemporaryFile(dir=self._folder) as answer:
                await self._run(file, task, answer)
                return await asyncio.to_thread(_read_answer, answer, self._max_rows)

    async def _run(self, file: IO[bytes], task: Task, answer: IO[bytes]) -> None:
        child = _Child()
        try:
            code, complaint = await asyncio.to_thread(child.run, file, task, answer, self._timeout_s)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"Reading the file took longer than {self._timeout_s:g} s; send a smaller one.") from None
        finally:
            child.kill()
        if code != 0:
            _logger.warning("the reader of a file of candles ended with %s: %s", code, complaint[-2000:])
            raise InvalidInput("The file made its reader fail; it is damaged, or no file of candles.", field="file")


class _Turns:
    """Who may read now: a few at once, each of another user, and only so many wait."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._users: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, user_id: str) -> AsyncIterator[None]:
        """Hold a slot; Busy where too many wait, or too many of this user's."""
        if self._waiting.total() >= _MOST_WAITING or self._waiting[user_id] >= _MOST_WAITING_OF_ONE:
            raise Busy("Other files of candles are being read; try again in a moment.", retry_after_s=_BUSY_S)
        lock = self._users.setdefault(user_id, asyncio.Lock())
        self._waiting[user_id] += 1
        is_waiting = True
        try:
            async with lock, self._slots:
                self._waiting[user_id] -= 1
                is_waiting = False
                yield
        finally:
            self._waiting[user_id] -= is_waiting
            if not self._waiting[user_id]:
                del self._waiting[user_id]


class _Child:
    """One child process, which may be killed from another thread at any moment, also before it has started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_unwanted = False
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, file: IO[bytes], task: Task, answer: IO[bytes], timeout_s: float) -> tuple[int, str]:
        """Return the exit code and what it complained of; raises TimeoutExpired."""
        with self._lock:
            if self._is_unwanted:
                return -1, "cancelled"
            file.seek(0)
            # -B: its limit on written bytes would cut short the byte code that it wrote for all, unnoticed by Python.
            self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and code)
                [sys.executable, "-I", "-B", "-c", _BOOT.format(root=str(_ROOT)), json.dumps(asdict(task))],
                stdin=file,
                stdout=answer,
                stderr=subprocess.PIPE,
                cwd="/",
                env={**_ENVIRONMENT, **{name: os.environ[name] for name in _FROM_SERVER if name in os.environ}},
            )
        try:
            _, complaint = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        return self._process.returncode, complaint.decode("ascii", "backslashreplace")

    def kill(self) -> None:
        """End it where it still runs."""
        with self._lock:
            self._is_unwanted = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()


def _read_answer(answer: IO[bytes], max_rows: int) -> BarFileRows:
    """Check the child's answer as one checks a stranger's, and take the numbers out of it."""
    answer.seek(0)
    head = json.loads(answer.readline(_HEAD_BYTES))
    if "rejected" in head:
        raise _rejection(str(head["rejected"]), str(head["fault"]), str(head["field"]))
    rows, kinds = int(head["rows"]), dict(head["columns"])
    if not 0 < rows <= max_rows or not {"time", *NUMBER_ROLES} <= set(kinds) <= {"time", "close_time", *NUMBER_ROLES}:
        raise ValueError("the reader's answer is no table of candles")
    columns = {}
    for role in kinds:
        dtype = np.dtype("<f8" if role in NUMBER_ROLES else "<i8")
        content = answer.read(rows * dtype.itemsize)
        columns[role] = np.frombuffer(content, dtype=dtype, count=rows)
    if answer.read(1):
        raise ValueError("the reader's answer is longer than its table")
    return BarFileRows(
        columns=columns,
        units=tuple(map(str, head["units"])),
        is_zone_assumed=bool(head["is_zone_assumed"]),
        offsets=tuple(map(int, head["offsets"])),
        unreadable=tuple(map(str, head["unreadable"])),
        unreadable_cells=int(head["unreadable_cells"]),
        other_symbol=None if head["other_symbol"] is None else str(head["other_symbol"]),
    )


def _rejection(message: str, fault: str, field: str) -> ServiceError:
    sentence = message[0].upper() + message[1:] + "."
    if fault == Fault.TOO_LARGE:
        return TooLarge(sentence)
    if fault == Fault.FORMAT:
        return UnsupportedFormat(sentence)
    return InvalidInput(sentence, field=field if field in _FIELDS else "file")
