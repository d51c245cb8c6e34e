"""S3 on loopback: moto, and before it what a test makes it do wrong. Its content outlives a stop of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

KEY_ID = "AKIAOBJECTSOFTESTS00"
SECRET = "a-secret-of-the-tests"


class Fault:
    """A wrong reply: a status and a code, and how long the server waits before it."""

    def __init__(self, status: str, code: str = "", *, after_s: float = 0.0) -> None:
        self.status = status
        self.code = code
        self.after_s = after_s

    @property
    def body(self) -> bytes:
        # As the real service does, quote what the client sent.
        return f"<Error><Code>{self.code}</Code><AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId></Error>".encode()


class ObjectStorage:
    """The server, and its one bucket.

    `fault` is asked about each request (its method and path), before moto sees it; None is no fault. `requests` lists
    (method, path).
    """

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.fault: Callable[[str, str], Fault | None] = lambda method, path: None
        self.requests: list[tuple[str, str]] = []
        self.port = 0
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/of/tests"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def start(self) -> None:
        """Listen, on the port of last time if there was one."""
        self._server = make_server("127.0.0.1", self.port, self._serve, threaded=True, request_handler=_Quiet)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def create_bucket(self) -> None:
        with urlopen(Request(f"{self.endpoint}/{self.bucket}", method="PUT"), timeout=30) as response:
            assert response.status == 200

    def stored_keys(self) -> list[str]:
        """Return all keys in the bucket, below the prefix of the tests."""
        from moto.backends import get_backend

        found = get_backend("s3")["123456789012"]["aws"].buckets[self.bucket].keys
        return sorted(key.removeprefix("of/tests/") for key in found)

    def content_of(self, key: str) -> Any:
        """Return moto's object, whose `value` and `last_modified` can be changed."""
        from moto.backends import get_backend

        return get_backend("s3")["123456789012"]["aws"].buckets[self.bucket].keys[f"of/tests/{key}"]

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], urlsplit(environ["PATH_INFO"]).path
        self.requests.append((method, path))
        fault = self.fault(method, path)
        if fault is None:
            reply: Iterable[bytes] = self._app(environ, start_response)
            return reply
        time.sleep(fault.after_s)
        start_response(fault.status, [("Content-Type", "application/xml"), ("Content-Length", str(len(fault.body)))])
        return [fault.body]


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Write nothing."""


_number = iter(range(1_000_000))


@contextmanager
def running_object_storage() -> Iterator[ObjectStorage]:
    """Serve an empty bucket on a free loopback port while the block runs."""
    storage = ObjectStorage(f"bucket-{next(_number)}")
    storage.start()
    storage.create_bucket()
    try:
        yield storage
    finally:
        storage.stop()
