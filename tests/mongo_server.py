"""A MongoDB-protocol server on loopback: SecantusDB, and before it a relay that shows and breaks what goes through.

SecantusDB is somebody else's server on MongoDB's own storage engine. One runs in this process, for all tests of it.
"""

from __future__ import annotations

import atexit
import socket
import socketserver
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import bson
from pymongo import MongoClient

from src.stores.mongo_driver import DriverName

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
OP_MSG = 2013
HEADER = struct.Struct("<iiii")
OF_THE_DRIVER = {"hello", "isMaster", "ismaster", "ping", "endSessions", "buildInfo"}

Document = dict[str, Any]


@cache
def backend_port() -> int:
    """Return the port of this process's SecantusDB, started with the first call."""
    from secantus import SecantusDBServer

    folder = tempfile.TemporaryDirectory(prefix="secantus-")
    server = SecantusDBServer(storage_path=folder.name, cache_size="256M")
    server.start()
    atexit.register(folder.cleanup)
    atexit.register(server.stop)
    return int(server.uri.rstrip("/").rpartition(":")[2])


def backend_uri() -> str:
    return f"mongodb://127.0.0.1:{backend_port()}/?directConnection=true"


def driver_of(store_kind: str) -> DriverName:
    """Return the driver of a suite's kind of store."""
    return "pymongo" if store_kind == "pymongo" else "motor"


class MongoServer:
    """The relay, and a client that goes past it.

    `hang_up_before` and `stall_before` are asked about each command (its name and body): the first closes the
    connection, the second keeps it open and lets no more through. `commands` lists (name, collection) of what was
    asked but for the driver's own, `largest_document_bytes` the largest document inserted.
    """

    def __init__(self) -> None:
        self.client: Any = MongoClient(backend_uri())
        self.hang_up_before: Callable[[str, Document], bool] = lambda name, body: False
        self.stall_before: Callable[[str, Document], bool] = lambda name, body: False
        self.commands: list[tuple[str, object]] = []
        self.write_concerns: list[Any] = []
        self.largest_document_bytes = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.port = 0

    @property
    def uri(self) -> str:
        # Without retries: the driver would hide that a connection broke.
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true&retryWrites=false&retryReads=false"

    def note(self, name: str, body: Document) -> None:
        if name in OF_THE_DRIVER:
            return
        self.commands.append((name, body[name]))
        if name in ("insert", "delete", "update"):
            self.write_concerns.append(body.get("writeConcern"))
        for document in body.get("documents", ()):
            self.largest_document_bytes = max(self.largest_document_bytes, len(bson.encode(document)))


class _Connection(socketserver.StreamRequestHandler):
    server: _TcpServer

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", backend_port())) as backend:
            back = threading.Thread(target=_pump, args=(backend, self.connection), daemon=True)
            back.start()
            with suppress(OSError):
                self._relay(backend)
            with suppress(OSError):
                backend.shutdown(socket.SHUT_RDWR)
            back.join()

    def _relay(self, backend: socket.socket) -> None:
        mongo = self.server.mongo
        while (header := self.rfile.read(HEADER.size)) and len(header) == HEADER.size:
            length, _, _, opcode = HEADER.unpack(header)
            content = self.rfile.read(length - HEADER.size)
            if opcode == OP_MSG:
                body = _sections(content)
                name = next(iter(body))
                with mongo.lock:
                    if mongo.hang_up_before(name, body):
                        return
                    is_stalled = mongo.stall_before(name, body)
                    mongo.note(name, body)
                if is_stalled:
                    mongo.stopping.wait()
                    return
            backend.sendall(header + content)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(1 << 16):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _sections(content: bytes) -> Document:
    """Read the sections of an OP_MSG: one body, and sequences of documents that belong under a name of it."""
    flags = struct.unpack_from("<I", content)[0]
    end = len(content) - (4 if flags & 1 else 0)
    body: Document = {}
    sequences: Document = {}
    at = 4
    while at < end:
        kind, size = content[at], struct.unpack_from("<i", content, at + 1)[0]
        section = content[at + 1 : at + 1 + size]
        if kind == 0:
            body = bson.decode(section)
        else:
            name_end = section.index(b"\0", 4)
            sequences[section[4:name_end].decode()] = bson.decode_all(section[name_end + 1 :])
        at += 1 + size
    return {**body, **sequences}


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    mongo: MongoServer


@contextmanager
def running_mongo_server(database: str = "results") -> Iterator[MongoServer]:
    """Relay on a free loopback port while the block runs; `database` is empty at its start."""
    mongo = MongoServer()
    mongo.client.drop_database(database)
    with _TcpServer(("127.0.0.1", 0), _Connection) as tcp:
        tcp.mongo = mongo
        mongo.port = tcp.server_address[1]
        thread = threading.Thread(target=tcp.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield mongo
        finally:
            mongo.stopping.set()
            tcp.shutdown()
            thread.join()
            mongo.client.close()


@contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections on a loopback port and never say a word on them; gives the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        taken: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in taken:
                connection.close()
