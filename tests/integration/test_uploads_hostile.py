"""Check hostile or unlucky clients of a real server: each gets its error, and nothing stays on the disk."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from src.api.http.body_limit import BodyLimits
from src.api.http.linger import LingerLimits
from src.domain.errors import TimedOut
from src.stores.model_files import DiskModelFiles
from tests.rest_app import MIB, MemoryServices, make_rest_app
from tests.server import serving

MAX_BYTES = MIB
LIMITS = BodyLimits(max_upload_bytes=MAX_BYTES, multipart_slack_bytes=64 * 1024, idle_s=0.5)
LINGER = LingerLimits(max_bytes=64 * 1024, max_s=0.3)
PICKLE = b"\x80\x04N."
BOUNDARY = "hostile"


class Server(NamedTuple):
    url: str
    storage: Path
    services: MemoryServices

    def connect(self) -> socket.socket:
        address = urlsplit(self.url)
        return socket.create_connection((address.hostname or "", address.port or 0), timeout=10)

    def leftovers(self) -> list[Path]:
        """Return the files on the disk, after requests that are just ending had time to remove theirs."""
        deadline = time.monotonic() + 3
        while (found := self._files()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found

    def _files(self) -> list[Path]:
        return [path for path in self.storage.parent.rglob("*") if not path.is_dir()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    storage = tmp_path / "deep" / "storage"
    services = MemoryServices(files=DiskModelFiles(storage, max_bytes=MAX_BYTES, max_models_per_user=5))
    with serving(make_rest_app(services, limits=LIMITS, linger=LINGER)) as url:
        yield Server(url, storage, services)


def form(
    *, user_id: bytes = b"alice", filename: bytes | None = b"m.pkl", content: bytes = PICKLE, more: bytes = b""
) -> bytes:
    """Write a form byte by byte, as no well-behaved client would; `filename` None leaves it out."""
    disposition = b'Content-Disposition: form-data; name="file"' + more
    if filename is not None:
        disposition += b'; filename="' + filename + b'"'
    mark = f"--{BOUNDARY}".encode()
    return b"\r\n".join(
        [
            mark, b'Content-Disposition: form-data; name="user_id"', b"", user_id,
            mark, disposition, b"Content-Type: application/octet-stream", b"", content,
            mark + b"--", b"",
        ]
    )  # fmt: skip


def head(path: str, length: int | None) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        f"POST {path} HTTP/1.1\r\nHost: service\r\n{framing}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    ).encode()


def post(server: Server, body: bytes, path: str = "/api/models/upload") -> httpx.Response:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return httpx.post(server.url + path, content=body, headers=headers, timeout=10)


def read_answer(connection: socket.socket) -> bytes:
    """Read the response until the server closes, or resets."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    "user_id",
    [
        b"../../etc",
        b"",
        b"u" * 300,
        b".",
        b"..",
        b"a/b",
        b"a\\b",
        b"a\x00b",
        b".hidden",
        "ü".encode(),
        b"\xff\xfe",
        b"a b",
    ],
    ids=repr,
)
def test_user_ids_that_cannot_name_a_folder(server: Server, user_id: bytes) -> None:
    answer = post(server, form(user_id=user_id))
    assert (answer.status_code, answer.json()["field"]) == (422, "user_id")
    assert server.leftovers() == []


@pytest.mark.parametrize("path", ["/api/models/user/{}", "/api/models/user/{}/model/x.pkl/path"])
@pytest.mark.parametrize("user_id", ["..", "%2e%2e", "..%2f..%2fetc", "%00", "u" * 300, "%ff"])
def test_user_ids_in_paths(server: Server, path: str, user_id: str) -> None:
    with server.connect() as connection:
        connection.sendall(f"GET {path.format(user_id)} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n".encode())
        answer = read_answer(connection)
    assert answer.split(b" ")[1] in (b"404", b"422")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    "filename", ["..%2f..%2fetc%2fpasswd", "%2e%2e%2fm.pkl", "..", "m.pkl%00", "nothing.pkl", "%ff"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_file_names_in_paths_lead_nowhere(server: Server, filename: str, method: str) -> None:
    secret = server.storage.parent / "m.pkl"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_bytes(PICKLE)
    tail = "/path" if method == "GET" else ""
    target = f"{method} /api/models/user/alice/model/{filename}{tail} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(target.encode())
        answer = read_answer(connection)
    assert answer.split(b" ")[1] in (b"404", b"405", b"422")
    assert str(server.storage).encode() not in answer
    assert secret.read_bytes() == PICKLE


@pytest.mark.parametrize(
    "filename",
    [b"../../../etc/m.pkl", b"/etc/m.pkl", b"..\\..\\m.pkl", b"C:\\m.pkl", b"a\x00b.pkl", "モデル.pkl".encode(),
     b"\xff\xfe.pkl", b"m" * 5_000 + b".pkl", b" .. .pkl", b"-rf.pkl", b"m.PKL"],
    ids=lambda name: repr(name[:30]),
)  # fmt: skip
def test_odd_file_names_stay_in_the_users_folder(server: Server, filename: bytes) -> None:
    answer = post(server, form(filename=filename))
    if answer.status_code == 200:
        path = Path(answer.json()["data"]["file_path"])
        assert path.parent == server.storage / "alice"
        assert path.read_bytes() == PICKLE
        assert all(file.parent == path.parent for file in server._files())
        assert httpx.delete(f"{server.url}/api/models/user/alice/model/{path.name}").status_code == 200
    else:
        assert answer.status_code in (400, 415, 422)
    assert server.leftovers() == []


@pytest.mark.parametrize(
    ("filename", "content", "status"),
    [
        (None, b"MZ program", 415),  # a file without a name is detected by its content
        (b"", b"MZ program", 415),
        (None, b"", 422),
        (b"model", PICKLE, 415),
        (b".pkl", PICKLE, 415),
        (b"model.exe", PICKLE, 415),
        (b"model.pkl.exe", PICKLE, 415),
        (b"model.pkl", b"", 422),
        (b"model.pkl", b"MZ program", 415),
        (b"model.onnx", b"<html>", 415),
    ],
)
def test_files_that_are_no_models(server: Server, filename: bytes | None, content: bytes, status: int) -> None:
    answer = post(server, form(filename=filename, content=content))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert str(server.storage) not in answer.text
    assert server.leftovers() == []


@pytest.mark.parametrize("filename", [None, b""])
def test_file_without_a_name_is_detected_by_content(server: Server, filename: bytes | None) -> None:
    answer = post(server, form(filename=filename, content=PICKLE + bytes(MAX_BYTES - len(PICKLE))))
    assert answer.status_code == 200, answer.text
    kept = answer.json()["data"]
    assert (kept["file_extension"], kept["model_name"], kept["file_size"]) == (".pkl", "model", MAX_BYTES)
    assert kept["filename"].startswith("alice_model_")


@pytest.mark.parametrize(
    ("extended", "name"),
    [
        (b"UTF-8''m%C3%B6del.pkl", "mödel.pkl"),
        (b"utf-8'de'a%20b.pkl", "a b.pkl"),
        (b"iso-8859-1''m%F6.pkl", "mö.pkl"),
        (b"\"utf-8''quoted.pkl\"", "quoted.pkl"),
        (b"utf-8''..%2F..%2Fetc%2Fm.pkl", "m.pkl"),
        (b"utf-8''a%00%0D%0Ab.pkl", "ab.pkl"),
    ],
)
def test_extended_file_name_alone_is_used(server: Server, extended: bytes, name: str) -> None:
    response = post(server, form(filename=None, more=b"; filename*=" + extended))
    assert response.status_code == 200, response.text
    kept = response.json()["data"]
    assert kept["original_filename"] == name
    assert Path(kept["file_path"]).parent == server.storage / "alice"


@pytest.mark.parametrize("extended", [b"utf-8''%FF.pkl", b"utf-7''a.pkl", b"a.pkl", b"", b"'"])
def test_undecodable_file_name_counts_as_none(server: Server, extended: bytes) -> None:
    response = post(server, form(filename=None, more=b"; filename*=" + extended))
    assert (response.status_code, response.json()["data"]["model_name"]) == (200, "model")


@pytest.mark.parametrize("more", [b"; filename*=utf-8''other.exe", b"; note=\"; filename*=utf-8''other.exe\""])
def test_plain_file_name_comes_before_the_extended_one(server: Server, more: bytes) -> None:
    response = post(server, form(filename=b"m.pkl", more=more))
    assert (response.status_code, response.json()["data"]["original_filename"]) == (200, "m.pkl")


def test_extended_name_inside_another_parameter_is_none(server: Server) -> None:
    response = post(server, form(filename=None, more=b"; note=\"; filename*=utf-8''other.exe\""))
    assert (response.status_code, response.json()["data"]["model_name"]) == (200, "model")


@pytest.mark.parametrize("path", ["/api/models/upload", "/api/models/backtest/ml"])
def test_file_slightly_over_the_limit_is_refused(server: Server, path: str) -> None:
    # Within the allowance for the form's other fields: here the store counts the file itself.
    fields = form(content=PICKLE + bytes(MAX_BYTES))
    if path.endswith("ml"):
        symbol = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="symbol"\r\n\r\nBTCUSDT\r\n'.encode()
        fields = symbol + fields
    answer = post(server, fields, path)
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")
    assert server.leftovers() == []


def test_file_at_the_limit_is_stored(server: Server) -> None:
    answer = post(server, form(content=PICKLE + bytes(MAX_BYTES - len(PICKLE))))
    assert answer.status_code == 200
    assert answer.json()["data"]["file_size"] == MAX_BYTES


@pytest.mark.parametrize("is_declared", [True, False])
def test_upload_over_the_limit_is_refused(server: Server, is_declared: bool) -> None:
    offered = 200 * MIB
    beginning = form(content=b"")[: -len(f"\r\n--{BOUNDARY}--\r\n")] + PICKLE
    piece = bytes(256 * 1024)
    sent = 0
    with server.connect() as connection:
        connection.sendall(head("/api/models/upload", offered if is_declared else None))
        try:
            for content in [beginning] + [piece] * (offered // len(piece)):
                connection.sendall(content if is_declared else b"%x\r\n%b\r\n" % (len(content), content))
                sent += len(content)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = read_answer(connection)
    # Between the server's last read and its close, the kernel's buffers of both sides fill: a few MiB.
    assert sent < offered / 4
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"TOO_LARGE"' in answer
    assert server.leftovers() == []


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/x", f"multipart/form-data; boundary={BOUNDARY}"]
)
def test_large_body_without_files_is_refused_earlier(server: Server, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = httpx.post(f"{server.url}/api/backtests", content=bytes(MIB + 1), headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")


def test_large_body_to_unknown_path_is_not_read(server: Server) -> None:
    sent = 0
    with server.connect() as connection:
        connection.sendall(head("/no/such/page", None))
        try:
            for _ in range(400):
                connection.sendall(b"%x\r\n%b\r\n" % (256 * 1024, bytes(256 * 1024)))
                sent += 256 * 1024
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = read_answer(connection)
    assert sent < 50 * MIB
    assert answer.startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("path", ["/api/models/upload", "/api/models/backtest/ml"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_client_disconnecting_half_way_leaves_nothing(server: Server, path: str, share: float) -> None:
    body = form(content=PICKLE + bytes(900 * 1024))
    with server.connect() as connection:
        connection.sendall(head(path, len(body)) + body[: int(len(body) * share)])
    assert server.leftovers() == []
    assert httpx.get(f"{server.url}/health", timeout=10).status_code == 200


def test_client_that_stops_sending_gets_408(server: Server) -> None:
    body = form(content=PICKLE + bytes(900 * 1024))
    with server.connect() as connection:
        connection.sendall(head("/api/models/upload", len(body)) + body[:-1000])
        started = time.monotonic()
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"REQUEST_TIMEOUT"' in answer
    assert time.monotonic() - started < 5
    assert server.leftovers() == []


def test_form_ending_within_its_file_is_malformed(server: Server) -> None:
    body = form(content=PICKLE + bytes(2 * 1024 * 1024))[: MIB // 2]
    answer = post(server, body)
    assert answer.status_code in (400, 422)
    assert server.leftovers() == []


def test_backtest_leaves_no_model_file(server: Server) -> None:
    files = {"file": ("m.pkl", PICKLE)}
    fields = {"user_id": "alice", "symbol": "BTCUSDT"}
    url = f"{server.url}/api/models/backtest/ml"
    assert httpx.post(url, files=files, data=fields, timeout=10).status_code == 200
    server.services.backtests.failure = TimedOut("took too long")
    assert httpx.post(url, files=files, data=fields, timeout=10).status_code == 504
    assert server.leftovers() == []


def test_more_files_than_a_user_may_keep(server: Server) -> None:
    answers = [post(server, form()) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [409]
