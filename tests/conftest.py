"""What every test may ask for."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.thoroughness import examples

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
MAX_TEST_PROCESSES = 8
"""Each loads every model library, which takes about 1 GB."""


# No test reaches the internet, so no authority is trusted. Reading all of them takes 40 ms of processor time for each
# HTTP client made, here and in the processes that tests start; no file of this folder is named as a certificate.
os.environ |= {"SSL_CERT_FILE": "", "SSL_CERT_DIR": str(Path(__file__).parent)}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `-n auto` starts: two more than the cores that this process may use.

    Tests of services wait for timeouts, leases and other processes. With one process more than cores, two cores are
    busy for 74 % of the time; with two more, for 81 %.
    """
    from src.concurrency.cores import available_cores

    return min(available_cores() + 2, MAX_TEST_PROCESSES)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Fill the compile cache before there are several test processes.

    numba numbers the compiled variants of a function in its cache without a lock: two processes that compile different
    variants at the same time can give both the same number.
    """
    subprocess.run([sys.executable, "-m", "src.warmup"], cwd=Path(__file__).parents[1], check=True)


def pytest_collection_finish() -> None:
    """Leave the tests and the libraries that they imported out of all later garbage collections.

    They stay until the end: looking at all of them each time takes a third of the time of tests of the API.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real klines; skips the test where this machine has none."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real klines on this machine (../shared/data)")
    return SHARED_DATA


# Compiled code is compiled at its first call, and CI should not fail on a machine's mood.
settings.register_profile("project", deadline=None, derandomize=True, print_blob=True, max_examples=examples(100))
settings.load_profile("project")
