"""The zygote: clean, unprivileged, replaced when it dies, and gone with its server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from src.sandbox.children import Children
from src.sandbox.zygote_link import ZygoteFailed, ZygoteLink, ZygoteOptions
from tests.security.hostile import PLAIN_FORMATS, ROOT, Laboratory

REPORT = "import os; report(os.getppid())"


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def options(**changes: object) -> ZygoteOptions:
    fields: dict[str, object] = {
        "family": "plain",
        "registry": PLAIN_FORMATS,
        "source_root": ROOT,
        "uid": None,
        "capabilities": (),
        "environment": {},
    }
    return ZygoteOptions(**fields | changes)  # type: ignore[arg-type]


def wait_until_gone(pid: int) -> bool:
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists() or status_of(pid)["State"].startswith("Z"):
            return True
        time.sleep(0.01)
    return False


def processes_of_this_one() -> set[int]:
    return {int(pid) for children in Path("/proc/self/task").glob("*/children") for pid in children.read_text().split()}


def test_it_is_clean_and_single_threaded(lab: Laboratory) -> None:
    zygote = lab.children.start("plain")
    environment = Path(f"/proc/{zygote.pid}/environ")
    if os.geteuid() == 0:
        assert b"PYTEST" not in environment.read_bytes()
    else:
        # Not even the user that started it may look.
        with pytest.raises(PermissionError):
            environment.read_bytes()
    status = status_of(zygote.pid)
    assert status["Threads"] == "1"
    assert status["NoNewPrivs"] == "1"
    assert os.getsid(zygote.pid) == zygote.pid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_it_is_not_root(lab: Laboratory) -> None:
    status = status_of(lab.children.start("plain").pid)
    assert "0" not in status["Uid"].split()
    assert "0" not in status["Gid"].split()
    setgid, setuid, read_any = 1 << 6, 1 << 7, 1 << 2
    assert int(status["CapEff"], 16) in (setgid | setuid, setgid | setuid | read_any)


def test_it_is_replaced_when_it_dies(lab: Laboratory) -> None:
    first = lab.children.start("plain").pid
    os.kill(first, signal.SIGKILL)
    assert wait_until_gone(first)
    assert "reports" in lab.run(REPORT)
    assert lab.children.start("plain").pid != first


def test_families_have_a_zygote_each(lab: Laboratory) -> None:
    assert lab.children.start("plain").pid != lab.children.start("other").pid
    assert lab.children.start("plain") is lab.children.start("plain")


def test_a_library_that_is_missing_does_not_stop_it(lab: Laboratory) -> None:
    assert lab.children.start("absent").greeting["not_installed"] == ["a_library_that_is_not_installed"]


def test_a_registry_that_is_missing_does(lab: Laboratory) -> None:
    link = ZygoteLink(options(registry="no_such_registry"))
    with pytest.raises(ZygoteFailed, match="no_such_registry"):
        link.wait_until_ready()
    assert not Path(f"/proc/{link.pid}").exists()


def test_one_that_is_starting_is_closed_at_once() -> None:
    children = Children(
        registry="tests.security.slow_formats",
        source_root=ROOT,
        most_at_once=1,
        deadline_s=2.0,
        memory_bytes=1 << 30,
        uses_uids=False,
    )
    before = processes_of_this_one()
    with ThreadPoolExecutor() as threads:
        starting = threads.submit(children.start, "slow")
        while not (begun := processes_of_this_one() - before):
            time.sleep(0.01)
        asked = time.monotonic()
        children.close()
        with pytest.raises(ZygoteFailed, match=r"clos|ended"):
            starting.result()
        assert time.monotonic() - asked < 20
    assert all(map(wait_until_gone, begun))
    with pytest.raises(ZygoteFailed, match="closed"):
        children.start("slow")


def test_closing_ends_it_and_its_children() -> None:
    link = ZygoteLink(options())
    link.wait_until_ready()
    pid = link.pid
    link.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ZygoteFailed):
        link.fork((0, 0, 0))


def test_it_ends_with_a_server_that_is_killed() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from tests.unit.sandbox.test_zygote import options
from src.sandbox.zygote_link import ZygoteLink
zygote = ZygoteLink(options())
zygote.wait_until_ready()
print(zygote.pid, flush=True)
time.sleep(60)
"""],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert server.stdout is not None
    zygote = int(server.stdout.readline())
    server.kill()
    server.wait()
    server.stdout.close()
    assert wait_until_gone(zygote)
