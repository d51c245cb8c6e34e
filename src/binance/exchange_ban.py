"""Share the exchange's order to stop requests among all processes of this machine, in a file."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from src.files.writing import write_atomically

logger = logging.getLogger(__name__)

_MAX_BAN_S: Final = 7 * 86_400.0
"""The exchange's longest ban; a file with a longer one was written while the clock was wrong."""


class ExchangeBan:
    """The SharedLimits of one machine: the end of a pause, in a file, by the machine's time of day.

    Each process also keeps in memory the pause that the exchange ordered it to make. If the file cannot be read or
    written, the other processes continue until the exchange refuses their own requests.

    Parameters
    ----------
    file
        Its folder is created when first needed.
    now_s
        Returns seconds since the epoch.
    """

    def __init__(self, file: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._file = file
        self._now_s = now_s
        self._seen: tuple[int, int] | None = None
        self._until_s = -math.inf

    def left_s(self) -> float:
        """Return how many seconds of the pause are left; 0 or less if there is none."""
        try:
            status = self._file.stat()
            if (status.st_mtime_ns, status.st_ino) != self._seen:
                self._until_s = float(self._file.read_text())
                self._seen = status.st_mtime_ns, status.st_ino
        except FileNotFoundError:
            return 0.0
        except (OSError, ValueError) as error:
            logger.warning("shared exchange ban not readable: file=%s error=%s", self._file.name, error)
            return 0.0
        left_s = self._until_s - self._now_s()
        return left_s if left_s <= _MAX_BAN_S else 0.0

    def extend(self, seconds: float) -> None:
        """Make every process wait for this many seconds from now; a shorter pause never shortens a longer one."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if seconds > self.left_s():
                    write_atomically(self._file, repr(self._now_s() + seconds).encode())
            finally:
                os.close(lock)
        except OSError as error:
            logger.warning("shared exchange ban not written: file=%s error=%s", self._file.name, error)

    async def reserve(self, weight: int, *, per_minute: int) -> float:  # noqa: ARG002  (of the protocol)
        """Return 0: the exchange's responses show each process the weight that others on its address have used."""
        return 0.0
