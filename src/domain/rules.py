"""The report on rules as text: what they read, how far they look back, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from src.domain.errors import InvalidInput, InvalidRule
from src.domain.reported import reported


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    """A rule that has no fault of its own."""

    field: str = reported("The field that holds the rule: buy, sell, short or cover.")
    text: str = reported("The rule as it was understood: with only the brackets that it needs.")
    tree: Any = reported(
        "Its tree: an object with kind (number, parameter, column, call, earlier, negative, arithmetic, comparison, "
        "not, logic), value (the number, name or operator; null if none) and children (objects of the same form)."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFault:
    """What is wrong with a rule, or with the rules together."""

    field: str | None = reported("The field at fault; null if no single field is.")
    message: str = reported("What is wrong, what is allowed, and a caret under the place.")
    line: int | None = reported(
        "Line of the fault in the rule's text, from 1; null if it is in no rule.", "count of lines"
    )
    column: int | None = reported(
        "Column of the fault in that line, from 1; null if it is in no rule.", "count of characters"
    )

    @staticmethod
    def of(error: InvalidInput) -> RuleFault:
        """Return the fault that an error states."""
        line, column = (error.line, error.column) if isinstance(error, InvalidRule) else (None, None)
        return RuleFault(field=error.field, message=error.message, line=line, column=column)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReport:
    """A report on the rules of one request; all but `faults` is about the rules that have no fault of their own."""

    rules: tuple[RuleText, ...] = reported("The rules that have no fault, in the order buy, sell, short, cover.")
    lookback_bars: int = reported("Bars before the first at which each rule has all its values.", "bars")
    warm_up_bars: int = reported(
        "Bars before the range that are read, so that values do not depend on where the history begins.", "bars"
    )
    parameters: tuple[str, ...] = reported("Names of the parameters that the rules use.")
    indicators: tuple[str, ...] = reported("Names of the indicators that the rules use.")
    reads_model: bool = reported("Whether a rule calls model(), so that a model must be given.")
    faults: tuple[RuleFault, ...] = reported(
        "The first fault of each rule, then those of the rules together; empty if they can be traded."
    )
    warnings: tuple[str, ...] = reported(
        "Parts that can be traded and are hardly meant: conditions that never change, divisions by zero, each with its "
        "place."
    )
