"""The rules strategy: trade conditions that a client writes as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from src.domain.intervals import Interval
from src.domain.named_numbers import NamedNumbers
from src.domain.parameters import parameter
from src.domain.signals import Predictions, Signals, StrategyDescription
from src.domain.strategy import ModelChoice, StrategyInputs, StrategyParams
from src.strategies.model_signals import check_values, find_probability
from src.strategies.rules.checking import (
    RULE_FIELDS,
    check_all_are_used,
    check_model,
    check_named_parameters,
    check_sides,
    compile_rules,
)
from src.strategies.rules.evaluation import RuleInputs, evaluate
from src.strategies.rules.program import Program
from src.strategies.rules.scanning import MAX_CHARACTERS
from src.strategies.rules.targets import find_edges


def _rule(name: str, meaning: str, example: str | None = None) -> str | None:
    declared = parameter(
        name=name, meaning=meaning, default=None, default_meaning="never", max_length=MAX_CHARACTERS, example=example
    )
    return cast("str | None", declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesParams(StrategyParams):
    """Conditions as text, at least `buy` or `short`; docs/rules.md describes the language.

    `model` is given exactly if a rule calls model(). Raises InvalidInput, which is an InvalidRule with line and column
    if a rule itself is wrong.
    """

    buy: str | None = _rule("buy", "Condition to be long from", "rsi({n}) < 30 and close > sma(200)")
    sell: str | None = _rule("sell", "Condition to be long until", "crosses_above(rsi({n}), 70)")
    # No examples: tools send all examples of a schema at once, and the default direction allows only longs.
    short: str | None = _rule("short", "Condition to be short from")
    cover: str | None = _rule("cover", "Condition to be short until")
    parameters: Mapping[str, float] = parameter(
        name="parameters",
        meaning="The numbers of the names in braces, as n in rsi({n}); each must be used by a rule",
        default=NamedNumbers(),
        default_meaning="none",
        example={"n": 14},
        write=dict,
    )
    model: ModelChoice | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", NamedNumbers(self.parameters))
        check_named_parameters(self.parameters)
        check_sides({field: getattr(self, field) for field in RULE_FIELDS})
        program = self.program
        check_all_are_used(self.parameters, program.parameters)
        check_model(is_given=self.model is not None, is_read=program.reads_model)

    @property
    def program(self) -> Program:
        """The compiled rules."""
        rules = tuple((field, text) for field in RULE_FIELDS if (text := getattr(self, field)) is not None)
        return compile_rules(rules, tuple(self.parameters.items()))

    @property
    def can_short(self) -> bool:
        return self.short is not None

    @property
    def lookback_bars(self) -> int:
        return self.program.lookback_bars

    def warm_up_bars(self, interval: Interval) -> int:
        return self.program.warm_up_bars(interval)

    def with_model(self, model: ModelChoice) -> RulesParams:
        return replace(self, model=model)


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules as text: long from the bar at which `buy` is true until `sell` is, short from `short` until `cover`."""

    label: ClassVar[str] = "Rules"

    params: RulesParams

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:
        """Return the rules and their numbers, and how the model was read, without the model's name."""
        described = self.params.describe(self.label)
        if predictions is None or not self.params.program.reads_model:
            return described
        read = {"featureColumns": predictions.feature_columns, "outputKind": predictions.kind.value}
        return replace(described, parameters={**described.parameters, **read})

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the changes of the target position, which is flat before the first bar of the range."""
        program = self.params.program
        predictions = inputs.required_predictions() if program.reads_model else None
        values = None if predictions is None else _read_model(predictions, inputs.warm_up)
        is_true = evaluate(program, RuleInputs(bars=inputs.bars, predictions=values, memory=inputs.memory))
        in_range = {field: condition[inputs.warm_up :] for field, condition in is_true.items()}
        never = np.zeros(len(inputs.bars) - inputs.warm_up, dtype=np.bool_)
        never.flags.writeable = False  # read-only like the others, so that numba compiles one version
        action = find_edges(*(in_range.get(field, never) for field in RULE_FIELDS), self.params.can_short)
        return Signals(
            action=action,
            strategy=self.describe(predictions),
            probability=None if predictions is None else find_probability(predictions),
            warnings=(
                *(() if predictions is None else predictions.warnings),
                *_warn(program, in_range, len(inputs.bars)),
            ),
        )


def _read_model(predictions: Predictions, warm_up: int) -> NDArray[np.float64]:
    """Return a model's predictions, padded with NaN for the bars before the range, which it did not predict.

    Raises InvalidInput if a prediction does not match the declared kind.
    """
    check_values(predictions)
    return np.concatenate((np.full(warm_up, np.nan), predictions.values))


def _warn(program: Program, is_true: Mapping[str, NDArray[np.bool_]], bars: int) -> tuple[str, ...]:
    """Return warnings about parts of rules that are probably not meant, and about rules that were never true."""
    if bars <= program.lookback_bars:
        return (
            *program.warnings,
            f"{bars} bars are too few for rules that look back {program.lookback_bars}. Ask for more bars (limit) or "
            "write shorter lengths.",
        )
    never = (f"The rule {field} is true at no bar." for field, condition in is_true.items() if not condition.any())
    return (*program.warnings, *never)
