"""The service's verdict on a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reason:
    """One objection or note: `level` is None for a note."""

    code: str
    level: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to believe a result; its text begins with the level, then come the reasons, the gravest first.

    Attributes
    ----------
    level
        DISPROVED, TOO_LITTLE_DATA, UNDERPOWERED, DOUBTFUL or NO_OBJECTION; NOT_JUDGED if the service did not judge.
    reasons
        Objections and notes.
    not_checked
        A sentence for each check that was not made, with the reason.
    """

    level: str
    reasons: tuple[Reason, ...] = ()
    not_checked: tuple[str, ...] = ()

    @classmethod
    def of(cls, judgement: Mapping[str, Any] | None) -> Verdict:
        """Return the verdict of a judgement as the service sends it."""
        if judgement is None:
            return cls("NOT_JUDGED")
        verdict = judgement["verdict"]
        return cls(
            level=verdict["level"],
            reasons=tuple(Reason(item["code"], item["level"], item["text"]) for item in verdict["reasons"]),
            not_checked=tuple(item["why"] for item in verdict["not_checked"]),
        )

    @property
    def words(self) -> str:
        """The level in lower-case words."""
        return self.level.lower().replace("_", " ")

    @property
    def objections(self) -> tuple[Reason, ...]:
        """The reasons that give the verdict its level."""
        return tuple(reason for reason in self.reasons if reason.level is not None)

    def __str__(self) -> str:
        return "\n".join([self.level, *(f"{'-' if reason.level else '·'} {reason.text}" for reason in self.reasons)])

    __repr__ = __str__
