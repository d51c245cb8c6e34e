"""The zygote: clean, unprivileged, replaced when it dies, and gone with its server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from src.sandbox.children import Children
from src.sandbox.layers import Layer
from src.sandbox.zygote_link import Child, ZygoteFailed, ZygoteLink, ZygoteOptions
from tests.processes import children_of, has_ended
from tests.security.hostile import PLAIN_FORMATS, ROOT, Laboratory

REPORT = "import os; report(os.getppid())"
STUBBORN = "import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(600)"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up, and uids to give")
both_ways = pytest.mark.parametrize("uses_uids", [pytest.param(True, marks=needs_root), False])


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
        if has_ended(pid):
            return True
        time.sleep(0.01)
    return False


def processes_of_this_one() -> set[int]:
    return set(children_of(os.getpid()))


def test_zygote_is_clean_and_single_threaded(lab: Laboratory) -> None:
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


@needs_root
def test_zygote_is_not_root(lab: Laboratory) -> None:
    status = status_of(lab.children.start("plain").pid)
    assert "0" not in status["Uid"].split()
    assert "0" not in status["Gid"].split()
    needed, read_any = 1 << 5 | 1 << 6 | 1 << 7, 1 << 2  # kill, setgid, setuid
    assert int(status["CapEff"], 16) in (needed, needed | read_any)


def test_dead_zygote_is_replaced(lab: Laboratory) -> None:
    first = lab.children.start("plain").pid
    os.kill(first, signal.SIGKILL)
    assert wait_until_gone(first)
    assert "reports" in lab.run(REPORT)
    assert lab.children.start("plain").pid != first


def test_each_family_has_its_zygote(lab: Laboratory) -> None:
    assert lab.children.start("plain").pid != lab.children.start("other").pid
    assert lab.children.start("plain") is lab.children.start("plain")


def test_zygote_starts_without_missing_library(lab: Laboratory) -> None:
    assert lab.children.start("absent").greeting["not_installed"] == ["a_library_that_is_not_installed"]


def test_zygote_without_registry_fails(lab: Laboratory) -> None:
    link = ZygoteLink(options(registry="no_such_registry"))
    with pytest.raises(ZygoteFailed, match="no_such_registry"):
        link.wait_until_ready()
    assert not Path(f"/proc/{link.pid}").exists()


def test_starting_zygote_is_closed_at_once() -> None:
    children = Children(
        registry="tests.security.slow_formats",
        source_root=ROOT,
        max_at_once=1,
        deadline_s=2.0,
        memory_bytes=1 << 30,
        uses_uids=False,
    )
    before = processes_of_this_one()
    with ThreadPoolExecutor() as threads:
        starting = threads.submit(children.start, "slow")
        while not (begun := processes_of_this_one() - before):
            time.sleep(0.01)
        children.close()
        with pytest.raises(ZygoteFailed, match=r"clos|ended"):
            starting.result()
    assert all(map(wait_until_gone, begun))
    with pytest.raises(ZygoteFailed, match="closed"):
        children.start("slow")


def test_close_ends_zygote_and_children() -> None:
    link = ZygoteLink(options())
    link.wait_until_ready()
    pid = link.pid
    link.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ZygoteFailed):
        link.fork((0, 0, 0))


def test_zygote_ends_when_server_is_killed() -> None:
    server = started_server("""
from tests.unit.sandbox.test_zygote import options
from src.sandbox.zygote_link import ZygoteLink
zygote = ZygoteLink(options())
zygote.wait_until_ready()
print(zygote.pid, flush=True)
time.sleep(60)
""")
    [zygote] = killed_after_its_word(server)
    assert wait_until_gone(zygote)


@both_ways
def test_child_ends_when_server_is_killed(tmp_path: Path, uses_uids: bool) -> None:
    server = started_server(f"""
import threading
from pathlib import Path
from tests.security.hostile import Laboratory
from tests.unit.sandbox.test_zygote import STUBBORN, first_child_of
laboratory = Laboratory(Path({str(tmp_path)!r}), deadline_s=60.0, uses_uids={uses_uids})
zygote = laboratory.children.start("plain")
threading.Thread(target=laboratory.run, args=(STUBBORN,), daemon=True).start()
print(zygote.pid, first_child_of(zygote.pid), flush=True)
time.sleep(60)
""")
    zygote, child = killed_after_its_word(server)
    assert wait_until_gone(zygote)
    assert wait_until_gone(child)


@both_ways
def test_child_ends_when_zygote_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uses_uids: bool) -> None:
    monkeypatch.setattr(Child, "end", lambda *_: None)  # the server looks away
    with still_running(tmp_path, uses_uids=uses_uids) as (zygote, child):
        os.kill(zygote, signal.SIGKILL)
        assert wait_until_gone(child)


def test_orphaned_child_is_killed_by_server(tmp_path: Path) -> None:
    # Without the layer by which it dies with that; it would hold the pipe to the server open for it.
    source = f"import os; os.closerange(6, 64); {STUBBORN}"
    with still_running(tmp_path, source, without={Layer.SESSION}) as (zygote, child):
        os.kill(zygote, signal.SIGKILL)
        assert wait_until_gone(child)


@contextmanager
def still_running(
    folder: Path,
    source: str = STUBBORN,
    *,
    without: frozenset[Layer] | set[Layer] = frozenset(),
    uses_uids: bool = os.geteuid() == 0,
) -> Iterator[tuple[int, int]]:
    """Give the pids of a zygote and of a child of its, which only SIGKILL ends."""
    laboratory = Laboratory(folder, deadline_s=60.0, uses_uids=uses_uids)
    try:
        zygote = laboratory.children.start("plain").pid
        with ThreadPoolExecutor() as threads:
            running = threads.submit(laboratory.run, source, without=without)
            child = first_child_of(zygote)
            time.sleep(0.3)  # until it has put on its layers
            try:
                yield zygote, child
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            with pytest.raises(ZygoteFailed):
                running.result()
    finally:
        laboratory.children.close()


def first_child_of(pid: int) -> int:
    while not (found := children_of(pid)):
        time.sleep(0.01)
    return found[0]


def started_server(source: str) -> subprocess.Popen[str]:
    prelude = f"import sys, time; sys.path.insert(0, {str(ROOT)!r})"
    return subprocess.Popen([sys.executable, "-c", prelude + source], stdout=subprocess.PIPE, text=True)


def killed_after_its_word(server: subprocess.Popen[str]) -> list[int]:
    assert server.stdout is not None
    said = server.stdout.readline()
    time.sleep(0.3)  # until a child that it has started has put on its layers
    server.kill()
    server.wait()
    server.stdout.close()
    return [int(pid) for pid in said.split()]
