"""Each change of a ledger's links or of its state is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.domain.chain_links import ChainLink
from src.domain.trial_chain import find_fault
from src.domain.trial_states import EMPTY_LEDGER, TrialLedgerState
from src.domain.trials import LedgerEntry, Trial
from tests.trial_batches import make_batch


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


@pytest.mark.parametrize(
    ("number", "change", "named"),
    [
        (3, {"key": "x"}, "its key, trial or sums were changed"),
        (3, {"entry": "0" * 64}, "its key, trial or sums were changed"),
        (3, {"sums": "0" * 64}, "its key, trial or sums were changed"),
        (3, {"head": "0" * 64}, "its head was changed"),
        (3, {"head": "0" * 64, "key": "x"}, "its key, trial, sums or head were changed"),
        (1, {"key": "x"}, "its key, trial or sums, or the ledger's first head, were changed"),
        (5, {"entry": "0" * 64}, "its key, trial or sums were changed"),
        (5, {"sums": "0" * 64}, "its sums were changed"),
        (5, {"head": "0" * 64}, "its head was changed"),
    ],
)
def test_changed_link_is_named(number: int, change: dict[str, str], named: str) -> None:
    links, state = make(5)
    links[number - 1] = replace(links[number - 1], **change)  # type: ignore[arg-type]
    assert find_fault(links, state) == f"link {number} does not follow the head before it: {named}"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"number": None}, "a link has the number null"),
        ({"number": "3"}, "a link has the number '3'"),
        ({"number": 3.0}, "a link has the number 3.0"),
        ({"number": True}, "a link has the number true"),
        ({"key": None}, "link 3 has null as key"),
        ({"key": b"key-2"}, "link 3 has b'key-2' as key"),
        ({"entry": None}, "link 3 has null as digest of its trial"),
        ({"sums": "A" * 64}, f"link 3 has '{'A' * 64}' as digest of its sums"),
        ({"head": ["x" * 900]}, "link 3 has ['" + "x" * 78 + "… as head"),
    ],
)
def test_damaged_field_is_named(change: dict[str, Any], named: str) -> None:
    links, state = make(5)
    links[2] = replace(links[2], **change)
    assert find_fault(links, state) == named


def test_swapped_trials_are_named_at_the_first() -> None:
    links, state = make(5)
    links[1], links[2] = replace(links[2], number=2), replace(links[1], number=3)
    assert "link 2 does not follow" in str(find_fault(links, state))


def test_added_link_is_named() -> None:
    links, state = make(5)
    assert find_fault([*links[:3], replace(links[2], key="x"), *links[3:]], state) == "two links have the number 3"
    assert find_fault([replace(links[0], number=-7), *links], state) == (
        "link -7 stands before the first one, 1: an older version of the service has counted a trial since, or the "
        "link was added"
    )


def test_older_version_that_dropped_the_chain_is_named() -> None:
    links, state = make(5)
    dropped = replace(state, runs=0, unlinked_runs=0, first_head="")
    assert dropped.is_unnumbered
    assert find_fault([], dropped) is None
    assert "there is a link 1, but the ledger has no number of runs: an older" in str(find_fault(links, dropped))
    more, after = make(2, dropped.start_chain(6))
    assert [link.number for link in more] == [7, 8]
    assert find_fault(more, after) is None
    assert "link 1 stands before the first one, 7: an older version" in str(find_fault([*links, *more], after))


def test_impossible_numbers_of_runs_are_named() -> None:
    links, state = make(5)
    assert find_fault(links, replace(state, unlinked_runs=9)) == "the ledger has 5 runs, of which 9 are without links"


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


def make_with_batch() -> tuple[list[ChainLink], TrialLedgerState]:
    """Return the links of two runs alone, of a batch of three, and of one more run."""
    links, state = make(2)
    state, some = state.count_batch(make_batch([1, 2, 3]))
    state, last = state.count(LedgerEntry(key="last", total=None, active=None))
    return [*links, *some, last], state


def test_untouched_batch_has_no_fault() -> None:
    links, state = make_with_batch()
    assert [link.number for link in links] == [1, 2, 3, 4, 5, 6]
    assert find_fault(links, state) is None


BATCH = "link 3 (runs 3 to 5) does not follow the head before it: "


@pytest.mark.parametrize(
    ("number", "change", "named"),
    [
        (3, {"key": "x"}, BATCH + "its keys, trials or sums were changed"),
        (4, {"key": "x"}, BATCH + "its keys, trials or sums were changed"),
        (5, {"key": "run-2"}, BATCH + "its keys, trials or sums were changed"),
        (3, {"entry": "0" * 64}, BATCH + "its keys, trials or sums were changed"),
        (3, {"head": "0" * 64}, BATCH + "its head was changed"),
        (3, {"head": "0" * 64, "sums": "0" * 64}, BATCH + "its keys, trials, sums or head were changed"),
        (
            3,
            {"runs": 2},
            "link 3 (runs 3 to 4) does not follow the head before it: its keys, trials, sums or head were changed",
        ),
        (3, {"runs": 1}, "link 3 does not follow the head before it: its key, trial, sums or head were changed"),
        (2, {"runs": 0, "entry": "", "sums": "", "head": ""}, "link 2 belongs to a batch, but no batch is there"),
        (3, {"runs": 4}, "link 6 stands alone inside link 3 (runs 3 to 6)"),
        (3, {"runs": 9}, "link 3 (runs 3 to 11) ends after the ledger's last run, 6"),
        (3, {"runs": -3}, "link 3 has -3 as number of its runs"),
        (3, {"runs": "3"}, "link 3 has '3' as number of its runs"),
        (3, {"runs": True}, "link 3 has true as number of its runs"),
        (4, {"runs": None}, "link 4 has null as number of its runs"),
        (4, {"runs": 1}, "link 4 has '' as digest of its trial"),
        (4, {"entry": "0" * 64}, f"link 4 has '{'0' * 64}' as digest of its trial"),
        (4, {"head": None}, "link 4 has null as head"),
        (2, {"runs": 0}, f"link 2 has '{make(2)[0][1].entry}' as digest of its trial"),
        (6, {"runs": 2}, "link 6 (runs 6 to 7) ends after the ledger's last run, 6"),
    ],
)
def test_changed_batch_is_named(number: int, change: dict[str, Any], named: str) -> None:
    links, state = make_with_batch()
    links[number - 1] = replace(links[number - 1], **change)
    assert find_fault(links, state) == named


def test_swapped_keys_of_batch_are_named() -> None:
    links, state = make_with_batch()
    links[3], links[4] = replace(links[4], number=4), replace(links[3], number=5)
    assert find_fault(links, state) == BATCH + "its keys, trials or sums were changed"


@pytest.mark.parametrize("number", [3, 4, 5])
def test_run_removed_from_batch_is_named(number: int) -> None:
    links, state = make_with_batch()
    del links[number - 1]
    assert f"link {number} is missing" in str(find_fault(links, state))


def test_run_added_to_batch_is_named() -> None:
    links, state = make_with_batch()
    assert find_fault([*links, replace(links[4], number=7)], state) == "link 7 comes after the ledger's last run, 6"
    assert find_fault([*links[:4], replace(links[3], key="x"), *links[4:]], state) == "two links have the number 4"


def test_wrong_batch_at_the_end_is_explained() -> None:
    state, some = EMPTY_LEDGER.count_batch(make_batch([1, 2, 3]))
    assert "its sums were changed" in str(find_fault([replace(some[0], sums="0" * 64), *some[1:]], state))
    assert "link 3 is missing: the ledger has 3 runs" in str(find_fault(some[:2], state))
    named = "its keys, trials or sums, or the ledger's first head, were changed"
    assert named in str(find_fault([replace(some[0], entry="0" * 64), *some[1:]], state))


def test_wrong_link_before_batch_is_named_first() -> None:
    links, state = make_with_batch()
    changed = [links[0], replace(links[1], entry="0" * 64), *links[2:]]
    named = "link 2 does not follow the head before it: its key, trial"
    assert find_fault(changed, state) == f"{named} or sums were changed"
    damaged = [*changed[:3], replace(changed[3], key=b""), *changed[4:]]  # type: ignore[arg-type]
    assert find_fault(damaged, state) == f"{named}, sums or head were changed"
