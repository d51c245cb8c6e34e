"""Find signs that a model saw the bars that it is tested on: the pure parts of the leak audit.

1. Row independence: a model that is a function of one row predicts the same among any other rows. Both halves
   of the rows, each shuffled, are predicted again and compared. One half alone would miss a model that divides by the
   largest row in half of the cases.
2. Prefixes, if that fails: predictions of the first rows alone must not change with later rows. A model that reads the
   next k rows changes the last k rows of a prefix only, which are few among all: where the difference lies says more
   than how large its share is.
3. Overlap signs: what trades look like inside of the bars that a model was trained on. Without a sign the model
   may still have been trained on them: linear and weakly fitted models show none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.judgement import OverlapSigns
from src.judgement.row_order import shuffle_rows

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

RELATIVE_TOLERANCE: Final = 1e-5
"""Of the value and the outputs' deviation together. 59 real files of all formats differed by 3.4e-6 at most."""

MAX_CHANGED_SIGNALS: Final = 0.01
"""Share of signals over which a model that depends on other rows looks ahead. Dynamically quantized networks depend on
other rows in 45 % of their rows, and in 0–2 % of the signals."""

MIN_END_ROWS: Final = 20
"""Rows that a prefix must have to tell its end from its beginning."""
MIN_END_PREFIXES: Final = 2

MAX_HIT_RATE: Final = 0.57
MIN_HIT_BARS: Final = 200
MAX_KUIPER_RANGE: Final = 2.0
MAX_LAG_Z: Final = 3.0
SEEDED_PREFIXES: Final = 3
TURNING_PREFIXES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RowComparison:
    """How outputs differ from those that were predicted among other rows.

    `differing` counts rows out of `rows`, `first` is the first of them, and `largest` is the largest difference in
    units of the tolerance (over 1 means another value; infinite if only one is a number).
    """

    rows: int
    differing: int
    first: int | None
    largest: float

    @property
    def are_equal(self) -> bool:
        return self.differing == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixComparison:
    """How many of `compared` signals changed, and the first bar that did."""

    compared: int
    changed: int
    first_bar: int | None


def compare_rows(outputs: NDArray[Any], others: NDArray[Any]) -> RowComparison:
    """Compare two predictions [n] or [n, k] of the same rows: equal means |Δ| ≤ 1e-5 × (|v| + deviation of outputs).

    The deviation is that of each column's finite outputs. Two values that are no numbers are equal if they are the
    same (NaN, ∞ or −∞).
    """
    if outputs.shape != others.shape:
        raise ValueError(f"Outputs of the shape {others.shape} are compared with {outputs.shape}.")
    table = (len(outputs), math.prod(outputs.shape[1:]))
    ours, theirs = np.asarray(outputs, np.float64).reshape(table), np.asarray(others, np.float64).reshape(table)
    excess = np.zeros(ours.shape)
    is_known = np.isfinite(ours) & np.isfinite(theirs)
    spread = np.array([_deviation(column[np.isfinite(column)]) for column in ours.T])
    allowed = RELATIVE_TOLERANCE * (np.abs(ours) + spread)
    difference = np.abs(np.subtract(ours, theirs, out=np.zeros(ours.shape), where=is_known))
    np.divide(difference, allowed, out=excess, where=is_known & (allowed > 0))
    excess[is_known & (allowed == 0) & (difference > 0)] = np.inf
    excess[~is_known & (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))] = np.inf
    worst = excess.max(axis=1, initial=0.0)
    differing = np.flatnonzero(worst > 1)
    return RowComparison(
        rows=len(ours),
        differing=int(differing.size),
        first=int(differing[0]) if differing.size else None,
        largest=float(worst.max(initial=0.0)),
    )


def choose_prefixes(first_row: int, signals: NDArray[np.int8], seed: int) -> tuple[int, ...]:
    """Return the lengths of the prefixes to predict, rising: up to eight of them.

    The first complete row (number `first_row`), the three bars where the signal [n] last turns, three seeded ones, and
    all bars but the last.
    """
    n = signals.size
    turns = np.flatnonzero(np.diff(signals)) + 1
    fixed = np.concatenate(([first_row], turns[-TURNING_PREFIXES:], [n - 2]))
    others = np.setdiff1d(np.arange(first_row, n - 1), fixed)
    seeded = others[shuffle_rows(others.size, seed)[:SEEDED_PREFIXES]]
    last_bars = np.concatenate((fixed, seeded))
    return tuple(sorted({int(bar) + 1 for bar in last_bars if first_row <= bar < n - 1}))


def compare_signals(signals: NDArray[np.int8], others: NDArray[np.int8], *, first_bar: int = 0) -> PrefixComparison:
    """Compare signals [n] with those of the first bars alone [k ≤ n], from `first_bar` on."""
    changed = np.flatnonzero(signals[first_bar : others.size] != others[first_bar:])
    return PrefixComparison(
        compared=max(others.size - first_bar, 0),
        changed=int(changed.size),
        first_bar=int(changed[0]) + first_bar if changed.size else None,
    )


def differ_at_end_only(prefixes: Iterable[RowComparison]) -> bool:
    """Return whether prefixes differ near their ends and nowhere else: the model reads the rows that come next.

    What is computed from all rows together, as the range of a dynamically quantized network, changes first rows too.
    True if at least two prefixes differ, each in its second half only; prefixes of under 20 rows do not count.
    """
    differing = [one.first / one.rows for one in prefixes if one.rows >= MIN_END_ROWS and one.first is not None]
    return len(differing) >= MIN_END_PREFIXES and min(differing) >= 0.5


def measure_overlap(
    position: Floats, market: Floats, net_returns: Floats | None = None, lagged_net_returns: Floats | None = None
) -> OverlapSigns:
    """Return the signs of one run.

    Parameters
    ----------
    position
        Held from each close to the next [n]; only its sign counts.
    market
        Returns of the close per bar [n], each against the bar before.
    net_returns, lagged_net_returns
        Returns of equity per bar [n] of the run, and of the same with every signal one bar later; None leaves the
        lag out.
    """
    outcome = np.sign(position[:-1]) * np.sign(market[1:])
    hits = outcome[outcome != 0] > 0
    rate = kuiper = lag = None
    if hits.size >= MIN_HIT_BARS:
        rate = float(np.count_nonzero(hits)) / hits.size
        kuiper = measure_kuiper_range(hits)
    if net_returns is not None and lagged_net_returns is not None:
        lag = measure_lag_z(net_returns, lagged_net_returns)
    return OverlapSigns(
        hit_bars=int(hits.size),
        hit_rate=rate,
        kuiper_range=kuiper,
        lag_z=lag,
        has_high_hit_rate=rate is not None and rate > MAX_HIT_RATE,
        has_wide_kuiper_range=kuiper is not None and kuiper > MAX_KUIPER_RANGE,
        has_high_lag_z=lag is not None and lag > MAX_LAG_Z,
    )


def measure_kuiper_range(hits: NDArray[np.bool_]) -> float | None:
    """Return the range of Σ(hit − rate) ÷ √(m rate (1 − rate)) over the bars [m], the start included (Kuiper 1960).

    A model that knows a part of the bars hits more there than elsewhere. None if all or none hit.
    """
    rate = np.count_nonzero(hits) / hits.size
    if rate in (0.0, 1.0):
        return None
    sums = np.concatenate(([0.0], np.cumsum(hits - rate)))
    return float(sums.max() - sums.min()) / math.sqrt(hits.size * rate * (1 - rate))


def measure_lag_z(net_returns: Floats, lagged_net_returns: Floats) -> float | None:
    """Return mean(d) ÷ sd(d) × √n, d the difference of both returns per bar; None without variance."""
    differences = net_returns - lagged_net_returns
    if differences.size < 2:
        return None
    deviation = float(differences.std(ddof=1))
    if not deviation > 1e-12 * (1.0 + float(np.abs(net_returns).max())):
        return None
    return float(differences.mean()) / deviation * math.sqrt(differences.size)


def _deviation(values: Floats) -> float:
    return float(values.std()) if values.size else 0.0
