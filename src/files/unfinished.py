"""Name files that are unfinished or exist for one request, and remove them after their process was killed.

Such a name begins with the process that created it, so that the next start recognizes the files of ended processes. A
file without that mark is removed once it is a day old.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_ATTEMPTS: Final = 100
_PAUSE_S: Final = 0.0003
_MIN_ABANDONED_AGE_S: Final = 86_400.0
_OWNER: Final = re.compile(r"\.?(?P<pid>[0-9]{1,10})-(?P<started>[0-9]{1,20})\.")
_START_FIELD: Final = 19  # `starttime` is the 22nd field of /proc/PID/stat; the first two end with the last ")"


def owner_mark() -> str:
    """Return the beginning of a name that identifies this process: `PID-START.`."""
    pid = os.getpid()
    return f"{pid}-{_started(pid) or 0}."


def unfinished_name() -> str:
    """Return a new name for a file that is being written: hidden, of this process, ending in `.part`."""
    return f".{owner_mark()}{uuid.uuid4().hex}.part"


def is_unfinished(name: str) -> bool:
    """Return whether a name is one of `unfinished_name`."""
    return name.startswith(".") and name.endswith(".part")


def is_left_over(path: Path) -> bool:
    """Return whether the process that created a file has ended; never True for a file of a running process.

    Raises FileNotFoundError if the file was removed meanwhile.
    """
    is_alive = _is_owner_alive(path.name)
    return time.time() - path.lstat().st_mtime > _MIN_ABANDONED_AGE_S if is_alive is None else not is_alive


def remove_unfinished(paths: Iterable[Path]) -> int:
    """Remove the unfinished files of killed processes; return their number."""
    removed = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # another worker removes them too
            if is_unfinished(path.name) and is_left_over(path):
                path.unlink()
                removed += 1
    return removed


def remove_if_empty(folder: Path) -> None:
    """Remove a folder if it is empty."""
    # An OSError means that it is not empty, does not exist, or is a link.
    with contextlib.suppress(OSError):
        folder.rmdir()


def open_in_folder(path: Path) -> int:
    """Create a file, and its folder if there is none; return a descriptor to write to.

    It tries again if another process removes the empty folder between the two steps. Raises OSError, also if the folder
    is a symbolic link.
    """
    for attempt in range(_MAX_ATTEMPTS):
        time.sleep(_PAUSE_S * (attempt % 7))  # of different lengths, to fall out of step with the removing process
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            # Not a folder; or a folder that was removed between mkdir and pathlib's own check.
            if os.path.lexists(path.parent) and not path.parent.is_dir():
                raise
            continue
        if path.parent.is_symlink():
            raise NotADirectoryError("the folder is a symbolic link")
        try:
            return os.open(path, _NEW_FILE, 0o600)
        except FileNotFoundError:
            continue
    raise OSError(errno.EAGAIN, "the folder is removed again and again")


def _is_owner_alive(name: str) -> bool | None:
    """Return whether the process that marked a name still runs; None if the name has no mark."""
    mark = _OWNER.match(name)
    if mark is None:
        return None
    pid = int(mark["pid"])
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it runs, as another user
    # Process ids are reused, in a restarted container at once: the same id with another start is another process.
    return int(mark["started"]) == (_started(pid) or 0)


def _started(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[_START_FIELD])
