"""Check sweeps and walk-forwards of a real service whose workers are killed at random moments, in both stores.

`KILLS=20` kills more often than the three times of an ordinary run; `python -m tests.kills` says when each kill was.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kills import PATHS, Place, run_campaign

KILLS = int(os.environ.get("KILLS", "3"))


@pytest.mark.timeout(300 + 60 * KILLS)
@pytest.mark.parametrize("store", ["sqlite", "mongo"])
@pytest.mark.parametrize("kind", PATHS)
def test_jobs_of_killed_workers_end_as_undisturbed(kind: str, store: str, tmp_path: Path) -> None:
    report = run_campaign(kind, Place.of(store, tmp_path), KILLS)
    print(report)
    assert len(report.moments) == KILLS
    assert report.trials > 0
