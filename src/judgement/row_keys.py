"""Build the keys of many runs on the same bars: the rows of a sweep.

They equal those of `run_key`, at a tenth of its cost: the canonical JSON has the same beginning and end in all rows,
and the rest is assembled from cached texts of names and values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum
from itertools import repeat
from operator import attrgetter
from typing import Any, Final

from src.domain.parameters import parameters_of
from src.domain.signals import StrategyDescription
from src.domain.trading import TradingRules
from src.judgement.trial_keys import RunSetting, decisive_rules, keeps_cash, to_canonical_json

_SCALARS: Final = (int, float, str, bool, type(None), Enum)


def row_keys(
    setting: RunSetting,
    strategies: Sequence[StrategyDescription],
    rules: TradingRules | Sequence[TradingRules],
    smallest_growth: Sequence[float],
) -> tuple[str, ...]:
    """Return the key of each run: `run_key` of its strategy, its rules (one for all, or each) and its growth.

    Rows that share a strategy object or a rules object cost less. Raises ValueError if the lengths differ.
    """
    count = len(strategies)
    if count != len(smallest_growth) or not (isinstance(rules, TradingRules) or len(rules) == count):
        raise ValueError("strategies, rules and smallest_growth differ in length")
    texts = _Texts(setting)
    all_rules = repeat(rules, count) if isinstance(rules, TradingRules) else rules
    return tuple(map(texts.build_key, strategies, all_rules, smallest_growth))


class _Texts:
    """The parts of the canonical JSON of `trial_key`, in the order of their names.

    Objects with cached texts are kept alive, so that no other object gets the same id.
    """

    def __init__(self, setting: RunSetting) -> None:
        self._setting = setting
        shared = {"bars": setting.bars_fingerprint, "interval": setting.interval, "model": setting.model_sha256}
        end: dict[str, Any] = {"symbol": setting.symbol, "window": setting.window_ms}
        if setting.training is not None:
            end["training"] = setting.training
        self._head = f'{to_canonical_json(shared)[:-1]},"parameters":'
        self._tail = f",{to_canonical_json(end)[1:]}"
        self._values: dict[tuple[type, object], str] = {}
        self._names: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}
        self._strategies: dict[int, tuple[StrategyDescription, str, str]] = {}
        self._rules: dict[tuple[int, bool], tuple[TradingRules, str]] = {}

    def build_key(self, strategy: StrategyDescription, rules: TradingRules, smallest_growth: float) -> str:
        is_kept = keeps_cash(rules, smallest_growth=smallest_growth, highest_price=self._setting.highest_price)
        found = self._strategies.get(id(strategy))
        if found is None:
            name = f',"strategy":{self._write_value(strategy.name)}{self._tail}'
            found = strategy, f'{self._head}{self._write_mapping(strategy.parameters)},"rules":', name
            self._strategies[id(strategy)] = found
        known = self._rules.get((id(rules), is_kept))
        if known is None:
            known = rules, self._write_rules(decisive_rules(rules, is_cash_kept=is_kept))
            self._rules[id(rules), is_kept] = known
        return hashlib.sha256(f"{found[1]}{known[1]}{found[2]}".encode()).hexdigest()

    def _write_mapping(self, values: Mapping[str, Any]) -> str:
        names = tuple(values)
        prefixes = self._names.get(names)
        if prefixes is None:
            prefixes = tuple((name, f"{to_canonical_json(name)}:") for name in sorted(names))
            self._names[names] = prefixes
        return f"{{{','.join([prefix + self._write_value(values[name]) for name, prefix in prefixes])}}}"

    def _write_rules(self, rules: TradingRules) -> str:
        """Write what `written_rules` returns."""
        parts = [
            prefix + self._write_value(item.write(value))
            for value, (item, prefix) in zip(_VALUES_OF_RULES(rules), _RULES, strict=True)
            if value != item.default
        ]
        return f"{{{','.join(parts)}}}"

    def _write_value(self, value: Any) -> str:
        # Numbers and booleans can be equal but have different texts, so the type is part of the cache key.
        if not isinstance(value, _SCALARS):
            return to_canonical_json(value)
        kept = self._values.get((type(value), value))
        if kept is None:
            kept = self._values[type(value), value] = to_canonical_json(value)
        return kept


_RULES: Final = tuple(
    (item, f"{to_canonical_json(item.parameter.name)}:")
    for item in sorted(parameters_of(TradingRules), key=lambda item: item.parameter.name)
)
_VALUES_OF_RULES: Final = attrgetter(*(".".join(item.path) for item, _ in _RULES))
