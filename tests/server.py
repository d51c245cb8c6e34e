"""Real servers on loopback: an application under uvicorn, in a thread of this process, on a free port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal

import httpx
import uvicorn

from src.api.http.connection_limits import ConnectionLimits
from src.api.http.connections import BoundedHttpProtocol
from src.settings import Settings

START_S = 120.0
READY_S = 120.0


@contextmanager
def serving(app: Any, limits: ConnectionLimits | None = None, *, ws: Literal["none", "auto"] = "none") -> Iterator[str]:
    """Serve an ASGI application and give its base URL; it is stopped when the block ends."""
    protocol = type("Protocol", (BoundedHttpProtocol,), {"limits": limits or ConnectionLimits()})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, log_level="warning", lifespan="on", ws=ws, timeout_graceful_shutdown=5, http=protocol
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + START_S
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise RuntimeError("the server did not start; its log says why")
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(START_S)
            if thread.is_alive():
                raise RuntimeError("the server did not stop")


class RunningService:
    """The whole service with the settings given, from the first answer of /ready until the block ends.

    The libraries of a model format are loaded when the first model of it is opened: to load all at each start takes
    8 s of processor time.
    """

    def __init__(self, settings: Settings) -> None:
        # Imported here, because importing it builds the application for this machine's own settings.
        from src.backtest_API import create_app

        app = create_app(settings.model_copy(update={"preload_models": False}))
        self._serving = serving(app, ws="auto")
        self.url = ""

    def __enter__(self) -> RunningService:
        self.url = self._serving.__enter__()
        try:
            self._wait_until_ready()
        except BaseException as error:
            self._serving.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._serving.__exit__(kind, error, traceback)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while True:
            answer = httpx.get(f"{self.url}/ready", timeout=10.0)
            if answer.status_code == 200:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the service did not become ready: {answer.text}")
            time.sleep(0.05)
