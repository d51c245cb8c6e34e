"""Simulated candles: the same for the same seed, in every range, possible, and with the habits of real ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.bars.grid import bar_numbers
from src.bars.simulated import FIRST_MS, simulate_bars
from src.domain.errors import InvalidInput
from src.domain.intervals import INTERVALS
from tests.counting import counted_calls

START = 1_700_000_000_000
SIZES = st.integers(1, 700)


@given(name=st.sampled_from(list(INTERVALS)), offset=st.integers(0, 5000), count=SIZES, seed=st.integers(-5, 2**70))
def test_every_range_has_the_same_simulated_bars(name: str, offset: int, count: int, seed: int) -> None:
    interval = INTERVALS[name]
    whole = simulate_bars("BTCUSDT", interval, FIRST_MS, offset + count + 10, seed)
    part = simulate_bars("BTCUSDT", interval, int(whole.open_time_ms[offset]), count, seed)
    assert part == whole.slice(offset, offset + count)


@pytest.mark.parametrize("name", INTERVALS)
def test_simulated_bars_are_on_grid_without_gaps(name: str) -> None:
    bars = simulate_bars("ETHUSDT", INTERVALS[name], START + 1, 3000, 1)
    assert bars.open_time_ms[0] > START
    assert (np.diff(bar_numbers(bars.open_time_ms, bars.interval)) == 1).all()
    assert bars.low.min() >= 1
    assert bars.high.max() <= 1e6
    assert (bars.volume > 0).all()


def test_seed_symbol_and_interval_change_simulated_bars() -> None:
    day, hour = INTERVALS["1d"], INTERVALS["1h"]
    closes = [
        tuple(simulate_bars(symbol, interval, START, 50, seed).close.tolist())
        for symbol, interval, seed in [("A1", day, 1), ("A1", day, 2), ("B1", day, 1), ("A1", hour, 1), ("A1", day, -1)]
    ]
    assert len(set(closes)) == len(closes)


@pytest.mark.parametrize("name", ["1m", "1h", "1d"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_simulated_bars_resemble_real_ones(name: str, seed: int) -> None:
    interval = INTERVALS[name]
    bars = simulate_bars("BTCUSDT", interval, FIRST_MS, 20_000, seed)
    returns = np.diff(np.log(bars.close))
    sizes = np.abs(returns)
    assert 0.3 < returns.std() * np.sqrt(interval.bars_per_year) < 1.0
    assert np.mean(((returns - returns.mean()) / returns.std()) ** 4) > 4, "tails no fatter than the normal ones"
    assert np.corrcoef(sizes[1:], sizes[:-1])[0, 1] > 0.1, "volatility does not cluster"
    assert np.corrcoef(sizes, bars.volume[1:])[0, 1] > 0.2, "volume does not follow volatility"
    assert np.mean(bars.open[1:] != bars.close[:-1]) > 0.5, "no gaps between close and open"
    assert (bars.high > np.maximum(bars.open, bars.close)).mean() > 0.5


def test_simulation_loops_over_blocks_only() -> None:
    with counted_calls() as count:
        simulate_bars("BTCUSDT", INTERVALS["1m"], START, 100_000, 7)
    assert count.calls < 100_000 / 20


@pytest.mark.parametrize(
    ("start_ms", "bars", "field"), [(START, 0, "bars"), (START, -5, "bars"), (-1, 5, "start"), (START, 10**15, "bars")]
)
def test_impossible_simulations_are_rejected(start_ms: int, bars: int, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        simulate_bars("BTCUSDT", INTERVALS["1d"], start_ms, bars, 1)
    assert caught.value.field == field
