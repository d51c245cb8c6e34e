"""One worker's HTTP server: uvicorn's, which leaves without failing a request.

On SIGUSR1 it says at /ready that it is leaving, and closes each connection after its next response; it still accepts
new ones. On SIGTERM it stops accepting, lets connections that are open send the request they were made for, and waits
for the requests under way (`timeout_graceful_shutdown`). A second SIGTERM ends it at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from src.runtime.parent import end_with_parent

logger = logging.getLogger("uvicorn.error")
"""uvicorn's: these lines stand between its own, and the supervisor's process has no other that is configured."""

ON_DRAIN: Final = "on_drain"
"""The key of the lifespan's state under which an application may leave a function that is called to begin draining."""

FIRST_REQUEST_S: Final = 1.0
"""Seconds that an open connection gets to send a request after the server has stopped accepting new ones. Clients send
within a round trip; closing sooner resets those whose request is on its way."""

_CLOSE: Final = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """A server that a supervisor drains and then ends.

    Parameters
    ----------
    is_supervised
        Whether SIGINT is left to the supervisor: a terminal sends it to the whole process group.
    """

    def __init__(self, config: uvicorn.Config, *, is_supervised: bool = False) -> None:
        super().__init__(config)
        self._is_supervised = is_supervised

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to end; at the second signal end at once."""
        if self._is_supervised and sig == signal.SIGINT:
            return
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals while the server runs; see `uvicorn.Server`."""
        signal.signal(signal.SIGUSR1, lambda _number, _frame: self.start_draining())
        with super().capture_signals():
            yield

    def start_draining(self) -> None:
        """Tell the application, and close each connection after its next response."""
        if not self.started:
            self.should_exit = True
            return
        self.config.encoded_headers = [*self.config.encoded_headers, _CLOSE]
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        on_drain: Callable[[], object] | None = self.lifespan.state.get(ON_DRAIN)
        if on_drain is not None:
            on_drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, then finish what was begun."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        if self._is_supervised:
            await self._wait_for_first_requests()
        await super().shutdown()

    async def _wait_for_first_requests(self) -> None:
        deadline = asyncio.get_running_loop().time() + FIRST_REQUEST_S
        while any(map(_is_idle, self.server_state.connections)) and not self.force_exit:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.02)


def _is_idle(connection: Any) -> bool:
    """Return whether an HTTP connection has no request under way; others (WebSockets) have no `cycle`."""
    if not hasattr(connection, "cycle"):
        return False
    return connection.cycle is None or connection.cycle.response_complete


def run_worker(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve in a process that a `Supervisor` started; exit with STARTUP_FAILURE if serving never begins."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    config.configure_logging()
    server = DrainingServer(config, is_supervised=True)
    try:
        server.run(sockets=[listener])
    except SystemExit as end:
        if server.started:
            raise
        if isinstance(end.code, str):
            logger.error("%s", end.code)
        sys.exit(STARTUP_FAILURE)
    except Exception:
        if server.started:
            raise
        logger.exception("worker did not start")
        sys.exit(STARTUP_FAILURE)


def run_reloaded(config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    """Serve in a process that uvicorn's reloader started."""
    end_with_parent()
    DrainingServer(config).run(sockets=sockets)
