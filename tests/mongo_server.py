"""A TCP server that speaks MongoDB's wire protocol, with mongomock behind it.

It knows the commands that a result store needs (OP_MSG, and OP_QUERY for the first greeting), refuses documents above
16 MiB as MongoDB does, and can be told to hang up. It answers one command at a time.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import bson
import mongomock
from mongomock import DuplicateKeyError

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HEADER = struct.Struct("<iiii")
NO_SUCH_COMMAND, DUPLICATE_KEY, TOO_LARGE = 59, 11000, 10334

Document = dict[str, Any]


class MongoServer:
    """Holds the databases and answers commands.

    `hang_up_before` is asked about each command (its name and body) and closes the connection where it says True;
    `commands` lists (name, collection) of all that came, `largest_document_bytes` the largest document inserted.
    """

    def __init__(self) -> None:
        self.client = mongomock.MongoClient()
        self.hang_up_before: Callable[[str, Document], bool] = lambda name, body: False
        self.commands: list[tuple[str, object]] = []
        self.write_concerns: list[Any] = []
        self.largest_document_bytes = 0
        self.lock = threading.Lock()
        self.connections: set[socket.socket] = set()
        self._cursors: dict[int, tuple[str, Iterator[Document]]] = {}
        self.port = 0

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def answer(self, body: Document) -> Document:
        name = next(iter(body))
        command = getattr(self, f"_{name.lower()}", None)
        if command is None:
            return {"ok": 0.0, "errmsg": f"no such command: '{name}'", "code": NO_SUCH_COMMAND}
        self.commands.append((name, body[name]))
        if name in ("insert", "delete", "update"):
            self.write_concerns.append(body.get("writeConcern"))
        return {**command(body), "ok": 1.0}

    def _collection(self, body: Document, name: str) -> Any:
        return self.client[body["$db"]][name]

    def _hello(self, body: Document) -> Document:
        return {
            "helloOk": True, "isWritablePrimary": True, "ismaster": True, "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
            "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0,
            "maxWireVersion": 21, "readOnly": False,
        }  # fmt: skip

    _ismaster = _hello

    def _ping(self, body: Document) -> Document:
        return {}

    def _buildinfo(self, body: Document) -> Document:
        return {"version": "7.0.0", "versionArray": [7, 0, 0, 0]}

    def _endsessions(self, body: Document) -> Document:
        return {}

    def _insert(self, body: Document) -> Document:
        inserted = 0
        for index, document in enumerate(body["documents"]):
            size = len(bson.encode(document))
            self.largest_document_bytes = max(self.largest_document_bytes, size)
            if size > MAX_DOCUMENT_BYTES:
                return {"n": inserted, "writeErrors": [{"index": index, "code": TOO_LARGE, "errmsg": "too large"}]}
            try:
                self._collection(body, body["insert"]).insert_one(document)
            except DuplicateKeyError as error:
                return {"n": inserted, "writeErrors": [{"index": index, "code": DUPLICATE_KEY, "errmsg": str(error)}]}
            inserted += 1
        return {"n": inserted}

    def _delete(self, body: Document) -> Document:
        collection = self._collection(body, body["delete"])
        deleted = 0
        for item in body["deletes"]:
            remove = collection.delete_one if item["limit"] == 1 else collection.delete_many
            deleted += remove(item["q"]).deleted_count
        return {"n": deleted}

    def _update(self, body: Document) -> Document:
        collection = self._collection(body, body["update"])
        matched = modified = 0
        for item in body["updates"]:
            update = collection.update_many if item.get("multi") else collection.update_one
            outcome = update(item["q"], item["u"], upsert=item.get("upsert", False))
            matched += outcome.matched_count
            modified += outcome.modified_count
        return {"n": matched, "nModified": modified}

    def _createindexes(self, body: Document) -> Document:
        for index in body["indexes"]:
            keys = list(index["key"].items())
            self._collection(body, body["createIndexes"]).create_index(keys, unique=index.get("unique", False))
        return {"createdCollectionAutomatically": False}

    def _find(self, body: Document) -> Document:
        found = self._collection(body, body["find"]).find(body.get("filter", {}), body.get("projection"))
        if body.get("sort"):
            found = found.sort(list(body["sort"].items()))
        rows = iter(list(found)[: abs(body.get("limit", 0)) or None])
        namespace = f"{body['$db']}.{body['find']}"
        return {"cursor": self._batch(namespace, rows, "firstBatch", body.get("batchSize", 101), number=None)}

    def _getmore(self, body: Document) -> Document:
        namespace, rows = self._cursors[body["getMore"]]
        size = body.get("batchSize", 10_000)
        return {"cursor": self._batch(namespace, rows, "nextBatch", size, number=body["getMore"])}

    def _killcursors(self, body: Document) -> Document:
        for number in body["cursors"]:
            self._cursors.pop(number, None)
        return {"cursorsKilled": body["cursors"]}

    def _batch(self, namespace: str, rows: Iterator[Document], name: str, size: int, *, number: int | None) -> Document:
        """Cut a batch as MongoDB does: at most `size` documents and 16 MiB, but at least one document."""
        batch: list[Document] = []
        room = MAX_DOCUMENT_BYTES
        for row in rows:
            batch.append(row)
            room -= len(bson.encode(row))
            if len(batch) >= size or room <= MAX_DOCUMENT_BYTES // 2:
                number = number or len(self._cursors) + 1
                self._cursors[number] = (namespace, rows)
                return {"id": number, "ns": namespace, name: batch}
        self._cursors.pop(number or 0, None)
        return {"id": 0, "ns": namespace, name: batch}


class _Connection(socketserver.StreamRequestHandler):
    server: _TcpServer

    def handle(self) -> None:
        mongo = self.server.mongo
        mongo.connections.add(self.connection)
        try:
            while message := self._read_message():
                request_id, opcode, body = message
                with mongo.lock:
                    if mongo.hang_up_before(next(iter(body)), body):
                        return
                    answer = mongo.answer(body)
                self._write(request_id, opcode, answer)
        except (ConnectionError, ValueError):
            return  # the client went away, or the test closed the socket
        finally:
            mongo.connections.discard(self.connection)

    def _read_message(self) -> tuple[int, int, Document] | None:
        header = self.rfile.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, request_id, _, opcode = HEADER.unpack(header)
        content = self.rfile.read(length - HEADER.size)
        if opcode == OP_QUERY:
            start = content.index(b"\0", 4) + 1 + 8
            size = struct.unpack_from("<i", content, start)[0]
            return request_id, opcode, {**bson.decode(content[start : start + size]), "$db": "admin"}
        assert opcode == OP_MSG, f"opcode {opcode}"
        return request_id, opcode, _sections(content)

    def _write(self, request_id: int, opcode: int, answer: Document) -> None:
        body = bson.encode(answer)
        if opcode == OP_QUERY:
            content, opcode = struct.pack("<iqii", 0, 0, 0, 1) + body, OP_REPLY
        else:
            content = struct.pack("<iB", 0, 0) + body
        self.wfile.write(HEADER.pack(HEADER.size + len(content), 1, request_id, opcode) + content)


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
    mongo: MongoServer


@contextmanager
def running_mongo_server() -> Iterator[MongoServer]:
    """Serve on a free loopback port while the block runs."""
    mongo = MongoServer()
    with _TcpServer(("127.0.0.1", 0), _Connection) as tcp:
        tcp.mongo = mongo
        mongo.port = tcp.server_address[1]
        thread = threading.Thread(target=tcp.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield mongo
        finally:
            tcp.shutdown()
            for connection in list(mongo.connections):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # closed by the client in the meantime
            thread.join()
