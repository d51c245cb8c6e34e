"""Leave out the combinations that a constraint, the strategy or the trading rules exclude."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.error_text import FieldName, Template, Text
from src.domain.errors import InvalidInput
from src.domain.order_rules import NUMBER_RULES
from src.strategies.rules.strategy import RulesParams
from src.sweeps.parameters import ValueKind, apply_values
from src.sweeps.rule_numbers import find_decisive
from src.sweeps.space import SearchSpace

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MAX_COMPILED: Final = 20_000
"""The most rules that are compiled to check whether their numbers fit together: 0.6 ms each."""


class Exclusions:
    """Decides which rows of values are tried; `reason` says why the first excluded row was left out."""

    def __init__(self, space: SearchSpace) -> None:
        self._space: Final = space
        self._tried_rules: Final[dict[tuple[float, ...], bool]] = {}
        self._tried_settings: Final[dict[int, bool]] = {}
        self.reason: Text | None = None

    def allow(self, values: Floats) -> Flags:
        """Return whether each row of the values [k, p] is tried.

        Raises InvalidInput if there are more rules to compile than `MAX_COMPILED`.
        """
        allowed = np.ones(len(values), np.bool_)
        for relation in self._space.relations:
            allowed &= relation.holds(values)
        self._keep_pairs(values, allowed)
        self._keep_numbers(values, allowed)
        self._keep_settings(values, allowed)
        self._keep_rules(values, allowed)
        if self.reason is None and not allowed.all():
            self.reason = self._explain(values[np.argmin(allowed)])
        return allowed

    def _keep_pairs(self, values: Floats, allowed: Flags) -> None:
        """Leave out rows in which a pair of the strategy's numbers is not in its order."""
        strategy = self._space.backtest.strategy
        for pair in strategy.ordered_pairs:
            given = self._columns(values, strategy, [("strategy", name) for name in pair])
            if given is not None:
                low, high = given
                allowed &= low < high

    def _keep_numbers(self, values: Floats, allowed: Flags) -> None:
        """Leave out rows in which the sizes of numbers in the trading rules contradict each other."""
        for rule in NUMBER_RULES:
            given = self._columns(values, self._space.backtest.rules, [("rules", *path) for path in rule.paths])
            if given is not None:
                allowed &= ~rule.forbids(*given)

    def _columns(self, values: Floats, part: object, paths: Sequence[tuple[str, ...]]) -> Sequence[Floats] | None:
        """Return the numbers at these paths of a part of the request, one for each row, NaN if not given; None if none
        of them is swept."""
        places = [self._space.place_of(*path) for path in paths]
        if all(place is None for place in places):
            return None
        return [
            np.full(len(values), _number_at(part, path[1:])) if place is None else values[:, place]
            for path, place in zip(paths, places, strict=True)
        ]

    def _keep_settings(self, values: Floats, allowed: Flags) -> None:
        """Leave out rows whose trading rules contradict each other: each distinct kind of row is tried once.

        Except for `NUMBER_RULES`, validity depends only on closed lists, and on whether an entry's offset is 0.
        """
        places = [place for place, column in enumerate(self._space.columns) if column.item.path[0] == "rules"]
        rows = np.flatnonzero(allowed)
        if not places or not rows.size:
            return
        codes = np.zeros(rows.size, np.int64)
        for place in places:
            item = self._space.columns[place].item
            is_choice = item.kind is ValueKind.CHOICE
            codes *= len(item.choices) if is_choice else 2
            codes += values[rows, place].astype(np.int64) if is_choice else values[rows, place] != 0
        kinds, firsts, kind_of = np.unique(codes, return_index=True, return_inverse=True)
        works = np.ones(kinds.size, np.bool_)
        for index, (code, row) in enumerate(zip(kinds.tolist(), rows[firsts].tolist(), strict=True)):
            if code not in self._tried_settings:
                self._tried_settings[code] = self._try(values[row], places) is None
            works[index] = self._tried_settings[code]
        allowed[rows] = works[kind_of]

    def _keep_rules(self, values: Floats, allowed: Flags) -> None:
        """Leave out rows whose values do not let a client's rules compile: each distinct row is tried."""
        strategy = self._space.backtest.strategy
        if not isinstance(strategy, RulesParams):
            return
        decisive = find_decisive(strategy)
        places = [
            place
            for place, column in enumerate(self._space.columns)
            if column.item.path[:2] == ("strategy", "parameters") and column.item.name in decisive
        ]
        rows = np.flatnonzero(allowed)
        if not places or not rows.size:
            return
        distinct, firsts, place_of = np.unique(values[rows][:, places], axis=0, return_index=True, return_inverse=True)
        if distinct.shape[0] + len(self._tried_rules) > MAX_COMPILED:
            raise InvalidInput(
                "{field}: {names} decide whether the rules can be computed, and have over {most:,} combinations. "
                "Sweep fewer values of them.",
                field="parameters", names=tuple(self._space.names[place] for place in places), most=MAX_COMPILED,
            )  # fmt: skip
        works = np.ones(distinct.shape[0], np.bool_)
        for index, numbers in enumerate(map(tuple, distinct.tolist())):
            if numbers not in self._tried_rules:
                self._tried_rules[numbers] = self._try(values[rows[firsts[index]]], places) is None
            works[index] = self._tried_rules[numbers]
        allowed[rows] = works[place_of.ravel()]

    def _try(self, row: Floats, places: Sequence[int]) -> Text | None:
        """Return why the backtest rejects these values of a row; None if it accepts them."""
        plain, names = self._space.plain_of(row), self._space.names
        try:
            apply_values(self._space.backtest, {names[place]: plain[names[place]] for place in places})
        except InvalidInput as error:
            return error.text
        return None

    def _explain(self, row: Floats) -> Text | None:
        """Return why a row [p] is left out: the first constraint that it does not meet, or its own error."""
        for place, relation in enumerate(self._space.relations):
            if not relation.holds(row[None, :])[0]:
                return Template("{item} excludes it.", {"item": FieldName(f"constraints.{place}")})
        return self._try(row, range(len(self._space.columns)))

    def nothing_left(self, count: int) -> InvalidInput:
        """Return the error of a sweep of which all combinations are excluded."""
        return InvalidInput(
            "{field} leaves nothing to try: all {count:,} combinations are excluded. The first of them: {why}",
            field="parameters", count=count, why=self.reason or FieldName("constraints"),
        )  # fmt: skip


def _number_at(part: object, path: tuple[str, ...]) -> float:
    value = attrgetter(".".join(path))(part)
    return np.nan if value is None else float(value)
