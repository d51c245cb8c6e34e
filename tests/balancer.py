"""A plain load balancer on loopback: it passes each connection on to the next service whose /ready says so."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from urllib.error import URLError
from urllib.request import urlopen

PROBE_S = 0.2


def is_ready(port: int) -> bool:
    """Ask a service once."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


class Balancer:
    """Balances connections over services on these ports; it reads no HTTP, and tries nothing twice."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._turns = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.ready: frozenset[int] = frozenset()
        self.connections = dict.fromkeys(ports, 0)
        """How many connections each service was given."""

    def __enter__(self) -> Balancer:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> asyncio.Server:
        await self._probe()
        self._probing = asyncio.create_task(self._probe_again())
        return await asyncio.start_server(self._pass_on, "127.0.0.1", 0)

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _probe(self) -> None:
        answers = await asyncio.gather(*(asyncio.to_thread(is_ready, port) for port in self._ports))
        self.ready = frozenset(port for port, is_up in zip(self._ports, answers, strict=True) if is_up)

    async def _probe_again(self) -> None:
        while True:
            await asyncio.sleep(PROBE_S)
            await self._probe()

    async def _pass_on(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        able = [port for port in self._ports if port in self.ready]
        if not able:
            to_client.close()
            return
        port = able[next(self._turns) % len(able)]
        self.connections[port] += 1
        async with _closing(to_client):
            with suppress(OSError):
                service, to_service = await asyncio.open_connection("127.0.0.1", port)
                async with _closing(to_service):
                    await asyncio.gather(_copy(client, to_service), _copy(service, to_client))


@asynccontextmanager
async def _closing(stream: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        stream.close()
        with suppress(OSError):
            await stream.wait_closed()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy bytes until the source ends, and then end the target too."""
    with suppress(OSError):
        while content := await source.read(65536):
            target.write(content)
            await target.drain()
    target.close()
