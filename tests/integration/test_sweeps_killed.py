"""Check sweeps and walk-forwards of a real service whose workers are killed at random moments, in both stores.

Each commit's run kills once in two of the four pairs of a kind of job and a store; a thorough one kills 20 times in
each. `python -m tests.kills` says when each kill was.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills import PATHS, Place, run_campaign
from tests.thoroughness import IS_THOROUGH, often

KILLS = often(1, 20)
PAIRS = [(kind, store) for kind in PATHS for store in ("sqlite", "mongo")]
TRIED = PAIRS if IS_THOROUGH else [("sweep", "mongo"), ("walk-forward", "sqlite")]


@pytest.mark.timeout(300 + 60 * KILLS)
@pytest.mark.parametrize(("kind", "store"), TRIED)
def test_jobs_of_killed_workers_end_as_undisturbed(kind: str, store: str, tmp_path: Path) -> None:
    report = run_campaign(kind, Place.of(store, tmp_path), KILLS)
    print(report)
    assert len(report.moments) == KILLS
    assert report.trials > 0
