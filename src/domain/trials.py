"""The sums of all trials of a user on a symbol: how many there were in effect, and how far apart.

A trial adds u = (x − x̄) ÷ ‖x − x̄‖, x its returns per UTC day, and t = x̄ ÷ s × √n. The mean correlation of all pairs
follows from ‖Σu‖², and no trial has to be kept. All sums are of whole numbers (u and t in units of 2⁻⁴⁰), so that
ledgers are equal to the bit in whatever order trials were added.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNIT: Final = 2.0**40
"""Steps per 1. The sum of u holds 8 million trials that all move in the same one day, before int64 overflows."""


LIMB: Final = 2**21 - 1
LIMBS_AT_ONCE: Final = 2**20

MAX_SLOTS: Final = 200_000
"""Slots of a ledger, 16 bytes each: 500 years of days, or 111 runs over 30 other hours each. A document of MongoDB has
room for 16 MiB."""


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
    """What a Sharpe ratio is deflated with.

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

    `sum_t` and `sum_t_squared` are whole numbers of any size, in units of 2⁻⁴⁰ and 2⁻⁸⁰: store them as text.
    """

    trials: int
    slots: NDArray[np.int64]
    directions: NDArray[np.int64]
    sum_t: int
    sum_t_squared: int

    def add(self, trial: Trial) -> TrialSums:
        """Return the sums with one more trial.

        If there would be over `MAX_SLOTS` slots, only those that exist are added to: the trial then counts as less
        correlated with the others than it is, so that the trials count as more, not as fewer.
        """
        if np.array_equal(self.slots, trial.slots):  # the usual case, and a tenth of the time
            return self._count(trial, self.slots, self.directions + trial.directions)
        places = np.searchsorted(self.slots, trial.slots)
        is_new = np.append(self.slots, -1)[places] != trial.slots
        if self.slots.size + np.count_nonzero(is_new) > MAX_SLOTS:
            trial = replace(trial, slots=trial.slots[~is_new], directions=trial.directions[~is_new])
            places, is_new = places[~is_new], is_new[~is_new]
        places, missing = places[is_new], trial.slots[is_new]
        slots, directions = np.insert(self.slots, places, missing), np.insert(self.directions, places, 0)
        directions[np.searchsorted(slots, trial.slots)] += trial.directions
        return self._count(trial, slots, directions)

    def _count(self, trial: Trial, slots: NDArray[np.int64], directions: NDArray[np.int64]) -> TrialSums:
        return TrialSums(
            trials=self.trials + 1,
            slots=slots,
            directions=directions,
            sum_t=self.sum_t + trial.t,
            sum_t_squared=self.sum_t_squared + trial.t * trial.t,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrialSums) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    @property
    def average_correlation(self) -> float | None:
        """Return ρ̄ = (‖Σu‖² − N) ÷ (N (N − 1)), a negative one as 0; None under two trials."""
        if self.trials < 2:
            return None
        # Multiplied as whole numbers, because ‖Σu‖² and N are about the same where trials are independent.
        unit = int(UNIT) ** 2
        mean = (_sum_squares(self.directions) - self.trials * unit) / (self.trials * (self.trials - 1) * unit)
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
        head = f"{self.trials} {self.sum_t} {self.sum_t_squared} {self.slots.size}\n".encode()
        return head + self.slots.astype("<i8").tobytes() + self.directions.astype("<i8").tobytes()

    @staticmethod
    def from_bytes(data: bytes) -> TrialSums:
        """Read what `to_bytes` wrote.

        Raises ValueError if it is anything else.
        """
        head, found, body = data.partition(b"\n")
        parts = head.split(b" ")
        if not found or len(parts) != 4:
            raise ValueError("The bytes are not sums of trials.")
        trials, sum_t, sum_t_squared, size = map(int, parts)
        if len(body) != 16 * size:
            raise ValueError(f"The sums of trials have {len(body)} bytes of slots, not {16 * size}.")
        numbers = np.frombuffer(body, "<i8").astype(np.int64)
        return TrialSums(
            trials=trials, slots=numbers[:size], directions=numbers[size:], sum_t=sum_t, sum_t_squared=sum_t_squared
        )


NO_TRIALS: Final = TrialSums(
    trials=0, slots=np.empty(0, np.int64), directions=np.empty(0, np.int64), sum_t=0, sum_t_squared=0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One run of a user on a symbol.

    `key` is what equal requests share. `total` is what its returns add, and `active` what its returns without the
    market that it held on average add; each is None if it did not move.
    """

    key: str
    total: Trial | None
    active: Trial | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """One counted run in the chain of a ledger.

    `number` is 1 for the ledger's first run. `entry` is the SHA-256 of the key and of both trials' bytes, `sums` that
    of the ledger's sums after the run, and `head` that of the head before and of all the others; in hexadecimal.
    """

    number: int
    key: str
    entry: str
    sums: str
    head: str

    def head_after(self, before: str) -> str:
        """Return the head that this link must have if it follows the head `before`."""
        text = f"{before}\n{self.number}\n{self.key}\n{self.entry}\n{self.sums}\n"
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLedgerState:
    """The trials of a user on a symbol, of total and of active returns, and the head of the chain of their entries.

    `runs` is the number of runs counted, and `head` the head of the last one's link; empty before the first. The first
    `unlinked_runs` were counted before links were kept; links go on from `first_head`.
    """

    total: TrialSums
    active: TrialSums
    head: str
    runs: int = 0
    unlinked_runs: int = 0
    first_head: str = ""

    @property
    def is_unnumbered(self) -> bool:
        """Return whether a version of the service that keeps no links wrote this state last."""
        return bool(self.head) and not self.runs

    def start_chain(self, runs: int) -> TrialLedgerState:
        """Return the state from which links go on after `runs` runs without links."""
        return replace(self, runs=runs, unlinked_runs=runs, first_head=self.head)

    def count(self, entry: LedgerEntry) -> tuple[TrialLedgerState, ChainLink]:
        """Return the state with one more run, and the run's link."""
        digest = hashlib.sha256(f"{entry.key}\n".encode())
        for trial in (entry.total, entry.active):
            digest.update(b"flat\n" if trial is None else trial.to_bytes())
        after = replace(
            self,
            total=self.total if entry.total is None else self.total.add(entry.total),
            active=self.active if entry.active is None else self.active.add(entry.active),
            runs=self.runs + 1,
        )
        link = ChainLink(number=after.runs, key=entry.key, entry=digest.hexdigest(), sums=after.sums_digest(), head="")
        link = replace(link, head=link.head_after(self.head))
        return replace(after, head=link.head), link

    def add(self, entry: LedgerEntry) -> TrialLedgerState:
        """Return the state with one more run."""
        return self.count(entry)[0]

    def sums_digest(self) -> str:
        """Return the SHA-256 of the sums, in hexadecimal."""
        return hashlib.sha256(self.total.to_bytes() + self.active.to_bytes()).hexdigest()


LOWEST_NUMBER: Final = -(2**63)
"""Under any number of a link, also of one that was added by hand."""

EMPTY_LEDGER: Final = TrialLedgerState(total=NO_TRIALS, active=NO_TRIALS, head="")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerUpdate:
    """A ledger before and after a run was counted; the same twice if it had been counted before."""

    before: TrialLedgerState
    after: TrialLedgerState


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
