"""Block lengths beside arch's, and the bounds that are set to them."""

from __future__ import annotations

import numpy as np
import pytest
from arch.bootstrap import optimal_block_length

from src.judgement import block_lengths
from tests.judgement_paths import fat_tailed_autoregressive as autoregressive


@pytest.mark.parametrize("coefficient", [-0.5, 0.0, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("n", [100, 101, 333, 2000])
def test_block_length_equals_arch(n: int, coefficient: float) -> None:
    for seed in range(3):
        returns = autoregressive(n, coefficient, seed)
        theirs = float(optimal_block_length(returns)["circular"].iloc[0])
        assert block_lengths.optimal_block_length(returns) == pytest.approx(theirs, rel=1e-9, abs=1e-9)


def test_block_length_of_constant_is_one() -> None:
    assert block_lengths.optimal_block_length(np.zeros(200)) == 1.0


@pytest.mark.parametrize(
    ("n", "optimal", "chosen"),
    [
        (1000, 3.2, 10),  # n^⅓
        (1000, 17.6, 18),
        (100, 500.0, 33),  # n ÷ 3
        (40_001, 3.2, 41),  # n ÷ 1000, rounded up
        (2, 1.0, 1),
    ],
)
def test_chosen_length_keeps_its_bounds(monkeypatch: pytest.MonkeyPatch, n: int, optimal: float, chosen: int) -> None:
    monkeypatch.setattr(block_lengths, "optimal_block_length", lambda returns: optimal)
    assert block_lengths.choose_block_length(np.zeros(n)) == chosen
