"""Who a child is: its own session and descriptors, and a user of its own where the server is root."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from contextlib import closing

import pytest

from src.sandbox import identity
from src.sandbox.layers import Layer, LayerMissing
from src.sandbox.zygote_link import _ENVIRONMENT, _FROM_SERVER
from tests.security import plain_formats
from tests.security.hostile import ROOT, Laboratory

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another uid to give")

OPEN_DESCRIPTORS = """
def target(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return None
own = (None, "/dev/null", "/memfd:model (deleted)", "/memfd:reply (deleted)")
report(f"foreign {[d for d in range(64) if target(d) not in own]}")
"""


def test_child_has_only_its_own_descriptors(lab: Laboratory) -> None:
    assert "foreign []" in lab.run(OPEN_DESCRIPTORS)


def test_child_without_session_has_descriptors_of_zygote(lab: Laboratory) -> None:
    found = lab.run(OPEN_DESCRIPTORS, without={Layer.SESSION})
    assert "foreign [" in found
    assert "foreign []" not in found


def test_child_is_in_a_session_of_its_own(lab: Laboratory) -> None:
    source = "report(os.getsid(0) == os.getpid())"
    assert "reports: True" in lab.run(source)
    assert "reports: False" in lab.run(source, without={Layer.SESSION})


def test_child_cannot_become_inspectable(lab: Laboratory) -> None:
    source = """
from src.sandbox.kernel import prctl
try:
    prctl(4, 1)
except OSError:
    pass
report(prctl(3))
"""
    assert "reports: 0" in lab.run(source)


def test_environment_of_child_has_no_server_variables(lab: Laboratory) -> None:
    assert "HOME" in os.environ
    found = lab.run("report(sorted(os.environ))")
    names = set(found.partition("[")[2].rstrip(']."').replace("'", "").split(", "))
    assert "HOME" in names
    assert names <= {*_ENVIRONMENT, *_FROM_SERVER, *plain_formats.ENVIRONMENT}


@needs_root
def test_child_has_unused_uid_for_good(lab: Laboratory) -> None:
    found = lab.run("report(sorted({*os.getresuid(), *os.getresgid(), *os.getgroups()}))")
    uid = int(found.rpartition("[")[2].rstrip(']."'))
    assert uid not in {account.pw_uid for account in pwd.getpwall()}
    assert uid == lab.children.get_uid(0)
    back = "attempt(lambda: os.setuid(0))"
    assert "stopped by PermissionError" in lab.run(back)
    assert "stopped by PermissionError" in lab.run(back, without={Layer.SECCOMP})


@needs_root
def test_child_without_uid_could_signal_zygote(lab: Laboratory) -> None:
    """Seccomp and Landlock stop it too; without those the uid must hold."""
    source = "attempt(lambda: os.kill(os.getppid(), 0))"
    others = {Layer.SECCOMP, Layer.LANDLOCK}
    assert "stopped by PermissionError" in lab.run(source, without=others)
    assert "got None" in lab.run(source, without=others | {Layer.UID})


@needs_root
def test_child_has_no_capability_with_or_without_a_uid(lab: Laboratory) -> None:
    source = "report([line for line in open('/proc/self/status') if line.startswith('CapEff')])"
    read_any = 1 << identity.CAP_DAC_READ_SEARCH
    for without in (set(), {Layer.UID}):
        found = lab.run(source, without={Layer.LANDLOCK, *without})
        assert int(found.partition("\\t")[2][:16], 16) in (0, read_any)


@needs_root
def test_reserved_uids_are_unused_and_exclusive() -> None:
    first, second = identity.ReservedUids(3), identity.ReservedUids(5)
    try:
        assert (len(set(first.uids)), len(set(second.uids))) == (3, 5)
        assert not set(first.uids) & set(second.uids)
        assert not {account.pw_uid for account in pwd.getpwall()} & {*first.uids, *second.uids}
        other = "from src.sandbox.identity import ReservedUids; print(*ReservedUids(4).uids)"
        ran = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=True, cwd=ROOT)
        assert not {*first.uids, *second.uids} & {int(uid) for uid in ran.stdout.split()}
    finally:
        first.close()
        second.close()


@needs_root
def test_uid_of_running_process_is_not_reserved() -> None:
    with closing(identity.ReservedUids(1)) as reserved:
        [uid] = reserved.uids
    with subprocess.Popen(["/bin/sleep", "60"], user=uid) as sleeping:
        try:
            with closing(identity.ReservedUids(1)) as reserved:
                assert uid not in reserved.uids
        finally:
            sleeping.kill()


@needs_root
def test_too_few_uids_are_missing_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_MIN_UID", 64_990)
    monkeypatch.setattr(identity, "_MAX_UID", 64_993)
    for _ in range(2):  # those that there were are free again
        with pytest.raises(LayerMissing, match="no 4 unused uids between 64990 and 64993"):
            identity.ReservedUids(4)
    with closing(identity.ReservedUids(3)) as reserved:
        assert sorted(reserved.uids) == [64_990, 64_991, 64_992]
