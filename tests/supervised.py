"""A small application under the service's supervisor: `python -m tests.supervised PORT WORKERS DRAIN_S GRACEFUL_S`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import uvicorn

from src.runtime.server import ON_DRAIN
from src.runtime.supervisor import Supervisor

_draining: list[bool] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the process id and whether it drains; /slow/SECONDS takes its time."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if os.environ.get("REFUSES_TO_START"):
                    await send({"type": "lifespan.startup.failed", "message": "as asked"})
                    return
                scope["state"][ON_DRAIN] = lambda: _draining.append(True)
                await send({"type": "lifespan.startup.complete"})
            else:
                await send({"type": "lifespan.shutdown.complete"})
                return
    path = scope["path"]
    if path.startswith("/slow/"):
        await asyncio.sleep(float(path.removeprefix("/slow/")))
    body = f"{os.getpid()} {'draining' if _draining else 'serving'}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> int:
    port, workers, drain_s, graceful_s = sys.argv[1:]
    config = uvicorn.Config(
        "tests.supervised:app",
        port=int(port),
        workers=int(workers),
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=int(graceful_s),
        timeout_worker_healthcheck=1,
    )
    return Supervisor(config, drain_s=float(drain_s), graceful_stop_s=int(graceful_s)).run()


if __name__ == "__main__":
    sys.exit(main())
