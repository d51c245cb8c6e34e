"""End this process when its parent ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def end_with_parent() -> None:
    """Send this process SIGTERM when its parent ends, also by `kill -9`.

    For processes that `multiprocessing` started: their parent holds the other end of a pipe, which the system closes.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
