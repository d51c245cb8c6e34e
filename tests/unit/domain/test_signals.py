"""The values of signals, and the text that clients read for each."""

from __future__ import annotations

import numpy as np
import pytest

from src.domain.signals import Action, Signals, StrategyDescription

STRATEGY = StrategyDescription(name="by hand")


def test_action_reads_as_the_side_of_its_order() -> None:
    assert {action.value: action.word for action in Action} == {-2: "sell", -1: "sell", 0: "hold", 1: "buy", 2: "buy"}


@pytest.mark.parametrize("value", [-128, -3, 3, 127])
def test_signal_of_an_unknown_value_is_rejected(value: int) -> None:
    every = np.array([-2, -1, 0, 1, 2], dtype=np.int8)
    assert Signals(action=every, strategy=STRATEGY).action.tolist() == every.tolist()
    with pytest.raises(ValueError, match="action holds a value other than -2, -1, 0, 1, 2"):
        Signals(action=np.array([0, value], dtype=np.int8), strategy=STRATEGY)
