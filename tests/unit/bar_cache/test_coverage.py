"""The names of the files alone say which bars are known."""

from __future__ import annotations

import pytest

from src.bar_cache.coverage import SETTLE_MS, Coverage
from src.domain.intervals import INTERVALS

ASKED_MS = 1_700_000_000_000


def ranges(coverage: Coverage, *, now_ms: int = ASKED_MS, asked: tuple[tuple[int, int], ...] = ()) -> object:
    return coverage.known(now_ms=now_ms, asked=asked)


def test_nothing_is_known_without_files() -> None:
    coverage = Coverage.of(["index", "00000417-12345678.bars", ".9-9.0a.part"])
    assert coverage == Coverage()
    assert coverage.missing(3, 9, now_ms=0) == coverage.to_fetch(3, 9, now_ms=0) == ((3, 9),)
    assert coverage.first_open_ms(INTERVALS["1m"]) is None


def test_each_bar_is_read_from_one_file() -> None:
    names = ["0-9-0-00000001.segment", "5-7-0-00000002.segment", "7-12-0-00000003.segment", "20-25.gap", "9-10.gap"]
    coverage = Coverage.of(names)
    assert coverage.settled == ((0, 12), (20, 25))
    assert [(one.checksum, part) for one, part in coverage.reading(0, 99)] == [(1, (0, 9)), (3, (9, 12))]
    assert [(one.checksum, part) for one, part in coverage.reading(8, 10)] == [(1, (8, 9)), (3, (9, 10))]
    assert sorted(one.name for one in coverage.repeated) == ["5-7-0-00000002.segment", "9-10.gap"]


def test_first_bar_is_known_beside_equal_gap() -> None:
    for names in (["0-9.gap", "0-9.first"], ["0-9.first", "0-9.gap"]):
        coverage = Coverage.of(names)
        assert (coverage.first, coverage.settled) == (9, ((0, 9),))
        assert all(not one.is_first for one in coverage.repeated)
        assert coverage.first_open_ms(INTERVALS["1m"]) == 9 * 60_000


@pytest.mark.parametrize(
    ("later_ms", "is_known"),
    [(0, True), (SETTLE_MS - 1, True), (SETTLE_MS, False), (1 - SETTLE_MS, True), (-SETTLE_MS, False)],
)
def test_tail_counts_for_a_minute(later_ms: int, is_known: bool) -> None:
    coverage = Coverage.of(["0-9.gap", f"8-12-0-00000001-{ASKED_MS}.tail"])
    assert ranges(coverage, now_ms=ASKED_MS + later_ms) == ((0, 12 if is_known else 9),)
    # For the request that asked for it, however long that took.
    assert ranges(coverage, now_ms=ASKED_MS + later_ms, asked=((11, 20),)) == ((0, 12),)


def test_late_bars_are_missing_for_other_requests() -> None:
    coverage = Coverage.of(["0-9.gap", f"9-12-{ASKED_MS}.late"])
    assert coverage.missing(0, 12, now_ms=ASKED_MS) == ((9, 12),)
    assert coverage.missing(0, 12, now_ms=ASKED_MS, asked=((0, 12),)) == ()


def test_bars_of_evicted_tail_are_missing_again() -> None:
    """They exist, although the request fetched them just now: a response without them would be wrong."""
    coverage = Coverage.of(["0-9.gap"])
    assert coverage.missing(0, 12, now_ms=ASKED_MS, asked=((0, 12),)) == ((9, 12),)


def test_newest_of_overlapping_tails_counts() -> None:
    names = [f"5-9-{ASKED_MS}.late", f"3-7-0-00000001-{ASKED_MS}.tail", f"6-8-0-00000002-{ASKED_MS + 1}.tail"]
    coverage = Coverage.of(names)
    assert [(one.checksum, part) for one, part in coverage.reading(0, 99)] == [(1, (3, 6)), (2, (6, 8))]
    assert coverage.missing(3, 9, now_ms=ASKED_MS) == ((8, 9),)


def test_tail_is_fetched_only_with_missing_successors() -> None:
    coverage = Coverage.of(["0-10.gap", f"10-12-0-00000001-{ASKED_MS}.tail"])
    now_ms = ASKED_MS + 10
    assert coverage.to_fetch(0, 12, now_ms=now_ms) == ()
    assert coverage.to_fetch(5, 13, now_ms=now_ms) == ((10, 13),)
    assert coverage.to_fetch(11, 13, now_ms=now_ms) == ((10, 13),)
    assert coverage.to_fetch(50, 60, now_ms=now_ms) == ((50, 60),)
    assert coverage.to_fetch(11, 12, now_ms=now_ms + SETTLE_MS) == ((10, 12),)
