"""The HTTP server of one worker: uvicorn's, which stops without failing a request.

On SIGUSR1, /ready reports that it is stopping, and each connection is closed after its next response; new ones are
still accepted. On SIGTERM it stops accepting, lets open connections send one request, and waits for the requests in
progress (`timeout_graceful_shutdown`). A second SIGTERM ends it at once.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from src.runtime.parent import end_with_parent

logger = logging.getLogger("uvicorn.error")
"""uvicorn's logger, the only one that is configured in the supervisor's process."""

ON_DRAIN: Final = "on_drain"
"""The key of the lifespan's state for the application's function that is called to begin draining."""

FIRST_REQUEST_S: Final = 1.0
"""Seconds that an open connection gets to send a request after the server has stopped accepting. Clients send within a
round trip; closing sooner would reset connections whose request is on its way."""

_CLOSE: Final = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """A server that a supervisor drains and then ends.

    Parameters
    ----------
    is_supervised
        Whether to ignore SIGINT, which a terminal sends to the whole process group: the supervisor handles it.
    """

    def __init__(self, config: uvicorn.Config, *, is_supervised: bool = False) -> None:
        super().__init__(config)
        self._is_supervised = is_supervised

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to stop; at the second signal stop at once."""
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
        """Call the application's `on_drain`, and close each connection after its next response."""
        if not self.started:
            self.should_exit = True
            return
        self.config.encoded_headers = [*self.config.encoded_headers, _CLOSE]
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        on_drain: Callable[[], object] | None = self.lifespan.state.get(ON_DRAIN)
        if on_drain is not None:
            on_drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, then finish the requests in progress."""
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
    """Return whether an HTTP connection has no request in progress; others (WebSockets) have no `cycle`."""
    if not hasattr(connection, "cycle"):
        return False
    return connection.cycle is None or connection.cycle.response_complete


def run_worker(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve in a process that a `Supervisor` started; exit with STARTUP_FAILURE if the server does not start."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    config.configure_logging()
    server = DrainingServer(config, is_supervised=True)
    try:
        import_application(config)
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
        logger.exception("worker failed to start")
        sys.exit(STARTUP_FAILURE)


def import_application(config: uvicorn.Config) -> None:
    """Import the module of the application, and collect no garbage meanwhile.

    Nearly all that an import makes stays, and each full collection visits all of it. Until it is warm, a worker takes
    3.8 s of processor time, 4.1 s without this (six pairs on a busy machine: `python -m tests.start_up imports`).
    """
    if not isinstance(config.app, str):
        return
    gc.disable()
    try:
        import_module(config.app.partition(":")[0])
        gc.freeze()
    finally:
        gc.enable()


def run_reloaded(config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    """Serve in a process that uvicorn's reloader started."""
    end_with_parent()
    import_application(config)
    DrainingServer(config).run(sockets=sockets)
