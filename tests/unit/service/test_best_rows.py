"""The best rows of a sweep are stored, each once, the best one last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.sweep_outcomes import SweepConclusion
from src.domain.sweeps import SearchKind
from tests.unit.service.attempts import run_undisturbed, small_sweep

pytestmark = pytest.mark.usefixtures("unseen_steps")


async def test_best_row_is_stored_last() -> None:
    """A quota below `keep_best` deletes the oldest results: those of the worst rows."""
    world, outcome = await run_undisturbed(small_sweep())
    assert isinstance(outcome.conclusion, SweepConclusion)
    assert list(world.store.results) == [kept.result_id for kept in reversed(outcome.conclusion.best)]


async def test_random_repeats_are_one_row_of_the_best() -> None:
    request = small_sweep(kind=SearchKind.RANDOM, max_trials=60, seed=3)
    world, outcome = await run_undisturbed(replace(request, keep_best=10))
    conclusion = outcome.conclusion
    assert isinstance(conclusion, SweepConclusion)
    assert conclusion.combinations == 60
    values = [tuple(kept.values.items()) for kept in conclusion.best]
    assert len(values) == len(set(values)) == 6, "60 draws of 6 combinations"
    assert len(world.store.results) == 6
    objectives = [kept.objective for kept in conclusion.best]
    assert objectives == sorted(objectives, reverse=True)
    assert world.ledger.keys and len(world.ledger.keys) == 6
