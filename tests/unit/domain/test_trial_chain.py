"""Each change of a ledger's links or of its state is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.domain.trial_chain import find_fault
from src.domain.trials import EMPTY_LEDGER, ChainLink, LedgerEntry, Trial, TrialLedgerState


def make(runs: int, start: TrialLedgerState = EMPTY_LEDGER) -> tuple[list[ChainLink], TrialLedgerState]:
    links, state = [], start
    for number in range(runs):
        trial = Trial(slots=np.array([0, 4]), directions=np.array([number, 3]), t=number)
        state, link = state.count(LedgerEntry(key=f"key-{number}", total=trial, active=None))
        links.append(link)
    return links, state


def test_untouched_chain_has_no_fault() -> None:
    links, state = make(5)
    assert [link.number for link in links] == [1, 2, 3, 4, 5]
    assert find_fault(links, state) is None
    assert find_fault([], EMPTY_LEDGER) is None


@pytest.mark.parametrize("change", [{"key": "x"}, {"entry": "0" * 64}, {"sums": "0" * 64}, {"head": "0" * 64}])
def test_changed_link_is_named(change: dict[str, str]) -> None:
    links, state = make(5)
    links[2] = replace(links[2], **change)  # type: ignore[arg-type]
    assert "link 3 does not follow" in str(find_fault(links, state))


@pytest.mark.parametrize("number", [1, 3, 5])
def test_removed_link_is_named(number: int) -> None:
    links, state = make(5)
    del links[number - 1]
    assert f"link {number} is missing" in str(find_fault(links, state))


def test_swapped_heads_are_named_at_the_first() -> None:
    links, state = make(5)
    links[1], links[3] = replace(links[1], head=links[3].head), replace(links[3], head=links[1].head)
    assert "link 2 does not follow" in str(find_fault(links, state))


def test_link_after_the_end_is_named() -> None:
    links, _ = make(5)
    assert "link 5 comes after" in str(find_fault(links, make(4)[1]))


def test_changed_sums_and_head_are_named() -> None:
    links, state = make(5)
    assert "sums are not those of link 5" in str(find_fault(links, replace(state, total=make(4)[1].total)))
    assert "head is not the head after link 5" in str(find_fault(links, replace(state, head="0" * 64)))


def test_chain_goes_on_from_trials_without_links() -> None:
    before = replace(make(4)[1], unlinked_runs=4, first_head=make(4)[1].head)
    links, state = make(3, before)
    assert [link.number for link in links] == [5, 6, 7]
    assert find_fault(links, state) is None
    assert "link 5 does not follow" in str(find_fault(links, replace(state, first_head="0" * 64)))
