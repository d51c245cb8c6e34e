"""Check that a ledger's links follow one another and lead to the stored state."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from src.domain.chain_links import ChainLink
from src.domain.error_text import quote
from src.domain.trial_states import TrialLedgerState

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class ChainCheck:
    """Follows the links of a ledger in rising order of their numbers, and keeps the first fault.

    If a link does not follow the head before it, the head after it tells what changed, because it was computed from the
    original link. A writer to the store can compute all heads again; only a head in an earlier receipt shows
    that.
    """

    def __init__(self, state: TrialLedgerState) -> None:
        self.fault: str | None = None
        self._state = state
        self._number, self._sums = state.linkless_runs, state.sums_digest()
        self._head = state.head if state.is_unnumbered else state.first_head
        self._wrong: ChainLink | None = None
        self._batch: _OpenBatch | None = None
        if state.linkless_runs > state.runs:
            self.fault = f"the ledger has {state.runs} runs, of which {state.linkless_runs} are without links"

    def add(self, link: ChainLink) -> None:
        """Compare the next link; a damaged one has fields of other types."""
        if self.fault is not None:
            return
        fault = self._find_wrong_place(link) or _find_wrong_field(link) or self._find_wrong_runs(link)
        if fault is not None:
            self.fault = fault if self._wrong is None else self._explain(self._wrong, link.head, link.head_after)
            return
        self._number += 1
        if link.runs > 1:
            self._batch = _OpenBatch(link)
        if self._batch is None:
            self._follow(link)
        elif self._batch.add(link.key):
            self._follow(self._batch.joined_link())
            self._batch = None

    def _follow(self, link: ChainLink) -> None:
        """Compare the head of a link; the head of a batch once all its keys are known."""
        if self._wrong is not None:
            self.fault = self._explain(self._wrong, link.head, link.head_after)
        elif link.head == link.head_after(self._head):
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
        if number > self._state.linkless_runs:
            return f"two links have the number {number}"
        return (
            f"link {number} stands before the first one, {self._state.linkless_runs + 1}: an older version of the "
            "service has counted a trial since, or the link was added"
        )

    def _find_wrong_runs(self, link: ChainLink) -> str | None:
        batch = self._batch
        if batch is None and link.runs == 0:
            return f"link {link.number} belongs to a batch, but no batch is there"
        if batch is not None and link.runs != 0:
            return f"link {link.number} stands alone inside {_name(batch.link)}"
        if _last_run(link) > self._state.runs:
            return f"{_name(link)} ends after the ledger's last run, {self._state.runs}"
        return None

    def _explain(self, link: ChainLink, next_head: str, head_after: Callable[[str], str]) -> str:
        """Return which part of a wrong link was changed, if the head after it shows that.

        `head_after` returns what `next_head` must be after a head of this link.
        """
        content = "keys, trials" if link.runs > 1 else "key, trial"
        changed = f"its {content}, sums or head were changed"
        if next_head == head_after(link.head_after(self._head)):
            changed = "its head was changed"
        elif next_head == head_after(link.head):
            is_end = _last_run(link) == self._state.runs
            if is_end and replace(link, sums=self._state.sums_digest()).head_after(self._head) == link.head:
                changed = "its sums were changed"
            elif link.number == self._state.linkless_runs + 1:
                changed = f"its {content} or sums, or the ledger's first head, were changed"
            else:
                changed = f"its {content} or sums were changed"
        return f"{_name(link)} does not follow the head before it: {changed}"


class _OpenBatch:
    """A batch's link, and the keys of those of its runs that have been read."""

    def __init__(self, link: ChainLink) -> None:
        self.link = link
        self._keys: list[str] = []

    def add(self, key: str) -> bool:
        """Take the next key; return whether it is the last one."""
        self._keys.append(key)
        return len(self._keys) == self.link.runs

    def joined_link(self) -> ChainLink:
        return self.link.join(self._keys)


def find_fault(links: Iterable[ChainLink], state: TrialLedgerState) -> str | None:
    """Return the first fault of a ledger's links, in rising order of their numbers; None if there is none."""
    check = ChainCheck(state)
    for link in links:
        check.add(link)
    return check.finish()


def _find_wrong_field(link: ChainLink) -> str | None:
    if not _is_text(link.key):
        return f"link {link.number} has {quote(link.key)} as key"
    if not _is_whole(link.runs) or link.runs < 0:
        return f"link {link.number} has {quote(link.runs)} as number of its runs"
    for name, value in (("digest of its trial", link.entry), ("digest of its sums", link.sums), ("head", link.head)):
        is_right = _is_text(value) and _DIGEST.fullmatch(value) if link.runs else value == ""
        if not is_right:
            return f"link {link.number} has {quote(value)} as {name}"
    return None


def _name(link: ChainLink) -> str:
    """Return the name of a link: its number, and for a batch its runs."""
    return f"link {link.number}" if link.runs < 2 else f"link {link.number} (runs {link.number} to {_last_run(link)})"


def _last_run(link: ChainLink) -> int:
    return link.number + max(link.runs, 1) - 1


# A damaged link's fields have other types than declared.


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
