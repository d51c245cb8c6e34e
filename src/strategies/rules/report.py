"""Describe rules without trading them, for a form that checks them while a client types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from src.domain.errors import InvalidInput
from src.domain.intervals import Interval
from src.domain.parameters import own_parameters_of
from src.domain.rules import RuleFault, RuleReport, RuleText
from src.strategies.rules.checking import (
    RULE_FIELDS,
    Rules,
    check_all_are_used,
    check_named_parameters,
    check_sides,
)
from src.strategies.rules.compiling import Compiler
from src.strategies.rules.printing import print_rule
from src.strategies.rules.strategy import RulesParams
from src.strategies.rules.tree import to_plain

RULE_PARAMETERS: Final = own_parameters_of(RulesParams)
"""The declared rules and their named parameters, without those of a model that rules may read."""


def describe_rules(rules: Rules, parameters: Mapping[str, float], interval: Interval) -> RuleReport:
    """Return what rules read, and the first fault of each; never raises InvalidInput.

    It does not check whether a model is given: `reads_model` tells a form to ask for one.
    """
    faults: list[RuleFault] = []
    printed: list[RuleText] = []
    _collect(faults, lambda: check_named_parameters(parameters))
    compiler = Compiler({} if faults else parameters)
    for field in RULE_FIELDS:
        text = rules.get(field)
        if text is not None:
            _collect(faults, partial(_describe, compiler, field, text, printed))
    program = compiler.build()
    _collect(faults, lambda: check_sides(rules))
    if not faults:
        _collect(faults, lambda: check_all_are_used(parameters, program.parameters))
    return RuleReport(
        rules=tuple(printed),
        lookback_bars=program.lookback_bars,
        warm_up_bars=program.warm_up_bars(interval),
        parameters=program.parameters,
        indicators=program.indicators,
        reads_model=program.reads_model,
        faults=tuple(faults),
        warnings=program.warnings,
    )


def _describe(compiler: Compiler, field: str, text: str, printed: list[RuleText]) -> None:
    tree = compiler.add_rule(text, field)
    printed.append(RuleText(field=field, text=print_rule(tree), tree=to_plain(tree)))


def _collect(faults: list[RuleFault], check: Callable[[], object]) -> None:
    try:
        check()
    except InvalidInput as error:
        faults.append(RuleFault.of(error))
