"""Fill freqtrade's cases as drawn, and as its rules fill them where ours are the same."""

from __future__ import annotations

import numpy as np
import pytest

from src.domain.signals import Action
from src.strategies.rules.targets import find_edges
from tests.scenarios.foreign_cases import ForeignCase, check_cases, expressible
from tests.scenarios.freqtrade_cases import CASES


@pytest.mark.parametrize("case", expressible(CASES), ids=lambda case: case.name)
def test_freqtrade_case_fills_as_drawn(case: ForeignCase) -> None:
    case.play()


def test_every_freqtrade_table_is_accounted_for() -> None:
    check_cases(CASES)
    assert len(CASES) == 60


def test_rules_that_enter_both_ways_give_no_signal() -> None:
    both, neither = np.array([True, False]), np.array([False, False])
    assert find_edges(both, neither, both, neither, True).tolist() == [Action.HOLD, Action.HOLD]
