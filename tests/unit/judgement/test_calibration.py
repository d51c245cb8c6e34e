"""The verdict on simulated strategies, in small: those without an edge seldom pass, one with an edge often does."""

from __future__ import annotations

from collections import Counter

import pytest
from scipy.stats import binom

from tests.calibration import cells, judge_path

PATHS = 60
CELLS = {cell.name: cell for cell in cells()}


def passes(name: str, bars: int) -> int:
    """Return how many of the paths get NO_OBJECTION."""
    return Counter(judge_path(CELLS[name], bars, (7, bars, path)) for path in range(PATHS))["NO_OBJECTION"]


@pytest.mark.parametrize("name", ["random entries, rising market", "best of 30 random"])
def test_strategy_without_edge_seldom_passes(name: str) -> None:
    # More would happen by luck in 1 of 1,000 cases if 5 % pass.
    assert passes(name, 500) <= binom.ppf(0.999, PATHS, 0.05)


def test_edge_passes_if_bars_are_many() -> None:
    assert passes("right in 55 %, long and short", 3_000) >= 0.75 * PATHS


def test_uncounted_trials_let_luck_pass() -> None:
    counted = CELLS["best of 30 random"]
    uncounted = type(counted)(name="uncounted", market=counted.market, search=counted.search, is_counted=False)
    levels = Counter(judge_path(uncounted, 1_000, (7, path)) for path in range(PATHS))
    assert levels["NO_OBJECTION"] > binom.ppf(0.999, PATHS, 0.05)
