from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from src.concurrency.child_process import KillSwitch, start_child

MODULE = """
import json, os, sys

def main():
    leads_session = os.getsid(0) == os.getpid()
    print(json.dumps([json.loads(sys.argv[1]), sys.path[0], dict(os.environ), os.getcwd(), leads_session]))
"""


class Child:
    def __init__(self) -> None:
        self.kills = 0

    def kill(self) -> None:
        self.kills += 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "said.py").write_text(MODULE)
    return tmp_path


@pytest.mark.parametrize("has_own_session", [False, True])
def test_child_sees_only_what_it_is_given(root: Path, monkeypatch: pytest.MonkeyPatch, has_own_session: bool) -> None:
    monkeypatch.setenv("SECRET", "of the server")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    child = start_child(
        "said",
        {"rows": 3},
        environment={"LANG": "C.UTF-8"},
        inherited=("LD_LIBRARY_PATH", "TZ"),
        source_root=root,
        stdout=subprocess.PIPE,
        has_own_session=has_own_session,
    )
    said, _ = child.communicate(timeout=60)
    argument, path, environment, folder, leads_session = json.loads(said)
    environment.pop("LC_CTYPE", None)  # Python's own
    assert (argument, path, folder) == ({"rows": 3}, str(root), "/")
    assert environment == {"LANG": "C.UTF-8", "TZ": "UTC"}
    assert leads_session is has_own_session


def test_child_writes_no_byte_code(root: Path) -> None:
    child = start_child("said", {}, environment={}, inherited=(), source_root=root)
    assert child.wait(timeout=60) == 0
    assert sorted(path.name for path in root.iterdir()) == ["said.py"]


def test_child_that_cannot_be_started_raises(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(root / "missing"))
    with pytest.raises(OSError, match="missing"):
        start_child("said", {}, environment={}, inherited=(), source_root=root)


def test_cancelling_kills_the_child_that_runs() -> None:
    switch, child = KillSwitch(), Child()
    switch.watch(child)
    assert child.kills == 0
    switch.cancel()
    assert child.kills == 1


def test_child_that_starts_after_cancelling_is_killed() -> None:
    switch, child = KillSwitch(), Child()
    switch.cancel()
    switch.watch(child)
    assert child.kills == 1
