"""Find signs that a model saw the bars that it is tested on: the pure parts of the leak audit.

1. Row independence: a model that is a function of one row predicts the same among any other rows. All rows are
   predicted again in four shuffled parts (`row_order`) and compared. One part alone would miss a model that divides by
   the largest row, if it holds that row.
2. Prefixes, if that fails: predictions of the first rows alone must not change with later rows. A model that reads the
   next k rows changes only the last k rows of a prefix, which are few: the place of the differences says more than
   their share. A model that reads later rows only at decisive bars differs at few bars, so half of the prefixes end at
   rows that differed in step 1. Dynamically quantized networks round by the range of all rows: small differences
   without a pattern are no leak.
3. Overlap signs: features of trades that are typical inside the bars that a model was trained on. Without a sign the
   model may still have been trained on them: linear and weakly fitted models show none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.leaks import OverlapSigns
from src.judgement.row_order import shuffle_rows

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

VALUE_TOLERANCE: Final = 1e-5
DEVIATION_TOLERANCE: Final = 1e-3
"""The allowed difference is the sum of these fractions of the prediction and of the outputs' deviation. Of 109 honest
models one, a float32 network on unscaled data, differed by 3.7e-4 of the deviation, and no other by over 5.5e-5."""

MAX_ROUNDING_STEPS: Final = 8
"""Replaces the fraction of the prediction if the signal turns: the allowed steps of the outputs' own precision. Sums of
equal terms in another order differ by such steps, and turn a forest's tie at a threshold of 0.5."""

MAX_CHANGED_SIGNALS: Final = 0.01
"""A model that depends on other rows looks ahead if more than this share of signals changes, except by rounding."""

MAX_ROUNDING_AGREEMENT: Final = 0.6
MAX_ROUNDING_SIZE: Final = 0.75
"""Autocorrelation of the differences, and their size in deviations of the outputs, up to which they may be rounding.
Of 280 honest quantized networks one reached 0.59 and the next 0.43, and one 0.67 and the next 0.60. Labels differ by 2
deviations or more: how far they are from turning cannot be seen."""

MIN_END_ROWS: Final = 20
"""Rows that a prefix must have to tell its end from its beginning, and rounding from a pattern."""
MIN_END_PREFIXES: Final = 2

MAX_HIT_RATE: Final = 0.57
HIT_RATE_Z: Final = 1.645
"""Standard errors beyond `MAX_HIT_RATE`: 5 % of the positions with that true hit rate exceed this by chance."""
MIN_HIT_BARS: Final = 200
MAX_KUIPER_RANGE: Final = 2.0
MAX_LAG_Z: Final = 3.0
SEEDED_PREFIXES: Final = 3
TURNING_PREFIXES: Final = 3
DIFFERING_PREFIXES: Final = 4
"""Prefixes that end at rows which differed, for each direction of the difference."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowComparison:
    """How outputs differ from those that were predicted among other rows.

    `lower` and `higher` are the numbers, rising, of the differing rows whose output is lower than among the others, or
    higher (also if one of both is not a number), out of `rows`. `largest` is the largest difference in units of what is
    allowed (over 1 means another value; infinite if only one is a number).
    """

    rows: int
    lower: Rows
    higher: Rows
    largest: float

    @property
    def differing(self) -> int:
        return self.lower.size + self.higher.size

    @property
    def first(self) -> int | None:
        firsts = [int(side[0]) for side in (self.lower, self.higher) if side.size]
        return min(firsts, default=None)

    @property
    def are_equal(self) -> bool:
        return self.differing == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixComparison:
    """How many of `compared` signals changed, and the first bar that did."""

    compared: int
    changed: int
    first_bar: int | None


def compare_rows(outputs: Floats, others: Floats, *, has_turned: NDArray[np.bool_] | None = None) -> RowComparison:
    """Compare two predictions [n] of the same rows: equal means |Δ| ≤ 1e-5 × |v| + 1e-3 × deviation of the outputs.

    The deviation is that of the finite outputs. Two values that are no numbers are equal if they are the same (NaN, ∞
    or −∞). If a row's signal `has_turned` [n], rounding stands in place of 1e-5: outputs that lie close to a threshold
    decide by differences which are small against their value.
    """
    if outputs.shape != others.shape:
        raise ValueError(f"Outputs of the shape {others.shape} are compared with {outputs.shape}.")
    is_known = np.isfinite(outputs) & np.isfinite(others)
    finite = outputs[np.isfinite(outputs)]
    deviation = float(finite.std()) if finite.size else 0.0
    relative = np.full(outputs.shape, VALUE_TOLERANCE)
    if has_turned is not None:
        relative[has_turned] = MAX_ROUNDING_STEPS * _get_precision(finite, others[np.isfinite(others)])
    allowed = relative * np.abs(outputs) + DEVIATION_TOLERANCE * deviation
    difference = np.abs(np.subtract(outputs, others, out=np.zeros(outputs.shape), where=is_known))
    excess = np.divide(difference, allowed, out=np.zeros(outputs.shape), where=is_known & (allowed > 0))
    excess[is_known & (allowed == 0) & (difference > 0)] = np.inf
    excess[~is_known & (outputs != others) & ~(np.isnan(outputs) & np.isnan(others))] = np.inf
    is_lower = outputs < others
    return RowComparison(
        rows=len(outputs),
        lower=np.flatnonzero((excess > 1) & is_lower),
        higher=np.flatnonzero((excess > 1) & ~is_lower),
        largest=float(excess.max(initial=0.0)),
    )


def find_sides(action: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the last signal that is not `hold` up to each bar [n]; 0 before the first one."""
    last = np.maximum.accumulate(np.where(action != 0, np.arange(action.size), 0)) if action.size else np.zeros(0, int)
    return action[last]


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


def choose_differing_prefixes(bars: Rows, comparison: RowComparison, seed: int) -> tuple[int, ...]:
    """Return the lengths of the prefixes that end at rows which differed, rising: up to eight of them.

    `bars` are the numbers of the bars of the compared rows. Four rows are chosen whose output is lower than among other
    rows, and four whose output is higher, each from another quarter of such rows. If a model reads later rows only at
    decisive bars, one of the two groups has them.
    """
    chosen: set[int] = set()
    for side in (comparison.lower, comparison.higher):
        for quarter in np.array_split(side[side < comparison.rows - 1], DIFFERING_PREFIXES):
            chosen |= {int(bars[quarter[place]]) + 1 for place in shuffle_rows(quarter.size, seed)[:1]}
    return tuple(sorted(chosen))


def compare_signals(signals: NDArray[np.int8], others: NDArray[np.int8], *, first_bar: int = 0) -> PrefixComparison:
    """Compare signals [n] with those of the first bars alone [k ≤ n], from `first_bar` on."""
    changed = np.flatnonzero(signals[first_bar : others.size] != others[first_bar:])
    return PrefixComparison(
        compared=max(others.size - first_bar, 0),
        changed=int(changed.size),
        first_bar=int(changed[0]) + first_bar if changed.size else None,
    )


def differ_at_end_only(prefixes: Iterable[RowComparison]) -> bool:
    """Return whether prefixes differ only near their ends, which means that the model reads the next rows.

    Figures of all rows, such as the range in a dynamically quantized network, change the first rows too. True if all
    differences lie in the last k rows of their prefixes, and at least two prefixes that differ have 2 k rows or more;
    prefixes of under 20 rows do not count.
    """
    differing = [
        (one.rows, one.rows - one.first) for one in prefixes if one.rows >= MIN_END_ROWS and one.first is not None
    ]
    reach = max((back for _, back in differing), default=0)
    return sum(rows >= 2 * reach for rows, _ in differing) >= MIN_END_PREFIXES


def differ_like_rounding(outputs: Floats, prefixes: Iterable[Floats]) -> bool:
    """Return whether prefixes [k ≤ n] differ from the outputs [n] as if numbers were rounded to other steps.

    A statistic of all rows moves similar rows the same way: differences d of neighbors, in time or by output, agree.
    Rounding moves each row independently, by a fraction of the outputs' deviation. True if Σ d[i] d[i + 1] ÷ Σ d[i]²,
    averaged over all prefixes with their rows as weights, is at most 0.6 in both orders, and the root mean square of
    the nonzero d is at most 0.75 deviations in each prefix. Prefixes of under 20 rows do not count, nor do values that
    are not numbers.
    """
    is_known = np.isfinite(outputs)
    deviation = float(outputs[is_known].std()) if is_known.any() else 0.0
    agreement, rows = np.zeros(2), 0
    for prefix in prefixes:
        known = np.flatnonzero(np.isfinite(prefix) & is_known[: prefix.size])
        differences = prefix[known] - outputs[known]
        squares = float(differences @ differences)
        if known.size < MIN_END_ROWS or squares == 0.0:
            continue
        if squares > (MAX_ROUNDING_SIZE * deviation) ** 2 * np.count_nonzero(differences):
            return False
        sorted_differences = differences[np.argsort(outputs[known], kind="stable")]
        products = [float(one[:-1] @ one[1:]) for one in (differences, sorted_differences)]
        agreement += np.array(products) * known.size / squares
        rows += known.size
    return rows > 0 and bool(agreement.max() <= MAX_ROUNDING_AGREEMENT * rows)


def invent_futures(bars: Rows, outputs: Floats) -> tuple[int, tuple[Rows, ...]]:
    """Return a bar, and sequences of bars that keep all bars before it and repeat one bar from it on.

    A model that reads earlier rows only predicts the same before that bar in each of them. The repeated bar is the
    first, the last, that of the lowest output or that of the highest, so that statistics over all rows change a lot.

    `bars` [n] are the numbers of the bars that were predicted, rising, with their `outputs`.
    """
    kept = np.arange(bars[bars.size // 2])
    repeated = (0, -1, np.argmin(outputs), np.argmax(outputs))
    later = int(bars[-1]) + 1 - kept.size
    return kept.size, tuple(np.concatenate((kept, np.full(later, bars[row]))) for row in repeated)


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
        has_high_hit_rate=rate is not None and rate > hit_rate_limit(hits.size),
        has_wide_kuiper_range=kuiper is not None and kuiper > MAX_KUIPER_RANGE,
        has_high_lag_z=lag is not None and lag > MAX_LAG_Z,
    )


def hit_rate_limit(bars: int) -> float:
    """Return the hit rate over `bars` bars that a position rarely exceeds if its model never saw them.

    On few bars, honest models exceed `MAX_HIT_RATE` by chance: of 335 models that were tested on later bars, 30 were
    right in more than 57 % of 200 to 500 bars, and 4 are beyond this limit.
    """
    return MAX_HIT_RATE + HIT_RATE_Z * math.sqrt(0.25 / bars)


def measure_kuiper_range(hits: NDArray[np.bool_]) -> float | None:
    """Return the range of Σ(hit − rate) ÷ √(m rate (1 − rate)) over the bars [m], the start included (Kuiper 1960).

    A model that has seen a part of the bars hits more often there. None if all or none hit.
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


def _get_precision(*outputs: Floats) -> float:
    """Return the relative step of float32 if all outputs are float32 numbers, else that of float64."""
    with np.errstate(over="ignore"):
        is_single = all(np.array_equal(values, values.astype(np.float32)) for values in outputs)
    return float(np.finfo(np.float32 if is_single else np.float64).eps)
