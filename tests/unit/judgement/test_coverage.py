"""The Sharpe interval holds the true ratio as often as it says: a small version of the benchmark."""

from __future__ import annotations

import pytest

from tests.benchmarks.judgement_coverage import measure_coverage
from tests.judgement_paths import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_sharpe_interval_covers_about_95_per_cent(kind: str) -> None:
    # Of 400 paths, 92–96 % ± two errors of 1.2 %.
    assert 0.90 <= measure_coverage(kind, paths=400, bars=300, seed=11) <= 0.98
