"""The service as production runs it, in processes of its own, and clients that put it under load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import httpx

from tests.ports import unused_port
from tests.processes import family, workers_of

ROOT = Path(__file__).parents[1]
START_S = 120.0
STOP_S = 40.0
_GRAPHQL_CODES = {b'"code":"BUSY"': 503, b'"code":"INTERNAL_ERROR"': 500, b'"code":"TIMED_OUT"': 504}
_LONGEST_LINE_BYTES = 1 << 22


class ProductionService:
    """The service on a free port, with settings as environment variables; stopped when the block ends.

    `command` starts it: words for Python, `python -m src.serve` unless others are given.
    `ready_after_s` is the time from the start of its process to the first `ready` of /ready.
    """

    def __init__(self, storage: Path, *, command: Sequence[str] = ("-m", "src.serve"), **variables: str) -> None:
        self.port = unused_port()
        given = {"STORAGE_DIR": str(storage), "PORT": str(self.port), "HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"}
        # Each worker would take 8 s of processor time to load the libraries of all model formats.
        others = {"MONGODB_URI": "", "DRAIN_S": "0", "PRELOAD_MODELS": "false"}
        self._environment = {**os.environ, **others, **given, **variables}
        self._command = [sys.executable, *command]
        self.ready_after_s = 0.0

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor."""
        return self._process

    def start(self) -> None:
        """Start the process without waiting for anything; who calls this stops it too."""
        self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment)

    def __enter__(self) -> ProductionService:
        started = time.perf_counter()
        self.start()
        try:
            while not self.is_ready():
                if self._process.poll() is not None or time.perf_counter() - started > START_S:
                    raise RuntimeError("the service did not become ready")
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise
        self.ready_after_s = time.perf_counter() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def workers(self) -> list[int]:
        """The process ids of those that answer requests; model files are opened in other processes."""
        return workers_of(self._process.pid)

    def memory_bytes(self, name: str = "VmRSS") -> list[int]:
        """The resident memory of each worker now, or with `VmHWM` at its highest."""
        found = []
        for pid in self.workers():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found += [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")]
        return found

    def settle(self) -> None:
        """Wait until what goes on behind its start (libraries of model formats are loaded) has come to rest."""
        deadline, before = time.monotonic() + START_S, self._cpu_ticks()
        while time.monotonic() < deadline:
            time.sleep(1.0)
            now = self._cpu_ticks()
            if now - before < 3:
                return
            before = now

    def _cpu_ticks(self) -> int:
        """Processor time of the whole family, in hundredths of a second."""
        ticks = 0
        for pid in family(self._process.pid):
            with suppress(OSError):  # it ended meanwhile
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks

    def is_ready(self) -> bool:
        """Ask /ready once."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=10) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False

    def stop(self) -> None:
        """Have it end in order, and kill it if it does not."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def graphql(document: str, variables: dict[str, Any]) -> bytes:
    """One POST of a GraphQL document as it goes over the wire."""
    return post("/graphql", {"query": document, "variables": variables})


def post(path: str, body: object) -> bytes:
    """One POST of JSON as it goes over the wire."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def form(path: str, fields: dict[str, str], file_name: str, content: bytes) -> bytes:
    """One POST of a form with a file as it goes over the wire."""
    request = httpx.Request("POST", f"http://x{path}", data=fields, files={"file": (file_name, content)})
    body = request.read()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {request.headers['content-type']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str) -> bytes:
    """One GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


@dataclass
class Load:
    """What a load gave: the seconds that each request took, by the status of its answer, and of the whole."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    elapsed_s: float = 0.0
    bodies: Counter[bytes] = field(default_factory=Counter)

    @property
    def statuses(self) -> dict[int, int]:
        return {status: len(taken) for status, taken in self.seconds.items()}

    def percentile(self, share: float, status: int = 200) -> float:
        """The time within which that share of the requests was answered, in seconds."""
        taken = sorted(self.seconds[status])
        return taken[min(len(taken) - 1, int(len(taken) * share))]


async def put_under_load(
    port: int,
    requests: Iterable[bytes],
    *,
    connections: int,
    until: Callable[[], bool] = lambda: False,
    every_s: float = 0.0,
) -> Load:
    """Send each request once, over so many connections, each of which waits for its answer before it sends the next.

    Parameters
    ----------
    until
        Ends the load before the requests do.
    every_s
        When each connection's next request is due after the one before. One that has to wait for an answer that is
        late counts from when it was due: otherwise a long silence would be a single slow request.
    """
    load, waiting = Load(), iter(requests)
    started = time.perf_counter()
    await asyncio.gather(*(_client(port, waiting, load, until, every_s) for _ in range(connections)))
    load.elapsed_s = time.perf_counter() - started
    return load


async def _client(port: int, requests: Iterator[bytes], load: Load, until: Callable[[], bool], every_s: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LONGEST_LINE_BYTES)
    due = time.perf_counter()
    try:
        for request in requests:
            if until():
                return
            sent = due if every_s else time.perf_counter()
            writer.write(request)
            status, body = await read_answer(reader)
            if status == 200 and body.startswith(b'{"data":null,"errors":['):
                # GraphQL answers 200 whatever was wrong; its code says what.
                status = next((status for code, status in _GRAPHQL_CODES.items() if code in body), 422)
            load.seconds.setdefault(status, []).append(time.perf_counter() - sent)
            if status != 200:
                load.bodies[body[:200]] += 1
            due += every_s
            if every_s and (early_s := due - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer: its status and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, mark = int(head[9:12]), head.find(b"content-length:")
    if mark >= 0:
        return status, await reader.readexactly(int(head[mark + 15 : head.index(b"\r", mark)]))
    pieces = []
    while size := int(await reader.readline(), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return status, b"".join(pieces)
