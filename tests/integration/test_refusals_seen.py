"""Check that every client reads an early refusal: Node's fetch, curl, and one that writes all before it reads."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from src.api.http.body_limit import BodyLimits
from tests.rest_app import MIB, make_rest_app
from tests.server import serving

LARGE_BYTES = 40 * MIB
REPEATS = 4

SCRIPT = """
const [url, path, repeats, kind] = process.argv.slice(1);
const fs = require('fs');
const outcomes = {};
(async () => {
  for (let i = 0; i < Number(repeats); i++) {
    let outcome;
    try {
      const form = new FormData();
      form.append('user_id', 'me');
      form.append('file', new Blob([fs.readFileSync(path)]), 'm.pkl');
      if (kind === 'twice') form.append('file', new Blob([fs.readFileSync(path)]), 'n.pkl');
      const headers = kind === 'gzip' ? { 'Content-Encoding': 'gzip' } : {};
      if (kind === 'cross') headers['Sec-Fetch-Site'] = 'cross-site';
      const response = await fetch(url, { method: 'POST', body: form, headers });
      outcome = response.status + ' ' + JSON.parse(await response.text()).code;
    } catch (error) {
      outcome = error.name + ' ' + (error.cause && error.cause.code);
    }
    outcomes[outcome] = (outcomes[outcome] || 0) + 1;
  }
  console.log(JSON.stringify(outcomes));
})();
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(make_rest_app(limits=BodyLimits(max_upload_bytes=8 * MIB))) as url:
        yield url


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "m.pkl"
    path.write_bytes(b"\x80\x04N." + bytes(LARGE_BYTES))
    return path


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node for its fetch")
@pytest.mark.parametrize(
    ("path", "kind", "outcome"),
    [
        ("/api/models/upload", "", "413 TOO_LARGE"),
        ("/api/backtests", "", "413 TOO_LARGE"),
        ("/api/models/upload", "gzip", "415 UNSUPPORTED_FORMAT"),
    ],
)
def test_node_reads_the_refusal_of_a_large_upload(
    url: str, large_file: Path, path: str, kind: str, outcome: str
) -> None:
    assert node(url + path, large_file, kind) == {outcome: REPEATS}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node for its fetch")
def test_node_reads_the_refusal_of_two_files(url: str, tmp_path: Path) -> None:
    file = tmp_path / "m.pkl"
    file.write_bytes(bytes(3 * MIB))
    assert node(f"{url}/api/models/upload", file, "twice") == {"400 MALFORMED_REQUEST": REPEATS}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node for its fetch")
def test_node_reads_the_refusal_of_another_site(url: str, large_file: Path) -> None:
    assert node(f"{url}/api/models/upload", large_file, "cross") == {"403 ORIGIN_NOT_ALLOWED": REPEATS}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node for its fetch")
@pytest.mark.parametrize(
    ("path", "outcome"), [("/no/such/page", "404 NOT_FOUND"), ("/health", "405 METHOD_NOT_ALLOWED")]
)
def test_node_reads_response_of_endpoint_without_body(url: str, tmp_path: Path, path: str, outcome: str) -> None:
    file = tmp_path / "m.pkl"
    file.write_bytes(bytes(MIB - 1024))
    assert node(url + path, file, "") == {outcome: REPEATS}


def node(url: str, file: Path, kind: str) -> dict[str, int]:
    command = ["node", "-e", SCRIPT, url, str(file), str(REPEATS), kind]
    run = subprocess.run(command, capture_output=True, timeout=90, check=True)
    outcomes: dict[str, int] = orjson.loads(run.stdout)
    return outcomes


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
def test_curl_reads_the_refusal(url: str, large_file: Path, expect: str) -> None:
    command = ["curl", "-sS", "-H", expect, "-F", "user_id=me", "-F", f"file=@{large_file}", f"{url}/api/models/upload",
               "-w", "%{size_upload}"]  # fmt: skip
    run = subprocess.run(command, capture_output=True, timeout=90, check=True)
    body, _, sent_bytes = run.stdout.rpartition(b"}")
    assert orjson.loads(body + b"}")["code"] == "TOO_LARGE"
    if expect.endswith("continue"):
        assert int(sent_bytes) == 0


def test_client_pausing_before_its_body_gets_refusal(url: str) -> None:
    address = urlsplit(url)
    head = f"POST /api/backtests HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2 * MIB}\r\n\r\n"
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
        connection.sendall(head.encode())
        time.sleep(6)  # Node pauses for as long and longer if it sends many uploads at once; nginx waits for 5 s only
        connection.sendall(bytes(2 * MIB))
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.startswith(b"HTTP/1.1 413")


def test_client_writing_before_reading_gets_refusal(url: str) -> None:
    address = urlsplit(url)
    head = f"POST /api/models/upload HTTP/1.1\r\nHost: s\r\nContent-Length: {LARGE_BYTES}\r\n\r\n".encode()
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
        connection.sendall(head)
        for _ in range(LARGE_BYTES // MIB):
            connection.sendall(bytes(MIB))
        response = b""
        while piece := connection.recv(65536):
            response += piece
    assert response.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"TOO_LARGE"' in response
