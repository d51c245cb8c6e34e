"""Lists of results in every result store: order, filters, cursors."""

from __future__ import annotations

import pytest

from src.domain.errors import InvalidInput
from src.ports.stores import ResultStore
from tests.contracts.result_stores import ids_of_pages
from tests.factories import START_MS, make_result


async def test_pages_are_newest_first_and_whole(store: ResultStore) -> None:
    # Three of the same millisecond: the id decides between them.
    moments = {"a": 5, "b": 5, "c": 5, "d": 1, "e": 9, "f": 3, "g": 2}
    for name, moment in moments.items():
        await store.save(make_result(id=name, created_ms=START_MS + moment))
    assert await ids_of_pages(store, first=3) == [["e", "c", "b"], ["a", "f", "g"], ["d"]]
    assert await ids_of_pages(store, first=7) == [["e", "c", "b", "a", "f", "g", "d"]]
    assert await ids_of_pages(store, first=1) == [[name] for name in "ecbafgd"]


async def test_pages_keep_users_and_symbols_apart(store: ResultStore) -> None:
    kept = [("1", "a", "BTCUSDT"), ("2", "a_b", "BTCUSDT"), ("3", "a", "ETHUSDT"), ("4", "A", "BTCUSDT")]
    for result_id, user_id, symbol in kept:
        await store.save(
            make_result(id=result_id, user_id=user_id, symbol=symbol, created_ms=START_MS + int(result_id))
        )
    assert await ids_of_pages(store, first=1, user_id="a") == [["3"], ["1"]]
    assert await ids_of_pages(store, first=9, user_id="a_b") == [["2"]]
    assert await ids_of_pages(store, first=2, symbol="BTCUSDT") == [["4", "2"], ["1"]]
    assert await ids_of_pages(store, first=9, user_id="a", symbol="BTCUSDT") == [["1"]]
    for stranger in ("b", "", "%", "\ud800", "a\0"):
        assert await ids_of_pages(store, first=9, user_id=stranger) == [[]]
        assert await ids_of_pages(store, first=9, symbol=stranger) == [[]]


async def test_pages_stay_right_while_results_come_and_go(store: ResultStore) -> None:
    for number in range(6):
        await store.save(make_result(id=f"old-{number}", created_ms=START_MS + number))
    page = await store.list(user_id=None, symbol=None, first=2, after=None)
    assert [summary.id for summary in page.summaries] == ["old-5", "old-4"]
    await store.save(make_result(id="new", created_ms=START_MS + 100))
    await store.delete("old-4")  # the very result that the cursor points at
    await store.delete("old-2")
    page = await store.list(user_id=None, symbol=None, first=2, after=page.next_cursor)
    assert [summary.id for summary in page.summaries] == ["old-3", "old-1"]


@pytest.mark.parametrize("first", [0, -5, 101, 10**9])
async def test_page_size_out_of_bounds_is_refused(store: ResultStore, first: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 100") as caught:
        await store.list(user_id=None, symbol=None, first=first, after=None)
    assert caught.value.field == "first"


@pytest.mark.parametrize(
    "after",
    ["", "x", "é", "\ud800", "WzEsMl0", "WzEsImEiLDNd", "bnVsbA", "W3RydWUsImEiXQ", "W1tbW1tb", "A" * 5000,
     "WzFlMzA5LCJhIl0", "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAsImEiXQ", "WzEsIlx1ZDgwMCJd"],
)  # fmt: skip
async def test_invalid_cursor_is_refused(store: ResultStore, after: str) -> None:
    with pytest.raises(InvalidInput, match="earlier page") as caught:
        await store.list(user_id=None, symbol=None, first=10, after=after)
    assert caught.value.field == "after"
