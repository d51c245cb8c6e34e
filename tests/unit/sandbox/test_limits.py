"""What the limits stop, and what happens without them."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from src.sandbox.layers import Layer
from src.sandbox.limits import TASK_COUNT_STEP, Limits
from tests.security.hostile import ROOT, Laboratory

TAKE_2_GIB = "import mmap; attempt(lambda: len(mmap.mmap(-1, 2 << 30)))"
GROW_THE_ANSWER = """
import fcntl
# Pipes and memory files are all a child has; a write that would lengthen a file must fail whatever the file is.
import resource
attempt(lambda: resource.getrlimit(resource.RLIMIT_FSIZE))
"""
OPEN_MANY = "attempt(lambda: len([os.dup(0) for _ in range(200)]))"
SPIN = "import resource; report(resource.getrlimit(resource.RLIMIT_CPU)[1])"


def test_memory_of_child_is_bounded(lab: Laboratory) -> None:
    assert "stopped by OSError 12" in lab.run(TAKE_2_GIB)


def test_without_limits_memory_is_not_bounded(lab: Laboratory) -> None:
    assert "got 2147483648" in lab.run(TAKE_2_GIB, without={Layer.LIMITS})


def test_descriptors_of_child_are_bounded(lab: Laboratory) -> None:
    assert "stopped by OSError 24" in lab.run(OPEN_MANY)


def test_without_limits_descriptors_are_those_of_the_server(lab: Laboratory) -> None:
    assert "got 200" in lab.run(OPEN_MANY, without={Layer.LIMITS})


def test_child_cannot_grow_file(lab: Laboratory) -> None:
    assert "got (0, 0)" in lab.run(GROW_THE_ANSWER)


def test_limits_cannot_be_raised_again(lab: Laboratory) -> None:
    raising = "import resource; attempt(lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)))"
    assert "stopped by" in lab.run(raising)
    # Without seccomp the hard limit still holds: raising it is root's alone.
    without_seccomp = lab.run(raising, without={Layer.SECCOMP})
    assert "stopped by ValueError" in without_seccomp


@pytest.mark.parametrize("layer", [None, Layer.UID])
def test_threads_are_bounded_with_and_without_own_uid(lab: Laboratory, layer: Layer | None) -> None:
    bomb = """
import threading, time
threading.stack_size(65536)
def start():
    for number in range(500):
        threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
    return number
attempt(start)
"""
    without = {layer} if layer else set()
    assert "stopped by RuntimeError" in lab.run(bomb, without=without)
    assert "got 499" in lab.run(bomb, without={Layer.LIMITS, *without})


def test_threads_are_allowed_beside_other_tasks() -> None:
    source = """
import os, resource, sys, threading, time
sys.path.insert(0, sys.argv[1])
from src.sandbox import limits
if os.geteuid() == 0:
    os.setresuid(60_050, 60_050, 60_050)  # root's are not counted
threading.stack_size(65536)
def start():
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
for _ in range(300):
    start()
limits.apply(limits.Limits(), has_own_uid=False)
assert not limits.list_unmet(limits.Limits(), has_own_uid=False)
started = 0
try:
    while started < 500:
        start()
        started += 1
except RuntimeError:
    pass
print(started, flush=True)
os._exit(0)
"""
    ran = subprocess.run([sys.executable, "-c", source, str(ROOT)], capture_output=True, text=True, check=True)
    assert 64 <= int(ran.stdout) <= 64 + TASK_COUNT_STEP


def test_processor_time_follows_the_deadline() -> None:
    assert Limits.for_deadline(1.5, 1 << 30).cpu_seconds >= 3
    assert Limits.for_deadline(1.5, 1 << 30).memory_bytes == 1 << 30


def test_server_keeps_its_own_limits() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0
