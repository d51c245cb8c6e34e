"""Turn a client's rules into a report on them, without a backtest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from src.domain.intervals import DEFAULT_INTERVAL, Interval
from src.domain.market import MarketRequest
from src.domain.parameters import parameters_of
from src.domain.rules import RuleReport
from src.strategies.rules.report import RULE_PARAMETERS, describe_rules

_INTERVAL: Final = tuple(item for item in parameters_of(MarketRequest) if item.parameter.name == "interval")

CHECKED: Final = (*RULE_PARAMETERS, *_INTERVAL)
"""The fields of a check: rules, their named parameters, and the interval, on which the warm-up depends."""


def check_rules(given: Mapping[str, Any]) -> RuleReport:
    """Return the report on rules that a client gave by public name; raises InvalidInput for an unknown interval."""
    rules = {name: value or None for name, value in given.items()}
    return describe_rules(
        rules, given.get("parameters") or {}, Interval.named(given.get("interval") or DEFAULT_INTERVAL)
    )
