"""Serve `/metrics` on a port of its own, so that it need not be hidden behind the port that users reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from src.api.http.connections import BoundedHttpProtocol
from src.runtime.listener import open_metrics_listener


class MetricsServer:
    """A second server in the event loop of a worker.

    All workers listen on the same port, and the kernel gives each connection to one of them: any worker responds for
    all.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._host = host
        self._port = port
        config = uvicorn.Config(
            app, http=BoundedHttpProtocol, log_config=None, access_log=False, lifespan="off", ws="none",
            server_header=False,
        )  # fmt: skip
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; raises SettingsError if another program has the port."""
        listener = open_metrics_listener(self._host, self._port)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Serve while the block runs."""
        await self.start()
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """Finish the requests in progress, and stop listening."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


class _Server(uvicorn.Server):
    """A server that leaves the signals to the worker's own one."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
