"""Check that a ledger's links follow one another and lead to the state that is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from src.domain.error_text import quote
from src.domain.trials import ChainLink, TrialLedgerState

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class ChainCheck:
    """Follows the links of a ledger in rising order of their numbers, and keeps the first fault.

    A link that does not follow the head before it is explained by the head after it, which was made from the right one.
    A writer to the store can compute all heads again; only a head of an earlier receipt shows that.
    """

    def __init__(self, state: TrialLedgerState) -> None:
        self.fault: str | None = None
        self._state = state
        self._number, self._sums = state.unlinked_runs, state.sums_digest()
        self._head = state.head if state.is_unnumbered else state.first_head
        self._wrong: ChainLink | None = None
        if state.unlinked_runs > state.runs:
            self.fault = f"the ledger has {state.runs} runs, of which {state.unlinked_runs} are without links"

    def add(self, link: ChainLink) -> None:
        """Compare the next link; a damaged one has fields of other types."""
        if self.fault is None and self._wrong is not None:
            self.fault = self._explain(self._wrong, link.head, link.head_after)
        if self.fault is None:
            self.fault = self._find_wrong_place(link) or _find_wrong_field(link)
        if self.fault is not None:
            return
        self._number += 1
        if link.head == link.head_after(self._head):
            self._head, self._sums = link.head, link.sums
        else:
            self._wrong = link

    def finish(self) -> str | None:
        """Compare the end of the chain with the state; return the first fault, None if there is none."""
        state, number = self._state, self._number
        if self.fault is not None:
            return self.fault
        if self._wrong is not None:
            self.fault = self._explain(self._wrong, state.head if number == state.runs else "", str)
        elif number != state.runs:
            self.fault = f"link {number + 1} is missing: the ledger has {state.runs} runs"
        elif self._head != state.head:
            self.fault = f"the ledger's head is not the head after link {number}: one of them was changed"
        elif self._sums != state.sums_digest():
            self.fault = f"the ledger's sums are not those of link {number}"
        return self.fault

    def _find_wrong_place(self, link: ChainLink) -> str | None:
        number, expected, state = link.number, self._number + 1, self._state
        if not _is_whole(number):
            return f"a link has the number {quote(number)}"
        if state.is_unnumbered:
            return (
                f"there is a link {number}, but the ledger has no number of runs: an older version of the service "
                "has counted a trial since"
            )
        if number < expected:
            return self._explain_early(number)
        if expected > state.runs:
            return f"link {number} comes after the ledger's last run, {state.runs}"
        return None if number == expected else f"link {expected} is missing: link {number} stands in its place"

    def _explain_early(self, number: int) -> str:
        if number > self._state.unlinked_runs:
            return f"two links have the number {number}"
        return (
            f"link {number} stands before the first one, {self._state.unlinked_runs + 1}: an older version of the "
            "service has counted a trial since, or the link was added"
        )

    def _explain(self, link: ChainLink, next_head: str, head_after: Callable[[str], str]) -> str:
        """Return what of a wrong link was changed, if the head after it shows that.

        `head_after` returns what `next_head` must be after a head of this link.
        """
        changed = "its key, trial, sums or head were changed"
        if next_head == head_after(link.head_after(self._head)):
            changed = "its head was changed"
        elif next_head == head_after(link.head):
            is_end = link.number == self._state.runs
            if is_end and replace(link, sums=self._state.sums_digest()).head_after(self._head) == link.head:
                changed = "its sums were changed"
            elif link.number == self._state.unlinked_runs + 1:
                changed = "its key, trial or sums, or the ledger's first head, were changed"
            else:
                changed = "its key, trial or sums were changed"
        return f"link {link.number} does not follow the head before it: {changed}"


def find_fault(links: Iterable[ChainLink], state: TrialLedgerState) -> str | None:
    """Return the first fault of a ledger's links, in rising order of their numbers; None if there is none."""
    check = ChainCheck(state)
    for link in links:
        check.add(link)
    return check.finish()


def _find_wrong_field(link: ChainLink) -> str | None:
    if not _is_text(link.key):
        return f"link {link.number} has {quote(link.key)} as key"
    for name, value in (("digest of its trial", link.entry), ("digest of its sums", link.sums), ("head", link.head)):
        if not _is_text(value) or not _DIGEST.fullmatch(value):
            return f"link {link.number} has {quote(value)} as {name}"
    return None


# A damaged link's fields have other types than declared.


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
