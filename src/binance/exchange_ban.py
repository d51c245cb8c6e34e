"""The exchange's order to stop asking, shared by all processes that ask from this machine."""

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
"""No ban of the exchange is longer; a file that says so was written under a wrong clock."""


class ExchangeBan:
    """A pause kept in a file, in the machine's own time of day.

    A file that cannot be read or written costs the other processes a refusal of their own, and a line in the log: each
    process keeps the pause that it was told of in its memory as well.

    Parameters
    ----------
    file
        Where it is kept; its folder is made when first needed.
    now_s
        Seconds since the epoch.
    """

    def __init__(self, file: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._file = file
        self._now_s = now_s
        self._seen: tuple[int, int] | None = None
        self._until_s = -math.inf

    def left_s(self) -> float:
        """Return how many seconds of the pause are left; 0 or less where there is none."""
        try:
            status = self._file.stat()
            if (status.st_mtime_ns, status.st_ino) != self._seen:
                self._until_s = float(self._file.read_text())
                self._seen = status.st_mtime_ns, status.st_ino
        except FileNotFoundError:
            return 0.0
        except (OSError, ValueError) as error:
            logger.warning("the pause that other processes were told of cannot be read: %s", error)
            return 0.0
        left_s = self._until_s - self._now_s()
        return left_s if left_s <= _MAX_BAN_S else 0.0

    def extend(self, seconds: float) -> None:
        """Let every process wait for so long from now; a shorter pause never shortens a longer one."""
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
            logger.warning("the exchange's pause could not be told to other processes: %s", error)
