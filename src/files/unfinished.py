"""Names of files that are not finished or live for one request, and what removes them after their process was killed.

Such a name begins with the process that made it, so that the next start tells the files of dead processes from those of
living ones. A file whose maker cannot be told is removed once it is a day old.
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
_ATTEMPTS: Final = 100
_PAUSE_S: Final = 0.0003
_OLD_S: Final = 86_400.0
_OWNER: Final = re.compile(r"\.?(?P<pid>[0-9]{1,10})-(?P<started>[0-9]{1,20})\.")
_START_FIELD: Final = 19  # `starttime` is the 22nd field of /proc/PID/stat; the first two end with the last ")"


def owner_mark() -> str:
    """Return what tells this process from every other, for the beginning of a name: `PID-START.`."""
    pid = os.getpid()
    return f"{pid}-{_started(pid) or 0}."


def unfinished_name() -> str:
    """Return a new name for a file that is being written: hidden, of this process, ending in `.part`."""
    return f".{owner_mark()}{uuid.uuid4().hex}.part"


def is_unfinished(name: str) -> bool:
    """Whether a file has a name as `unfinished_name` makes them."""
    return name.startswith(".") and name.endswith(".part")


def is_left_over(path: Path) -> bool:
    """Whether the process that made a file is gone; never True for one of a living process.

    Raises FileNotFoundError if the file is gone meanwhile.
    """
    is_alive = _is_owner_alive(path.name)
    return time.time() - path.lstat().st_mtime > _OLD_S if is_alive is None else not is_alive


def remove_unfinished(paths: Iterable[Path]) -> int:
    """Remove those files that a killed process left unfinished; return how many."""
    removed = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # another worker sweeps too
            if is_unfinished(path.name) and is_left_over(path):
                path.unlink()
                removed += 1
    return removed


def remove_if_empty(folder: Path) -> None:
    """Remove a folder if nothing is in it; a file that comes meanwhile keeps it."""
    # Not empty, gone already, or a link: then it stays as it is.
    with contextlib.suppress(OSError):
        folder.rmdir()


def open_in_folder(path: Path) -> int:
    """Make a new file, and its folder if need be; return a descriptor to write to.

    Whoever removes the last file of a folder also removes the folder, perhaps between the two steps here.

    Raises OSError if that cannot be, also if the folder is a symbolic link.
    """
    for attempt in range(_ATTEMPTS):
        time.sleep(_PAUSE_S * (attempt % 7))  # of different lengths, so as not to keep step with whoever removes
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            # Something other than a folder, or a folder that went between the kernel's answer and pathlib's look at it.
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
    """Whether the process that marked a name runs still; None if the name bears no mark."""
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
    # Process ids come again, in a restarted container at once: the same id with another start is another process.
    return int(mark["started"]) == (_started(pid) or 0)


def _started(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[_START_FIELD])
