"""Read order cases of other programs, drawn anew: what each gives here, and what it gives there.

A table of a case that differs has a column more, with the fills of the other program:

    open high low close | signal | fills               | there
    400  404  396 400   | buy    |                     |
    400  404  396 400   |        | buy 1 @ 400 signal  | buy 1 @ 400 signal
    380  396  370 384   |        | sell 1 @ 380 stop_loss | sell 1 @ 392 stop_loss

Reasons are in our words in both columns. Prices, settings and tables are our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from src.domain.trading import TradingRules
from tests.scenarios.drawing import Scenario, read


class Outcome(StrEnum):
    """How a case of another program fares here."""

    AGREES = "agrees"
    DIFFERS = "differs"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCase:
    """One order case of another program.

    Without `rules` it cannot be expressed here, and `reason` says what is missing. With a `reason` the fills differ,
    and it says by which rule.
    """

    name: str
    rules: TradingRules | None = None
    table: str = ""
    reason: str = ""
    ambiguous_bars: int = 0
    reduced_entries: int = 0
    is_liquidated: bool = False
    liquidations: int | None = None

    @property
    def outcome(self) -> Outcome:
        """How the case fares."""
        if self.rules is None:
            return Outcome.MISSING
        return Outcome.DIFFERS if self.reason else Outcome.AGREES

    def play(self) -> None:
        """Run the engine on the table, compare the fills, and check that those of the other program are others."""
        assert self.rules is not None, "only an expressible case can be played"
        ours = self.table if self.outcome is Outcome.AGREES else _with_fills_of(self.table, 2)
        Scenario(
            name=self.name,
            rules=self.rules,
            table=ours,
            ambiguous_bars=self.ambiguous_bars,
            reduced_entries=self.reduced_entries,
            is_liquidated=self.is_liquidated,
            liquidations=self.liquidations,
        ).play()
        if self.outcome is Outcome.DIFFERS:
            assert read(ours, 1.0).fills != read(_with_fills_of(self.table, 3), 1.0).fills, "the fills do not differ"


def missing(name: str, reason: str) -> ForeignCase:
    """Return a case that cannot be expressed."""
    return ForeignCase(name=name, reason=reason)


def expressible(cases: Sequence[ForeignCase]) -> list[ForeignCase]:
    """Return the cases that can be played."""
    return [case for case in cases if case.outcome is not Outcome.MISSING]


def count_outcomes(cases: Sequence[ForeignCase]) -> dict[Outcome, int]:
    """Return how many cases fare how."""
    return {outcome: sum(case.outcome is outcome for case in cases) for outcome in Outcome}


def check_cases(cases: Sequence[ForeignCase]) -> None:
    """Check that names differ, that each case that cannot be played says why, and that a difference is drawn."""
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert case.reason or case.outcome is Outcome.AGREES, case.name
        assert ("there" in case.table) is (case.outcome is Outcome.DIFFERS), case.name


def _with_fills_of(table: str, column: int) -> str:
    """Return the table with the fills of one column only."""
    rows = [line.split("|") for line in table.strip().splitlines()]
    return "\n".join("|".join((row[0], row[1], row[column])) for row in rows)
