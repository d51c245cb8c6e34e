"""Keep the decoded bars of small files in memory, for series that are requested repeatedly."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple

from src.bars.checked import CheckedBars

MAX_FILES: Final = 256
MAX_ROWS: Final = 1_000
"""Maximum bars of a file that is kept, so that all kept files take at most 12 MB. A year of days fits: reading the four
files of 1,000 days took a third of such a backtest's time. Longer files are read at the speed of the disk."""


class _State(NamedTuple):
    """Attributes of a file that show whether it has changed."""

    inode: int
    size_bytes: int
    modified_ns: int


class SegmentMemory:
    """The decoded bars of the files that were used last; safe to share between threads."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, tuple[_State, CheckedBars]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, file: Path, status: os.stat_result) -> CheckedBars | None:
        """Return the bars of a file that has not changed since they were kept."""
        with self._lock:
            kept = self._files.get(file)
            if kept is None or kept[0] != _state_of(status):
                return None
            self._files.move_to_end(file)
            return kept[1]

    def keep(self, file: Path, status: os.stat_result, checked: CheckedBars) -> None:
        """Keep the bars of a file as it was at `status`, unless there are more than `MAX_ROWS`."""
        if len(checked.row_times_ms()) > MAX_ROWS:
            return
        with self._lock:
            self._files[file] = (_state_of(status), checked)
            self._files.move_to_end(file)
            while len(self._files) > MAX_FILES:
                self._files.popitem(last=False)


def _state_of(status: os.stat_result) -> _State:
    return _State(status.st_ino, status.st_size, status.st_mtime_ns)
