"""The sums of all trials of a user on a symbol: how many there were in effect, and how far apart.

A trial adds u = (x − x̄) ÷ ‖x − x̄‖, x its returns per UTC day, and t = x̄ ÷ s × √n. The mean correlation of all pairs
follows from ‖Σu‖², and no trial has to be kept. All sums are of whole numbers (u and t in units of 2⁻⁴⁰), so that
ledgers are equal to the bit in whatever order trials were added.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY_MS: Final = 86_400_000
MIN_DAYS: Final = 30
UNIT: Final = 2.0**40
"""Steps per 1. The sum of u holds 8 million trials that all move in the same one day, before int64 overflows."""

FLAT: Final = 1e-24
"""‖x − x̄‖² of at most this × n × max x² is rounding: such a run did not move, and is no trial."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """What one run adds to a ledger: `slots` [k] in rising order, `directions` [k] and `t` in units of 2⁻⁴⁰.

    A slot is 2 × the day's first ms since 1970 (UTC), or 2 × a bar's open time + 1: a short run is counted per bar,
    and its bars never mix with days.
    """

    slots: NDArray[np.int64]
    directions: NDArray[np.int64]
    t: int


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
        """Return the sums with one more trial."""
        slots = np.union1d(self.slots, trial.slots)
        directions = np.zeros(slots.size, np.int64)
        directions[np.searchsorted(slots, self.slots)] = self.directions
        directions[np.searchsorted(slots, trial.slots)] += trial.directions
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
        directions: list[int] = self.directions.tolist()
        unit = int(UNIT) ** 2
        squared = sum(value * value for value in directions) - self.trials * unit
        mean = squared / (self.trials * (self.trials - 1) * unit)
        return min(max(mean, 0.0), 1.0)

    @property
    def effective_trials(self) -> float:
        """Return N_eff = ρ̄ + (1 − ρ̄) N: 1 if all trials are the same, N if they are independent."""
        correlation = self.average_correlation
        return float(self.trials) if correlation is None else correlation + (1 - correlation) * self.trials

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
            raise ValueError("The bytes are no sums of trials.")
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


def build_trial(open_time_ms: NDArray[np.int64], returns: Floats) -> Trial | None:
    """Return what a run adds, from its returns per bar [n] and the bars' open times; None if it did not move.

    Returns of the bars that open in one UTC day are compounded. A run over less than 30 days is counted per bar.
    None also under two days or bars, and if a return is no number.
    """
    slots, values = group_by_day(open_time_ms, returns)
    n = values.size
    if n < 2 or not np.isfinite(values).all():
        return None
    mean = float(values.mean())
    deviations = values - mean
    squares = float((deviations * deviations).sum())
    if squares <= FLAT * n * float(np.abs(values).max()) ** 2:
        return None
    directions = np.rint(deviations / math.sqrt(squares) * UNIT).astype(np.int64)
    t = mean / math.sqrt(squares / (n - 1)) * math.sqrt(n)
    return Trial(slots=slots, directions=directions, t=round(t * UNIT))


def active_returns(returns: Floats, market: Floats, exposure: Floats) -> Floats:
    """Return r − p̄ × b per bar [n]: what is left without the market that the run held on average.

    b are the market's returns and p̄ is the mean of `exposure`, the signed fraction of equity that is held.
    """
    return returns - float(exposure.mean()) * market


def group_by_day(open_time_ms: NDArray[np.int64], returns: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return the slots [k] and the returns in them; see `Trial` and `build_trial`. Open times rise."""
    days = open_time_ms // DAY_MS
    if days.size == 0 or days[-1] - days[0] + 1 < MIN_DAYS:
        return 2 * open_time_ms + 1, returns
    firsts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    return 2 * days[firsts] * DAY_MS, np.multiply.reduceat(1 + returns, firsts) - 1


def trial_key(
    *,
    strategy: str,
    parameters: Mapping[str, Any],
    model_sha256: str | None,
    rules: Mapping[str, Any],
    symbol: str,
    interval: str,
    window_ms: tuple[int, int],
    bars_fingerprint: str,
) -> str:
    """Return the SHA-256, in hexadecimal, that two requests share if they are the same trial.

    `window_ms` are the open times of the first and the last bar. Parameters and rules are text, numbers, booleans,
    None, or lists and mappings of such; 1 and 1.0 are the same number.

    Raises TypeError if a value is anything else, ValueError if a number is infinite or NaN.
    """
    parts = {
        "strategy": strategy, "parameters": parameters, "model": model_sha256, "rules": rules, "symbol": symbol,
        "interval": interval, "window": list(window_ms), "bars": bars_fingerprint,
    }  # fmt: skip
    text = json.dumps(_canonical(parts), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError("Names of a trial's parts must be text.")
        return {name: _canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
