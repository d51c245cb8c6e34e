"""Crossings of many pairs at once are those of the strategy for each pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.strategy import StrategyInputs
from src.strategies.crossover import Crossover, CrossoverParams
from src.sweeps import crossings
from src.sweeps.crossings import Events, add_closes, find_crossings
from tests.market import bars_of_closes, random_bars

PAIRS = [(1, 2), (2, 3), (3, 10), (10, 11), (5, 90), (150, 400)]


def find(closes: np.ndarray, pairs: list[tuple[int, int]], *, warm_up: int = 0, room: int = 100_000) -> Events | None:
    fast, slow = np.array(pairs, np.int64).T
    return find_crossings(add_closes(closes), fast, slow, warm_up=warm_up, max_events=room)


def assert_crossings_agree(closes: np.ndarray, *, warm_up: int = 0) -> None:
    found = find(closes, PAIRS, warm_up=warm_up)
    assert found is not None
    inputs = StrategyInputs(bars=bars_of_closes(closes), warm_up=warm_up)
    for place, (fast, slow) in enumerate(PAIRS):
        action = Crossover(CrossoverParams(fast=fast, slow=slow)).signals(inputs).action
        part = slice(found.offsets[place], found.offsets[place + 1])
        np.testing.assert_array_equal(found.bars[part], np.flatnonzero(action))
        np.testing.assert_array_equal(found.actions[part], action[action != 0])


@given(
    st.lists(st.integers(97, 103), min_size=1, max_size=600).map(lambda closes: np.array(closes, np.float64)),
    st.integers(0, 40),
)
def test_crossings_of_ticks_equal_those_of_the_strategy(closes: np.ndarray, warm_up: int) -> None:
    assert_crossings_agree(closes / 10, warm_up=min(warm_up, closes.size))


@pytest.mark.parametrize("bars", [4095, 4096, 4097, 9000])
def test_crossings_go_on_across_blocks(bars: int) -> None:
    assert_crossings_agree(random_bars(bars, seed=bars).close)


def test_table_of_many_windows_is_cut_into_short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    closes = random_bars(3000, seed=2).close
    whole = find(closes, PAIRS)
    monkeypatch.setattr(crossings, "TABLE_BYTES", 1)
    cut = find(closes, PAIRS)
    assert whole is not None and cut is not None and len(whole.bars) > 100
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(one, other)


def test_crossings_beyond_the_room_are_refused() -> None:
    closes = np.tile([100.0, 101.0], 50)
    full = find(closes, [(1, 2)])
    assert full is not None
    assert find(closes, [(1, 2)], room=len(full.bars)) is not None
    assert find(closes, [(1, 2)], room=len(full.bars) - 1) is None
