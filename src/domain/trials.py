"""The sums of all trials of a user on a symbol: the effective number of trials, and their spread.

A trial adds u = (x − x̄) ÷ ‖x − x̄‖, x its returns per UTC day, and t = x̄ ÷ s × √n. The mean correlation of all pairs
follows from ‖Σu‖², so no trial has to be kept. All sums are of whole numbers (u and t in units of 2⁻⁴⁰), so ledgers are
equal to the bit in whatever order trials were added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.chain_links import digest_keys

UNIT: Final = 2.0**40
"""Steps per 1. The sum of u holds 8 million trials that all move on the same single day before int64 overflows."""


LIMB: Final = 2**21 - 1
LIMBS_AT_ONCE: Final = 2**20

MAX_SLOTS: Final = 200_000
"""Slots of a ledger, 16 bytes each: 500 years of days, or 111 runs over 30 other hours each. A document of MongoDB has
room for 16 MiB."""

MAX_BATCH_RUNS: Final = 50_000
"""The most runs that are counted at once: their keys and `MAX_SLOTS` slots fit into one document of MongoDB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """What one run adds to a ledger: `slots` [k] in rising order, `directions` [k] and `t` in units of 2⁻⁴⁰.

    A slot is 4 × the first millisecond of a UTC day + 0, of an hour + 1, of a minute + 2 or of a second + 3: a short
    run is counted by finer slots, which never mix with days.
    """

    slots: NDArray[np.int64]
    directions: NDArray[np.int64]
    t: int

    def to_bytes(self) -> bytes:
        """Return the same bytes for the same trial, on every machine."""
        return f"{self.t}\n".encode() + self.slots.astype("<i8").tobytes() + self.directions.astype("<i8").tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStatistics:
    """The statistics that deflate a Sharpe ratio.

    `average_correlation` is ρ̄ of all pairs of trials, a negative one as 0; `t_variance` is the sample variance of the
    trials' t. Both are None under two trials.
    """

    trials: int
    average_correlation: float | None
    t_variance: float | None

    @property
    def effective_trials(self) -> float:
        """Return N_eff = ρ̄ + (1 − ρ̄) N: 1 if all trials are the same, N if they are independent."""
        correlation = self.average_correlation
        return float(self.trials) if correlation is None else correlation + (1 - correlation) * self.trials


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialSums:
    """The sums of `trials` trials, which may be added in any order.

    `sum_t` and `sum_t_squared` are whole numbers of any size, in units of 2⁻⁴⁰ and 2⁻⁸⁰: store them as text. So are
    `dropped_squares`, the lower bound of ‖Σu‖² of the trials without directions, and `dropped_norm`, the upper bound of
    their ‖Σu‖; see `drop_directions`.
    """

    trials: int
    slots: NDArray[np.int64]
    directions: NDArray[np.int64]
    sum_t: int
    sum_t_squared: int
    dropped_squares: int = 0
    dropped_norm: int = 0

    def add(self, trial: Trial) -> TrialSums:
        """Return the sums with one more trial; see `merge`."""
        return self.merge(
            TrialSums(
                trials=1,
                slots=trial.slots,
                directions=trial.directions,
                sum_t=trial.t,
                sum_t_squared=trial.t * trial.t,
            )
        )

    def merge(self, other: TrialSums) -> TrialSums:
        """Return the sums with some more trials, which all have the slots of `other`.

        If there would be over `MAX_SLOTS` slots, only existing slots are added to. The new trials then count as less
        correlated with the others than they are, so the effective number of trials is too high rather than too low.
        """
        if not other.trials:
            return self
        if np.array_equal(self.slots, other.slots):  # the usual case, and a tenth of the time
            return self._count(other, self.slots, self.directions + other.directions)
        added, directions = other.slots, other.directions
        places = np.searchsorted(self.slots, added)
        is_new = np.append(self.slots, -1)[places] != added
        if self.slots.size + np.count_nonzero(is_new) > MAX_SLOTS:
            added, directions, places = added[~is_new], directions[~is_new], places[~is_new]
            is_new = is_new[~is_new]
        places, missing = places[is_new], added[is_new]
        slots, sums = np.insert(self.slots, places, missing), np.insert(self.directions, places, 0)
        sums[np.searchsorted(slots, added)] += directions
        return self._count(other, slots, sums)

    def _count(self, other: TrialSums, slots: NDArray[np.int64], directions: NDArray[np.int64]) -> TrialSums:
        return replace(
            self,
            trials=self.trials + other.trials,
            slots=slots,
            directions=directions,
            sum_t=self.sum_t + other.sum_t,
            sum_t_squared=self.sum_t_squared + other.sum_t_squared,
        )

    def drop_directions(self) -> TrialSums:
        """Return the same sums in a few bytes, without the directions, to which later trials would be compared.

        No statistic changes. Trials that are added later count as far from the dropped ones as possible, so the
        effective number of trials is too high rather than too low.
        """
        if not self.directions.size:
            return self
        return replace(
            self,
            slots=NO_SLOTS,
            directions=NO_SLOTS,
            dropped_squares=self._squares(),
            dropped_norm=self.dropped_norm + isqrt(_sum_squares(self.directions)) + 1,
        )

    def _squares(self) -> int:
        """Return ‖Σu‖², or its lower bound if directions were dropped, in units of 2⁻⁸⁰."""
        kept = _sum_squares(self.directions)
        if not self.dropped_norm:
            return kept
        if not kept:
            return self.dropped_squares
        # ‖a + b‖ ≥ |‖a‖ − ‖b‖|, in whole numbers that are rounded down.
        norm, dropped = isqrt(kept), isqrt(self.dropped_squares)
        return max(dropped - norm - 1, norm - self.dropped_norm, 0) ** 2

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrialSums) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    @property
    def average_correlation(self) -> float | None:
        """Return ρ̄ = (‖Σu‖² − N) ÷ (N (N − 1)), a negative one as 0; None under two trials."""
        if self.trials < 2:
            return None
        # Whole numbers, because ‖Σu‖² and N are nearly equal if trials are independent.
        unit = int(UNIT) ** 2
        mean = (self._squares() - self.trials * unit) / (self.trials * (self.trials - 1) * unit)
        return min(max(mean, 0.0), 1.0)

    @property
    def statistics(self) -> TrialStatistics:
        """Return what a Sharpe ratio is deflated with."""
        return TrialStatistics(
            trials=self.trials, average_correlation=self.average_correlation, t_variance=self.t_variance
        )

    @property
    def t_variance(self) -> float | None:
        """Return the sample variance of the trials' t; None under two trials."""
        if self.trials < 2:
            return None
        spread = self.trials * self.sum_t_squared - self.sum_t**2
        return spread / (self.trials * (self.trials - 1) * int(UNIT) ** 2)

    def to_bytes(self) -> bytes:
        """Return the same bytes for the same sums, on every machine."""
        numbers = [self.trials, self.sum_t, self.sum_t_squared, self.slots.size]
        if self.dropped_norm:  # sums that have all directions keep the bytes that earlier versions gave them
            numbers += [self.dropped_squares, self.dropped_norm]
        head = f"{' '.join(map(str, numbers))}\n".encode()
        return head + self.slots.astype("<i8").tobytes() + self.directions.astype("<i8").tobytes()

    @staticmethod
    def from_bytes(data: bytes) -> TrialSums:
        """Read what `to_bytes` wrote.

        Raises ValueError if it is anything else.
        """
        head, found, body = data.partition(b"\n")
        parts = head.split(b" ")
        if not found or len(parts) not in (4, 6):
            raise ValueError("The bytes are not sums of trials.")
        trials, sum_t, sum_t_squared, size, *dropped = map(int, parts)
        if len(body) != 16 * size:
            raise ValueError(f"The sums of trials have {len(body)} bytes of slots, not {16 * size}.")
        numbers = np.frombuffer(body, "<i8").astype(np.int64)
        return TrialSums(
            trials=trials,
            slots=numbers[:size],
            directions=numbers[size:],
            sum_t=sum_t,
            sum_t_squared=sum_t_squared,
            dropped_squares=dropped[0] if dropped else 0,
            dropped_norm=dropped[1] if dropped else 0,
        )


NO_SLOTS: Final = freeze(np.empty(0, np.int64), np.int64)
NO_TRIALS: Final = TrialSums(trials=0, slots=NO_SLOTS, directions=NO_SLOTS, sum_t=0, sum_t_squared=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One run of a user on a symbol.

    `key` is shared by equal requests. `total` is the trial of its returns, and `active` that of its returns minus its
    average market exposure; each is None if it did not move.
    """

    key: str
    total: Trial | None
    active: Trial | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialTable:
    """The trials of many runs on the same bars: `directions` [k, d] int64 over the slots, `t` [k], in units of 2⁻⁴⁰.

    `t` holds whole numbers as float64, each exact: a steady rise can give a t over 2⁶³. `moves` [k] is False for a run
    that did not move, which adds nothing.
    """

    directions: NDArray[np.int64]
    t: NDArray[np.float64]
    moves: NDArray[np.bool_]

    def __post_init__(self) -> None:
        object.__setattr__(self, "directions", freeze(self.directions, np.int64))
        object.__setattr__(self, "t", freeze(self.t, np.float64))
        object.__setattr__(self, "moves", freeze(self.moves, np.bool_))
        if self.directions.ndim != 2 or not len(self.directions) == len(self.t) == len(self.moves):
            raise ValueError("directions, t and moves differ in length")

    def take(self, rows: Sequence[int]) -> TrialTable:
        """Return the table of some rows."""
        some = list(rows)
        return TrialTable(directions=self.directions[some], t=self.t[some], moves=self.moves[some])

    def trial(self, row: int, slots: NDArray[np.int64]) -> Trial | None:
        """Return the trial of one run; None if it did not move."""
        if not self.moves[row]:
            return None
        return Trial(slots=slots, directions=self.directions[row], t=int(self.t[row]))

    def sums(self, slots: NDArray[np.int64]) -> TrialSums:
        """Return the sums of all runs that moved."""
        directions = self.directions if self.moves.all() else self.directions[self.moves]
        all_t = [int(t) for t in self.t[self.moves].tolist()]
        return TrialSums(
            trials=len(all_t),
            slots=slots,
            directions=directions.sum(axis=0, dtype=np.int64),
            sum_t=sum(all_t),
            sum_t_squared=sum(t * t for t in all_t),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialBatch:
    """Many runs of a user on the same bars of a symbol: the rows of a sweep, at most `MAX_BATCH_RUNS`.

    `keys` [k] are those of `LedgerEntry`; `slots` [d] those of `Trial`, in rising order, the same for all.
    """

    keys: tuple[str, ...]
    slots: NDArray[np.int64]
    total: TrialTable
    active: TrialTable

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", freeze(self.slots, np.int64))
        if len(self.keys) > MAX_BATCH_RUNS:
            raise ValueError(f"a batch of {len(self.keys)} runs; at most {MAX_BATCH_RUNS} are counted at once")
        for table in (self.total, self.active):
            if table.directions.shape != (len(self.keys), len(self.slots)):
                raise ValueError(f"directions are {table.directions.shape}, not {(len(self.keys), len(self.slots))}")

    def __len__(self) -> int:
        return len(self.keys)

    def entry(self, row: int) -> LedgerEntry:
        """Return one of the runs as an entry of its own."""
        return LedgerEntry(
            key=self.keys[row], total=self.total.trial(row, self.slots), active=self.active.trial(row, self.slots)
        )

    def without(self, counted: Collection[str]) -> TrialBatch:
        """Return the runs whose keys are not in `counted`; of runs with equal keys, only the first."""
        first_rows: dict[str, int] = {}
        for row, key in enumerate(self.keys):
            if key not in counted:
                first_rows.setdefault(key, row)
        if len(first_rows) == len(self.keys):
            return self
        rows = list(first_rows.values())
        return TrialBatch(
            keys=tuple(first_rows), slots=self.slots, total=self.total.take(rows), active=self.active.take(rows)
        )

    def digest(self, total: TrialSums, active: TrialSums) -> str:
        """Return the SHA-256 of the keys, of which runs moved, of their t and of their sums; in hexadecimal.

        Single directions are not part of it: hashing them would take ten times as long as adding them.
        """
        digest = hashlib.sha256(f"{digest_keys(self.keys)}\n".encode())
        for table, sums in ((self.total, total), (self.active, active)):
            digest.update(table.moves.tobytes() + np.where(table.moves, table.t, 0.0).astype("<f8").tobytes())
            digest.update(sums.to_bytes())
        return digest.hexdigest()


def _sum_squares(values: NDArray[np.int64]) -> int:
    """Return Σ value² exactly, which is over 2⁶³.

    Values are cut into three limbs of 21 bits, whose products add up in int64 for 2 million values at a time.
    """
    total = 0
    for first in range(0, values.size, LIMBS_AT_ONCE):
        some = values[first : first + LIMBS_AT_ONCE]
        high, middle, low = some >> 42, some >> 21 & LIMB, some & LIMB
        limbs = (
            (84, high, high, 1), (63, high, middle, 2), (42, high, low, 2), (42, middle, middle, 1),
            (21, middle, low, 2), (0, low, low, 1),
        )  # fmt: skip
        total += sum(times * int((one * other).sum()) << shift for shift, one, other, times in limbs)
    return total
