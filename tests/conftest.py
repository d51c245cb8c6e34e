"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real klines; skips the test where this machine has none."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real klines on this machine (../shared/data)")
    return SHARED_DATA


# Compiled code is compiled at its first call, and CI should not fail on a machine's mood.
settings.register_profile("project", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("project")
