"""Build the key that equal runs share in a ledger of trials; see `row_keys` for the rows of a sweep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from src.domain.atr_exits import AtrDistances
from src.domain.funding import Funding
from src.domain.order_rules import MAX_AMOUNT, MIN_CASH, MIN_SIZE, EntryOrder, EntryType, Margin, Sizing
from src.domain.parameters import parameters_of
from src.domain.signals import StrategyDescription
from src.domain.trading import DEFAULT_CASH, Direction, IntrabarPolicy, TradingRules

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_DEFAULT_ENTRY: Final = EntryOrder()
_NO_DISTANCES: Final = AtrDistances()
_DEFAULT_MARGIN: Final = Margin()
_NO_FUNDING: Final = Funding()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSetting:
    """The part that the keys of all runs on the same bars with the same model share.

    `window_ms` are the open times of the first and the last bar, `highest_price` the highest of all bars. `training`
    gives the bars that the model declares as seen, None if none: the run's entry in the ledger depends on it.
    """

    symbol: str
    interval: str
    window_ms: tuple[int, int]
    bars_fingerprint: str
    highest_price: float
    model_sha256: str | None = None
    training: Mapping[str, Any] | None = None


def run_key(setting: RunSetting, strategy: StrategyDescription, rules: TradingRules, *, smallest_growth: float) -> str:
    """Return the key of one run; see `keeps_cash` for `smallest_growth`."""
    is_kept = keeps_cash(rules, smallest_growth=smallest_growth, highest_price=setting.highest_price)
    return trial_key(
        strategy=strategy.name,
        parameters=strategy.parameters,
        model_sha256=setting.model_sha256,
        rules=written_rules(decisive_rules(rules, is_cash_kept=is_kept)),
        symbol=setting.symbol,
        interval=setting.interval,
        window_ms=setting.window_ms,
        bars_fingerprint=setting.bars_fingerprint,
        training=setting.training,
    )


def decisive_rules(rules: TradingRules, *, is_cash_kept: bool) -> TradingRules:
    """Return one canonical set of rules for all rules that give the same returns as these.

    1. A size of all equity becomes no size, which means all cash.
    2. Returns do not depend on the amount of cash: the initial cash becomes the default one, and fixed units are scaled
       with it, unless `is_cash_kept`; see `keeps_cash`.
    3. Settings without effect become the defaults: an entry's life if it does not wait; the intrabar policy if a bar
       can be read in one way only (long without a stop or a target); the maintenance margin without leverage; funding
       at a rate of 0; the length of an ATR that no exit uses.
    """
    exits = rules.exits
    changes: dict[str, Any] = {}
    entry = replace(_DEFAULT_ENTRY, additions=rules.entry.additions)
    if rules.entry.type is EntryType.MARKET and rules.entry != entry:
        changes["entry"] = entry
    has_rungs = bool(exits.take_profits or entry.additions)
    has_levels = (
        has_rungs
        or exits.atr.is_used
        or not (exits.stop_loss_rate is exits.take_profit_rate is exits.trailing_stop_rate is None)
    )
    if not exits.atr.is_used and exits.atr != _NO_DISTANCES:
        changes["exits"] = replace(exits, atr=_NO_DISTANCES)
    can_be_liquidated = rules.direction is not Direction.LONG or rules.margin.leverage > 1 or rules.funding.is_paid
    if not can_be_liquidated and not has_levels and rules.intrabar is not IntrabarPolicy.PESSIMISTIC:
        changes["intrabar"] = IntrabarPolicy.PESSIMISTIC
    if rules.margin.leverage == 1 and rules.margin != _DEFAULT_MARGIN:
        changes["margin"] = _DEFAULT_MARGIN
    if rules.funding != _NO_FUNDING:
        # A history is identified by its content, because it may have been uploaded under two names.
        changes["funding"] = (
            replace(rules.funding, history=rules.funding.fingerprint) if rules.funding.is_paid else _NO_FUNDING
        )
    if rules.sizing.equity_fraction == 1.0:
        changes["sizing"] = Sizing()
    if not is_cash_kept:
        changes |= _scale_to_default_cash(rules)
    return replace(rules, **changes) if changes else rules


def keeps_cash(rules: TradingRules, *, smallest_growth: float, highest_price: float) -> bool:
    """Return whether the cash is part of the trial: it is the default cash, entries are worth a fixed amount, the
    exchange limits their amounts, fills depend on their share of the volume, or amounts come near a tolerance of the
    engines.

    Parameters
    ----------
    smallest_growth, highest_price
        The lowest equity over 0 in units of the initial cash, and the highest price: they bound the smallest entry.
    """
    cash = rules.initial_cash
    if cash == DEFAULT_CASH or rules.sizing.quote_amount is not None or rules.exchange.limits_amounts:
        return True
    if rules.volume.is_used:
        return True
    lowest_equity = smallest_growth * min(cash, DEFAULT_CASH)
    return lowest_equity < MIN_CASH or lowest_equity * (rules.sizing.equity_fraction or 1.0) / highest_price < MIN_SIZE


def written_rules(rules: TradingRules) -> dict[str, object]:
    """Return the rules that differ from the defaults, so that a rule added later does not change older keys."""
    return {
        item.parameter.name: item.write(item.of(rules))
        for item in parameters_of(TradingRules)
        if item.of(rules) != item.default
    }


def _scale_to_default_cash(rules: TradingRules) -> dict[str, Any]:
    """Return the fields that change with the cash; none if the units would be out of bounds."""
    units = rules.sizing.fixed_units
    if units is None:
        return {"initial_cash": DEFAULT_CASH}
    # 12 digits, so that 0.3 units with cash of 30,000 are written like 0.1 with 10,000.
    scaled = float(f"{units * (DEFAULT_CASH / rules.initial_cash):.12g}")
    if not MIN_SIZE <= scaled <= MAX_AMOUNT:
        return {}
    return {"initial_cash": DEFAULT_CASH, "sizing": Sizing(fixed_units=scaled)}


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
    if training is not None:  # runs that declare nothing keep the keys that ledgers already hold
        parts["training"] = training
    return hashlib.sha256(to_canonical_json(parts).encode()).hexdigest()


def to_canonical_json(value: Any) -> str:
    """Return the one text of equal values; raises TypeError or ValueError as `trial_key` does."""
    return _ENCODER.encode(_canonical(value))


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
