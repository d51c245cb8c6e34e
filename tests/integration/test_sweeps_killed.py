"""Check sweeps and walk-forwards of a real service whose workers are killed at random moments, in both stores.

An ordinary run kills three times in each kind of job and in each store, but tries two of the four pairs only.
`KILLS=20` tries all four and kills more often; `python -m tests.kills` says when each kill was.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kills import PATHS, Place, run_campaign

GIVEN = os.environ.get("KILLS")
KILLS = int(GIVEN or "3")
PAIRS = [(kind, store) for kind in PATHS for store in ("sqlite", "mongo")]
TRIED = PAIRS if GIVEN else [("sweep", "mongo"), ("walk-forward", "sqlite")]


@pytest.mark.timeout(300 + 60 * KILLS)
@pytest.mark.parametrize(("kind", "store"), TRIED)
def test_jobs_of_killed_workers_end_as_undisturbed(kind: str, store: str, tmp_path: Path) -> None:
    report = run_campaign(kind, Place.of(store, tmp_path), KILLS)
    print(report)
    assert len(report.moments) == KILLS
    assert report.trials > 0
