"""Choose a port for a process that binds it later, and that nobody else is given until then."""

from __future__ import annotations

import os
import random
import socket
from typing import Final

FIRST: Final = 20_000
PORTS_PER_PROCESS: Final = 1_500
"""For 8 test processes they end at 32,000, below those that Linux hands out itself (from 32,768 on)."""


def unused_port() -> int:
    """Return a port of 127.0.0.1 that nobody has bound; no other process of this test run chooses from the same ones.

    A port that the system chooses (0) can go to the next who asks as soon as it is closed here.
    """
    start = FIRST + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8 * PORTS_PER_PROCESS
    for port in random.SystemRandom().sample(range(start, start + PORTS_PER_PROCESS), PORTS_PER_PROCESS):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise OSError(f"all ports from {start} to {start + PORTS_PER_PROCESS - 1} are taken")
