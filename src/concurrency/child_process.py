"""Start Python child processes with nothing of the server's environment, and kill them from any thread.

Workers of the HTTP server are started by multiprocessing instead (`runtime.supervisor`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Protocol

SOURCE_ROOT: Final = Path(__file__).resolve().parents[2]
"""The folder that holds the package `src`."""

_BOOT: Final = "import sys; sys.path.insert(0, {root!r}); from {module} import main; main()"


class Killable(Protocol):
    """A process that may be killed from any thread; nothing happens if it has ended."""

    def kill(self) -> None: ...


class KillSwitch:
    """A caller's right to kill its child from another thread, before the child has started or while it runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Killable | None = None
        self._is_cancelled = False

    @property
    def is_cancelled(self) -> bool:
        return self._is_cancelled

    def watch(self, child: Killable) -> None:
        """Set the child; kill it at once if the caller has cancelled."""
        with self._lock:
            self._child = child
            if self._is_cancelled:
                child.kill()

    def cancel(self) -> None:
        """Kill the child, now or as soon as there is one."""
        with self._lock:
            self._is_cancelled = True
            if self._child is not None:
                self._child.kill()


def start_child(
    module: str,
    argument: Mapping[str, object],
    *,
    environment: Mapping[str, str],
    inherited: Sequence[str],
    source_root: Path = SOURCE_ROOT,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    has_own_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a Python process that calls `main()` of a module, with an argument in `sys.argv[1]` as JSON.

    Parameters
    ----------
    environment, inherited
        Its whole environment: variables with values, and the names of variables that it gets from the server if set.

    Raises OSError if the system starts no process.
    """
    boot = _BOOT.format(root=str(source_root), module=module)
    given = {name: os.environ[name] for name in inherited if name in os.environ}
    return subprocess.Popen(  # noqa: S603  (our own interpreter and code)
        # -s -P: neither the user's packages nor the current folder are on the path.
        # -B: with a limit on written bytes a child would write truncated byte code for all processes.
        [sys.executable, "-s", "-P", "-B", "-c", boot, json.dumps(argument)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        env={**environment, **given},
        cwd="/",
        start_new_session=has_own_session,
    )
