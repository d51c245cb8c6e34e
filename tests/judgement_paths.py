"""Returns with a known Sharpe ratio, for simulations of what the judgement says about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]

SHARPE: Final = 0.05
"""Per bar: 0.96 a year on daily bars."""
DEVIATION: Final = 0.01


class Simulated(NamedTuple):
    """Paths of returns [paths, n], and the Sharpe ratio per bar that all have."""

    returns: Floats
    sharpe: float


def iid(rng: np.random.Generator, paths: int, n: int) -> Simulated:
    return Simulated(DEVIATION * (SHARPE + rng.standard_normal((paths, n))), SHARPE)


def autoregressive(coefficient: float) -> Callable[[np.random.Generator, int, int], Simulated]:
    def simulate(rng: np.random.Generator, paths: int, n: int) -> Simulated:
        shocks = rng.standard_normal((paths, n + 100)) * np.sqrt(1 - coefficient**2)
        wave = lfilter([1.0], [1.0, -coefficient], shocks, axis=1)[:, 100:]
        return Simulated(DEVIATION * (SHARPE + wave), SHARPE)

    return simulate


def clustered(rng: np.random.Generator, paths: int, n: int) -> Simulated:
    """GARCH(1, 1) with α = 0.1, β = 0.85 and normal shocks."""
    shocks = rng.standard_normal((paths, n + 200))
    variance, noise = np.ones(paths), np.empty_like(shocks)
    for t in range(shocks.shape[1]):
        noise[:, t] = np.sqrt(variance) * shocks[:, t]
        variance = 0.05 + 0.1 * noise[:, t] ** 2 + 0.85 * variance
    return Simulated(DEVIATION * (SHARPE + noise[:, 200:]), SHARPE)


def in_and_out(rng: np.random.Generator, paths: int, n: int) -> Simulated:
    """A third of the time in the market, 20 bars each time."""
    turns = rng.random((paths, n))
    is_in = np.empty((paths, n), np.bool_)
    now = rng.random(paths) < 1 / 3
    for t in range(n):
        now = np.where(now, turns[:, t] > 1 / 20, turns[:, t] < 1 / 40)
        is_in[:, t] = now
    market = DEVIATION * (2 * SHARPE + rng.standard_normal((paths, n)))
    mean = DEVIATION * 2 * SHARPE / 3
    square = DEVIATION**2 * (1 + 4 * SHARPE**2) / 3
    return Simulated(np.where(is_in, market, 0.0), float(mean / np.sqrt(square - mean**2)))


def fat_tailed_autoregressive(n: int, coefficient: float, seed: int = 3) -> Floats:
    shocks = np.random.default_rng(seed).standard_t(4, n)
    values = np.empty(n)
    values[0] = shocks[0]
    for t in range(1, n):
        values[t] = coefficient * values[t - 1] + shocks[t]
    return values * 0.01


KINDS: Final[dict[str, Callable[[np.random.Generator, int, int], Simulated]]] = {
    "iid": iid,
    "AR(0.2)": autoregressive(0.2),
    "AR(0.5)": autoregressive(0.5),
    "GARCH": clustered,
    "in and out": in_and_out,
}
