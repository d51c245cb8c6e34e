"""Runs that are counted together have the sums of runs that are counted one by one, and one link."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain import trials
from src.domain.chain_links import digest_keys
from src.domain.trial_chain import find_fault
from src.domain.trial_states import EMPTY_LEDGER, TrialLedgerState
from src.domain.trials import TrialBatch, TrialTable
from tests.thoroughness import examples
from tests.trial_batches import make_batch


def count_alone(state: TrialLedgerState, batch: TrialBatch) -> TrialLedgerState:
    for row in range(len(batch)):
        state = state.add(batch.entry(row))
    return state


@settings(max_examples=examples(60), deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    first_days=st.lists(st.integers(0, 90), min_size=6, max_size=6),
    max_slots=st.sampled_from([70, 100, 200_000]),
)
def test_sums_of_batches_equal_single_runs(sizes: list[int], first_days: list[int], max_slots: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "MAX_SLOTS", max_slots)
        together = alone = EMPTY_LEDGER
        first, links = 0, []
        for size, first_day in zip(sizes, first_days, strict=False):
            batch = make_batch(range(first, first + size), first_day=first_day)
            together, some = together.count_batch(batch)
            alone = count_alone(alone, batch)
            first += size
            links += some
        assert (together.total, together.active, together.runs) == (alone.total, alone.active, alone.runs)
        assert together.total.slots.size <= max_slots
        assert find_fault(links, together) is None
        assert [link.number for link in links] == list(range(1, first + 1))


def test_batches_in_any_order_add_to_same_sums() -> None:
    batches = [make_batch(range(10 * number, 10 * number + 9), first_day=number) for number in range(6)]
    found = set()
    for seed in range(4):
        state = EMPTY_LEDGER
        for number in np.random.default_rng(seed).permutation(6):
            state, _ = state.count_batch(batches[number])
        found.add((state.total.to_bytes(), state.active.to_bytes()))
    assert len(found) == 1


def test_batch_of_one_run_has_its_own_link() -> None:
    batch = make_batch([3])
    assert EMPTY_LEDGER.count_batch(batch) == (
        EMPTY_LEDGER.add(batch.entry(0)),
        (EMPTY_LEDGER.count(batch.entry(0))[1],),
    )


def test_empty_batch_changes_nothing() -> None:
    assert EMPTY_LEDGER.count_batch(make_batch([])) == (EMPTY_LEDGER, ())


def test_batch_has_one_head_and_all_keys() -> None:
    batch = make_batch(range(4))
    state, links = EMPTY_LEDGER.count_batch(batch)
    assert tuple(link.key for link in links) == batch.keys
    assert [link.runs for link in links] == [4, 0, 0, 0]
    assert {(link.entry, link.sums, link.head) for link in links[1:]} == {("", "", "")}
    joined = replace(links[0], key=digest_keys(batch.keys))
    assert joined.head_after("") == links[0].head == state.head
    assert state.runs == 4


@pytest.mark.parametrize("flag", ["total", "active"])
def test_digest_tells_runs_with_equal_sums_apart(flag: str) -> None:
    batch = make_batch([1, 2, 3, 4])
    table = getattr(batch, flag)
    turned = TrialTable(directions=table.directions, t=table.t[::-1].copy(), moves=table.moves)
    other = replace(batch, **{flag: turned})
    assert EMPTY_LEDGER.count_batch(other)[0].total == EMPTY_LEDGER.count_batch(batch)[0].total
    assert EMPTY_LEDGER.count_batch(other)[1][0].entry != EMPTY_LEDGER.count_batch(batch)[1][0].entry


def test_runs_that_are_counted_or_doubled_are_left_out() -> None:
    batch = make_batch([1, 2, 3, 2, 1, 4])
    assert batch.without(set()).keys == ("run-1", "run-2", "run-3", "run-4")
    left = batch.without({"run-2", "run-9"})
    assert left.keys == ("run-1", "run-3", "run-4")
    for row, seed in enumerate((1, 3, 4)):
        assert count_alone(EMPTY_LEDGER, make_batch([seed])) == EMPTY_LEDGER.add(left.entry(row))
    assert make_batch([1, 2]).without({"run-3"}).keys == ("run-1", "run-2")


def test_t_over_int64_is_summed_exactly() -> None:
    huge = 3 * 2**62
    batch = make_batch([1, 2])
    table = replace(batch.total, t=np.array([huge, -5.0]))
    state, _ = EMPTY_LEDGER.count_batch(replace(batch, total=table))
    assert (state.total.sum_t, state.total.sum_t_squared) == (huge - 5, huge**2 + 25)


def test_batch_of_unequal_lengths_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch([1, 2])
    with pytest.raises(ValueError, match=r"directions are \(2, 60\), not \(1, 60\)"):
        replace(batch, keys=("a",))
    with pytest.raises(ValueError, match="differ in length"):
        replace(batch.total, t=np.zeros(3))
    monkeypatch.setattr(trials, "MAX_BATCH_RUNS", 1)
    with pytest.raises(ValueError, match="a batch of 2 runs; at most 1"):
        replace(batch)
