"""Name the parameters of a backtest that a sweep can vary, and write values into it.

A name is looked up in this order: the strategy's own parameters (of a model its threshold), the numbers that rules name
in braces, the trading rules.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, cast

from src.domain.errors import InvalidInput, bad_value
from src.domain.funding import FundingKind
from src.domain.named_numbers import NamedNumbers
from src.domain.parameters import Bounds, DeclaredParameter, own_parameters_of, parameters_of, to_snake_case
from src.domain.runs import BacktestRequest
from src.domain.signals import ParameterValue
from src.domain.strategy import ModelChoice
from src.domain.trading import TradingRules
from src.indicators.indicator import Argument
from src.strategies.rules.checking import RULE_FIELDS
from src.strategies.rules.strategy import RulesParams
from src.sweeps.rule_numbers import find_arguments

_OF_A_MODEL: Final = frozenset(field.name for field in dataclasses.fields(ModelChoice))


class ValueKind(StrEnum):
    """The kind of a swept parameter's values."""

    WHOLE = "WHOLE"
    NUMBER = "NUMBER"
    CHOICE = "CHOICE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweepable:
    """A parameter that a sweep can vary.

    `name` is its public name in snake_case, and `field` its name in errors (camelCase). `path` are the fields from the
    request to it; the last one is a key if it is a number of rules. `choices` are the members of a closed list; their
    values are their indices in it.
    """

    name: str
    field: str
    kind: ValueKind
    path: tuple[str, ...]
    bounds: Bounds | None = None
    unit: str = ""
    choices: tuple[StrEnum, ...] = ()
    is_event_driven_only: bool = False
    default: object = None

    @property
    def allowed(self) -> str:
        """The values that it takes, in words."""
        if self.kind is ValueKind.CHOICE:
            return ", ".join(member.value for member in self.choices)
        kind = "a whole number" if self.kind is ValueKind.WHOLE else "a finite number"
        unit = f" ({self.unit})" if self.unit else ""
        return f"{kind}{'' if self.bounds is None else f', {self.bounds}'}{unit}"

    def plain(self, value: float) -> ParameterValue:
        """Return a value of the sweep's table as clients write it."""
        if self.kind is ValueKind.CHOICE:
            return self.choices[int(value)].value
        return int(value) if self.kind is ValueKind.WHOLE else float(value)

    def number(self, value: object, *, field: str) -> float:
        """Return a client's value as a number of the sweep's table; raises InvalidInput on `field`."""
        if self.kind is ValueKind.CHOICE:
            for place, member in enumerate(self.choices):
                if isinstance(value, str) and value.lower() == member.value.lower():
                    return float(place)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and self.allows(value):
            return float(value)
        raise InvalidInput(
            "{field} has {got!r} for {name}. Allowed: {allowed}.",
            field=field, got=value, name=self.name, allowed=self.allowed,
        )  # fmt: skip

    def allows(self, value: float) -> bool:
        """Return whether a number is finite, within the bounds, and whole if it must be."""
        if abs(value) > 2**1023 or not math.isfinite(value):
            return False
        return (self.bounds is None or value in self.bounds) and (
            self.kind is not ValueKind.WHOLE or value == math.floor(value)
        )


def sweepable(backtest: BacktestRequest) -> Mapping[str, Sweepable]:
    """Return what can be varied of a backtest, by public name in snake_case."""
    strategy = backtest.strategy
    if not isinstance(strategy, RulesParams):
        return _sweepable_of(cast("Hashable", type(strategy)))
    # The cache ignores the numbers' values, because a sweep would otherwise miss it for each set of them.
    return _sweepable_of(
        RulesParams, tuple(getattr(strategy, field) for field in RULE_FIELDS), tuple(strategy.parameters)
    )


@lru_cache(maxsize=128)
def _sweepable_of(
    kind: Hashable, rules: tuple[str | None, ...] = (), numbers: tuple[str, ...] = ()
) -> Mapping[str, Sweepable]:
    found: dict[str, Sweepable] = {}
    for item in own_parameters_of(cast("type", kind)):
        if item.path[-1] not in _OF_A_MODEL:
            _add(found, _describe(item, "strategy"))
    arguments = find_arguments(rules)
    for name in numbers:
        found.setdefault(name, _describe_rule_number(name, arguments.get(name)))
    for item in parameters_of(TradingRules):
        # The filters are read once for all rows, before the first one.
        if item.parameter.name != "filters":
            _add(found, _describe(item, "rules"))
    return MappingProxyType(found)


def find_sweepable(known: Mapping[str, Sweepable], name: str, *, field: str) -> Sweepable:
    """Return the parameter that a client named, in either spelling; raises InvalidInput on `field`."""
    item = known.get(name) or known.get(to_snake_case(name))
    if item is None:
        raise bad_value(field, got=name, allowed=f"a number or a closed list of the backtest: {', '.join(known)}")
    return item


def apply_values(backtest: BacktestRequest, values: Mapping[str, ParameterValue]) -> BacktestRequest:
    """Return the backtest with these values, by names of `sweepable`.

    Raises InvalidInput if a name is not among them, or the backtest does not allow a value or the values together.
    """
    known = sweepable(backtest)
    changes: dict[str, Any] = {}
    for name, value in values.items():
        item = find_sweepable(known, name, field="name")
        number = item.number(value, field=item.field)
        held = item.choices[int(number)] if item.kind is ValueKind.CHOICE else item.plain(number)
        place = changes
        for part in item.path[:-1]:
            place = place.setdefault(part, {})
        place[item.path[-1]] = held
    return _replace(backtest, changes)  # type: ignore[no-any-return]


def _replace(value: Any, changes: Mapping[str, Any]) -> Any:
    """Return a dataclass or named numbers with nested changes, all of one object at once."""
    if isinstance(value, Mapping):
        return NamedNumbers({**value, **changes})
    replaced = {
        name: _replace(getattr(value, name), change) if isinstance(change, dict) else change
        for name, change in changes.items()
    }
    return dataclasses.replace(value, **replaced)


def _add(found: dict[str, Sweepable], item: Sweepable | None) -> None:
    if item is not None:
        found.setdefault(item.name, item)


def _describe(item: DeclaredParameter, root: str) -> Sweepable | None:
    """Return a declared parameter as a sweepable one; None if its values are neither numbers nor a closed list."""
    declared, kind = item.parameter, item.kind
    is_choice = isinstance(kind, type) and issubclass(kind, StrEnum)
    if declared.read is not None or not (is_choice or kind in (int, float)):
        return None
    return Sweepable(
        name=declared.name,
        field=declared.field,
        kind=ValueKind.CHOICE if is_choice else ValueKind.WHOLE if kind is int else ValueKind.NUMBER,
        path=(root, *item.path),
        bounds=declared.bounds,
        unit=declared.unit,
        # The rates of a history are read once for all rows, before the first one.
        choices=tuple(member for member in kind if member is not FundingKind.HISTORY) if is_choice else (),
        is_event_driven_only=declared.is_event_driven_only,
        default=item.default,
    )


def _describe_rule_number(name: str, argument: Argument | None) -> Sweepable:
    is_whole = argument is not None and argument.is_whole
    return Sweepable(
        name=name,
        field=name,
        kind=ValueKind.WHOLE if is_whole else ValueKind.NUMBER,
        path=("strategy", "parameters", name),
        bounds=None if argument is None else argument.parameter.bounds,
        unit="" if argument is None else argument.parameter.unit,
    )
