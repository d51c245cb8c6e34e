"""Batches of Optuna's estimator: what they hold, that they repeat, and that they find more than chance."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, MissingLibrary
from src.domain.sweeps import Comparison, Goal, Objective, ParameterConstraint, Scale, SearchKind, SweepRequest
from src.sweeps import tpe
from src.sweeps.combinations import build_combinations
from src.sweeps.tpe import TpeSearch
from tests.unit.sweeps.requests import preset, sweep, swept

Floats = NDArray[np.float64]
TPE = SearchKind.TPE


def mixed(**others: object) -> SweepRequest:
    """A sweep of whole numbers, a list, a logarithmic range and a closed list; fast must be less than slow."""
    return sweep(
        swept("fast", start=1, end=100), swept("slow", 200, 5, 10, 50),
        swept("fees", start=0.0001, end=0.01, scale=Scale.LOGARITHMIC), swept("fill", "NEXT_OPEN", "SAME_CLOSE"),
        kind=TPE, **others,
    )  # fmt: skip


def score(values: Floats) -> Floats:
    """The best is fast 33, fees 0.001 and the second member of `fill`."""
    scores: Floats = values[:, 3] - np.abs(values[:, 0] - 33) / 10 - np.abs(np.log(values[:, 2] / 0.001))
    return np.where(values[:, 0] % 7 == 0, np.nan, scores)


def search(request: SweepRequest, batches: int, size: int = 8) -> list[Floats]:
    """Ask and tell so many batches."""
    running, found = TpeSearch(request), []
    for _ in range(batches):
        found.append(running.ask(size))
        running.tell(found[-1], score(found[-1]))
    return found


def test_rows_told_at_once_give_the_same_batch() -> None:
    batches = search(mixed(seed=4, batch_size=8), 6)
    for done in range(6):
        resumed = TpeSearch(mixed(seed=4, batch_size=8))
        for batch in batches[:done]:
            resumed.tell(batch, score(batch))
        np.testing.assert_array_equal(resumed.ask(8), batches[done])
        at_once = TpeSearch(mixed(seed=4, batch_size=8))
        rows = np.vstack([np.empty((0, 4)), *batches[:done]])
        at_once.tell(rows, score(rows))
        np.testing.assert_array_equal(at_once.ask(8), batches[done])
        # Without an answer, the question is the same.
        np.testing.assert_array_equal(at_once.ask(8), batches[done])


def test_seed_decides_what_is_drawn() -> None:
    one, other = (TpeSearch(mixed(seed=seed)).ask(8) for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_rows_are_allowed_values_of_the_sweep() -> None:
    rows = np.vstack(search(mixed(batch_size=8), 5))
    assert rows.shape == (40, 4)
    assert (rows[:, 0] < rows[:, 1]).all()
    assert (rows[:, 0] == np.floor(rows[:, 0])).all()
    assert set(rows[:, 1]) <= {5, 10, 50, 200}
    assert ((rows[:, 2] >= 0.0001) & (rows[:, 2] <= 0.01)).all()
    assert all(value == float(f"{value:.12g}") for value in rows[:, 2].tolist())
    assert set(rows[:, 3]) == {0, 1}
    plain = TpeSearch(mixed()).space.plain_of(rows[0])
    assert list(plain) == ["fast", "slow", "fees", "fill"]
    assert plain["fill"] in ("SAME_CLOSE", "NEXT_OPEN")


def test_later_batches_are_better_than_random_ones() -> None:
    last = np.nanmean(score(np.vstack(search(mixed(seed=7, batch_size=8), 15)[-5:])))
    random = mixed().parameters
    drawn = build_combinations(sweep(*random, kind=SearchKind.RANDOM, max_trials=2_000), max_combinations=2_000)
    assert last > np.nanquantile(score(drawn.values), 0.8)


def test_minimizing_searches_the_other_end() -> None:
    request = sweep(
        swept("multiplier", start=0.5, end=9.5), kind=TPE, backtest=preset("supertrend"), batch_size=8,
        objective=Objective(goal=Goal.MINIMIZE),
    )  # fmt: skip
    running = TpeSearch(request)
    for _ in range(6):
        rows = running.ask(8)
        running.tell(rows, rows[:, 0])
    assert running.ask(8).mean() < 2.5


def test_rarely_allowed_rows_are_drawn_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 100 pairs is allowed: one draw of the estimator for each row misses them."""
    monkeypatch.setattr(tpe, "MAX_ATTEMPTS", 1)
    only = ParameterConstraint(left="entry_length", comparison=Comparison.EQUAL, right="exit_length")
    names = swept("entry_length", start=1, end=100), swept("exit_length", start=1, end=100)
    given = {"backtest": preset("donchian"), "constraints": (only,), "seed": 3}
    found = TpeSearch(sweep(*names, kind=TPE, **given)).ask(4)
    seeded = sweep(*names, kind=SearchKind.RANDOM, max_trials=4, **given)
    np.testing.assert_array_equal(found, build_combinations(seeded, max_combinations=4).values)
    assert (found[:, 0] == found[:, 1]).all()


def test_search_without_an_allowed_row_is_refused() -> None:
    request = sweep(swept("fast", start=60, end=80), swept("slow", 20, 30), kind=TPE, max_trials=1_000)
    with pytest.raises(InvalidInput, match="parameters leaves nothing to try: all 1,000 combinations are excluded"):
        TpeSearch(request).ask(2)


def test_missing_optuna_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> ModuleType:
        if name == "optuna":
            raise ModuleNotFoundError("No module named 'optuna'", name="optuna")
        return importlib.import_module(name)

    monkeypatch.setattr(tpe, "import_module", find)
    with pytest.raises(MissingLibrary, match=r"TPE needs Optuna, which is not installed here.*pip install '.\[tpe\]'"):
        TpeSearch(mixed())


def test_broken_library_of_optuna_is_no_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")

    monkeypatch.setattr(tpe, "import_module", find)
    with pytest.raises(ModuleNotFoundError, match="sqlalchemy"):
        TpeSearch(mixed())
