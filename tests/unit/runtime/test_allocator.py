from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from src.runtime.allocator import return_freed_memory

ROOT = Path(__file__).parents[3]

PROGRAM = """
import ctypes, sys
import numpy as np
from src.runtime.allocator import return_freed_memory

NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES.split()]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Mallinfo
if sys.argv[1] == "told":
    assert return_freed_memory()
np.ones(2_500_000)  # left to itself, glibc takes the size of what was freed for what belongs in its heaps
before = mallinfo().hblks
array = np.ones(125_000)
print(mallinfo().hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not glibc 2.33 or newer")
@pytest.mark.parametrize(("word", "mapped"), [("told", 1), ("untold", 0)])
def test_large_arrays_are_mapped_one_by_one(word: str, mapped: int) -> None:
    command = [sys.executable, "-c", PROGRAM, word]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) == mapped


def test_malloc_settings_of_operator_take_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")
    assert not return_freed_memory()
