"""Leave out the combinations that a constraint, the strategy or the trading rules exclude."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.error_text import FieldName, Template, Text
from src.domain.errors import InvalidInput
from src.strategies.rules.strategy import RulesParams
from src.sweeps.parameters import ValueKind, apply_values
from src.sweeps.rule_numbers import find_decisive
from src.sweeps.space import SearchSpace

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MAX_COMPILED: Final = 20_000
"""Rules that are compiled to learn whether their numbers go together: 0.6 ms each."""


class Exclusions:
    """Decides which rows of values are tried; `reason` says why the first row that was left out was."""

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
        for place, relation in enumerate(self._space.relations):
            allowed &= relation.holds(values)
            if self.reason is None and not allowed.all():
                self.reason = Template("{item} excludes it.", {"item": FieldName(f"constraints.{place}")})
        self._keep_pairs(values, allowed)
        self._keep_settings(values, allowed)
        self._keep_rules(values, allowed)
        return allowed

    def _keep_pairs(self, values: Floats, allowed: Flags) -> None:
        """Leave out rows in which a pair of the strategy's numbers is not in its order."""
        strategy = self._space.backtest.strategy
        for pair in strategy.ordered_pairs:
            places = [self._space.place_of("strategy", name) for name in pair]
            if places == [None, None]:
                continue
            low, high = (
                getattr(strategy, name) if place is None else values[:, place]
                for name, place in zip(pair, places, strict=True)
            )
            in_order = low < high
            self._explain(values, allowed & ~in_order)
            allowed &= in_order

    def _keep_settings(self, values: Floats, allowed: Flags) -> None:
        """Leave out rows whose trading rules contradict each other: each kind of them is tried once.

        What they forbid depends on closed lists, and on whether an entry's offset is 0.
        """
        places = [place for place, column in enumerate(self._space.columns) if column.item.path[0] == "rules"]
        if not places:
            return
        codes = np.zeros(len(values), np.int64)
        for place in places:
            item = self._space.columns[place].item
            is_choice = item.kind is ValueKind.CHOICE
            codes *= len(item.choices) if is_choice else 2
            codes += values[:, place].astype(np.int64) if is_choice else values[:, place] != 0
        kinds, firsts, kind_of = np.unique(codes, return_index=True, return_inverse=True)
        works = np.ones(kinds.size, np.bool_)
        for index, (code, row) in enumerate(zip(kinds.tolist(), firsts.tolist(), strict=True)):
            if code not in self._tried_settings:
                self._tried_settings[code] = self._try(values[row], places)
            works[index] = self._tried_settings[code]
        allowed &= works[kind_of]

    def _keep_rules(self, values: Floats, allowed: Flags) -> None:
        """Leave out rows with which the rules of a client cannot be compiled: each distinct one is tried."""
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
                self._tried_rules[numbers] = self._try(values[rows[firsts[index]]], places)
            works[index] = self._tried_rules[numbers]
        allowed[rows] = works[place_of.ravel()]

    def _try(self, row: Floats, places: list[int]) -> bool:
        """Return whether the backtest takes these values of a row; the first error is kept as the reason."""
        plain, names = self._space.plain_of(row), self._space.names
        try:
            apply_values(self._space.backtest, {names[place]: plain[names[place]] for place in places})
        except InvalidInput as error:
            self.reason = self.reason or error.text
            return False
        return True

    def _explain(self, values: Floats, excluded: Flags) -> None:
        """Keep the error of the first excluded row as the reason."""
        if self.reason is None and excluded.any():
            self._try(values[np.argmax(excluded)], list(range(len(self._space.columns))))

    def nothing_left(self, count: int) -> InvalidInput:
        """Return the error of a sweep of which all combinations are excluded."""
        return InvalidInput(
            "{field} leaves nothing to try: all {count:,} combinations are excluded. The first of them: {why}",
            field="parameters", count=count, why=self.reason or FieldName("constraints"),
        )  # fmt: skip
