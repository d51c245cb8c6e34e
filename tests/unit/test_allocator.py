from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from src.allocator import return_freed_memory

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys, threading
from pathlib import Path
import numpy as np
from src.allocator import return_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def churn():
    kept = []
    for number in range(400):
        kept.append(np.ones(50_000 + 1000 * (number % 37)))
        if len(kept) > 12:
            del kept[number % 12]

assert return_freed_memory()
before = resident()
threads = [threading.Thread(target=churn) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_arrays_go_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) < 8_000_000


def test_an_operators_own_settings_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")
    assert not return_freed_memory()
