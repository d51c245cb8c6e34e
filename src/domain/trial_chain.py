"""Check that a ledger's links follow one another and lead to the state that is stored."""

from __future__ import annotations

from collections.abc import Iterable

from src.domain.trials import ChainLink, TrialLedgerState


def find_fault(links: Iterable[ChainLink], state: TrialLedgerState) -> str | None:
    """Return the first fault of a ledger's links, in rising order of their numbers; None if there is none.

    A writer to the store can compute all heads again; only a head of an earlier receipt shows that.
    """
    number, head, sums = state.unlinked_runs, state.first_head, None
    for link in links:
        number += 1
        if number > state.runs:
            return f"link {link.number} comes after the ledger's last run, {state.runs}"
        if link.number != number:
            return f"link {number} is missing: link {link.number} stands in its place"
        if link.head != link.head_after(head):
            return f"link {number} does not follow the head before it: its number, key, digests or head were changed"
        head, sums = link.head, link.sums
    return _find_fault_of_end(number, head, sums, state)


def _find_fault_of_end(number: int, head: str, sums: str | None, state: TrialLedgerState) -> str | None:
    """Return why the state does not fit its last link; `sums` is None if there are no links."""
    if number != state.runs:
        return f"link {number + 1} is missing: the ledger has {state.runs} runs"
    if head != state.head:
        return f"the ledger's head is not the head after link {number}"
    if sums is not None and sums != state.sums_digest():
        return f"the ledger's sums are not those of link {number}"
    return None
