"""Build what a run adds to its user's ledger of trials, and the key that counts equal runs once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.trading import (
    DEFAULT_CASH,
    MAX_AMOUNT,
    MIN_CASH,
    MIN_SIZE,
    Direction,
    EntryOrder,
    EntryType,
    IntrabarPolicy,
    Sizing,
    TradingRules,
)
from src.domain.trials import Trial
from src.judgement.trial_directions import measure_direction

Floats = NDArray[np.float64]

UNITS: Final = ((86_400_000, 0), (3_600_000, 1), (60_000, 2), (1_000, 3))
"""Days, hours, minutes and seconds in ms, and the level that tells their slots apart."""
LEVELS: Final = 4
MIN_UNITS: Final = 30


def build_trial(open_time_ms: NDArray[np.int64], returns: Floats) -> Trial | None:
    """Return the trial of a run, from its returns per bar [n] and the bars' open times; see `build_trials`."""
    [trial] = build_trials(open_time_ms, returns)
    return trial


def build_trials(open_time_ms: NDArray[np.int64], *runs: Floats) -> tuple[Trial | None, ...]:
    """Return the trial of each run on some bars, from its returns per bar [n]; None for one that did not move.

    Returns of the bars that open in one UTC day are compounded, so that runs of all intervals are compared. A run over
    less than 30 days is counted by hours, one over less than 30 hours by minutes, and so on. None also under two such
    slots, and if a return is not a number.
    """
    slots, firsts = find_slots(open_time_ms)
    return tuple(_build_trial(slots, firsts, returns) for returns in runs)


def _build_trial(slots: NDArray[np.int64], firsts: NDArray[np.int64], returns: Floats) -> Trial | None:
    if not slots.size:
        return None
    values = np.multiply.reduceat(1 + returns, firsts) - 1
    directions = np.empty(values.size, np.int64)
    moves, t = measure_direction(values, directions)
    return Trial(slots=slots, directions=directions, t=t) if moves else None


def active_returns(returns: Floats, market: Floats, exposure: Floats) -> Floats:
    """Return r − p̄ × b per bar [n]: what is left without the market that the run held on average.

    b are the market's returns and p̄ is the mean of `exposure`, the signed fraction of equity that is held.
    """
    return returns - float(exposure.mean()) * market


def find_slots(open_time_ms: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the slots [k] and the number of the first bar in each; see `Trial` and `build_trials`. Open times rise."""
    for unit_ms, level in UNITS:
        units = open_time_ms // unit_ms
        if units.size and (units[-1] - units[0] + 1 >= MIN_UNITS or level == UNITS[-1][1]):
            firsts = np.concatenate(([0], np.flatnonzero(units[1:] != units[:-1]) + 1))
            return LEVELS * units[firsts] * unit_ms + level, firsts
    return np.empty(0, np.int64), np.empty(0, np.int64)


def decisive_rules(rules: TradingRules, *, smallest_growth: float, highest_price: float) -> TradingRules:
    """Return the rules that give the same returns as these, the same for all rules that do.

    1. A size of all equity is that of no size: all cash.
    2. Returns do not depend on the amount of cash: the initial cash is the default one, and fixed units keep their
       share of it. But entries that come near the engines' tolerances do depend on it: then the cash stays.
    3. How long an entry waits is that of the default if it does not wait, and how a bar is read if it has only one
       reading: long without a stop or a target.

    Parameters
    ----------
    smallest_growth, highest_price
        The lowest equity over 0 in units of the initial cash, and the highest price: they bound the smallest entry.
    """
    entry, exits, intrabar = rules.entry, rules.exits, rules.intrabar
    has_levels = not (exits.stop_loss_rate is exits.take_profit_rate is exits.trailing_stop_rate is None)
    if rules.direction is Direction.LONG and not has_levels:
        intrabar = IntrabarPolicy.PESSIMISTIC
    return replace(
        _scale_to_default_cash(rules, smallest_growth, highest_price),
        entry=EntryOrder() if entry.type is EntryType.MARKET else entry,
        intrabar=intrabar,
    )


def _scale_to_default_cash(rules: TradingRules, smallest_growth: float, highest_price: float) -> TradingRules:
    cash, units, fraction = rules.initial_cash, rules.sizing.fixed_units, rules.sizing.equity_fraction
    if fraction == 1.0:
        rules = replace(rules, sizing=Sizing())
    lowest_equity = smallest_growth * min(cash, DEFAULT_CASH)
    smallest_entry = lowest_equity * (fraction or 1.0) / highest_price
    if cash == DEFAULT_CASH or lowest_equity < MIN_CASH or smallest_entry < MIN_SIZE:
        return rules
    if units is None:
        return replace(rules, initial_cash=DEFAULT_CASH)
    # 12 digits: 0.3 units of 30,000 are written as the 0.1 of 10,000 are.
    scaled = float(f"{units * (DEFAULT_CASH / cash):.12g}")
    if not MIN_SIZE <= scaled <= MAX_AMOUNT:
        return rules
    return replace(rules, initial_cash=DEFAULT_CASH, sizing=Sizing(fixed_units=scaled))


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
    training: Mapping[str, Any] | None = None,
) -> str:
    """Return the SHA-256, in hexadecimal, that two requests share if they are the same trial.

    `window_ms` are the open times of the first and the last bar. `training` says which of the bars the model declares
    to have seen, None if none: what the run adds to the ledger depends on it. Parameters, rules and training are text,
    numbers, booleans, None, or lists and mappings of such; 1 and 1.0 are the same number.

    Raises TypeError if a value is anything else, ValueError if a number is infinite or NaN.
    """
    parts: dict[str, Any] = {
        "strategy": strategy, "parameters": parameters, "model": model_sha256, "rules": rules, "symbol": symbol,
        "interval": interval, "window": list(window_ms), "bars": bars_fingerprint,
    }  # fmt: skip
    if training is not None:  # so that runs that declare nothing keep the keys that ledgers hold already
        parts["training"] = training
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
