"""Pages of candles: none is missed, none is asked for in vain without end, and what was forgotten is asked again."""

from __future__ import annotations

import numpy as np
import pytest

from src.bars.grid import open_times_ms
from src.bars.klines import Klines
from src.binance.paging import collect_newest, collect_oldest
from src.domain.errors import ExchangeRefused
from src.domain.intervals import INTERVALS, Interval

MINUTE = INTERVALS["1m"]
MONTH = INTERVALS["1M"]


class Shelf:
    """An exchange's memory of candles, with the questions that were asked of it."""

    def __init__(self, numbers: list[int] | range, interval: Interval = MINUTE) -> None:
        self.times = open_times_ms(np.array(numbers, dtype=np.int64), interval)
        self.asked: list[tuple[int | None, int, int]] = []
        self.forgets: dict[int, slice] = {}
        """Rows that the nth answer leaves out."""

    async def __call__(self, *, start_ms: int | None, end_ms: int, limit: int) -> Klines:
        self.asked.append((start_ms, end_ms, limit))
        assert len(self.asked) < 200, "asks without end"
        assert 1 <= limit <= 1000
        found = self.times[(self.times >= (start_ms or 0)) & (self.times <= end_ms)]
        found = found[-limit:] if start_ms is None else found[:limit]
        found = np.delete(found, self.forgets.get(len(self.asked), slice(0, 0)))
        price = np.ones(len(found))
        return Klines(open_time_ms=found, open=price, high=price, low=price, close=price, volume=price,
                      close_time_ms=found + 59_999)  # fmt: skip

    @property
    def last(self) -> int:
        return int(self.times[-1])


async def oldest(shelf: Shelf, limit: int, *, start_ms: int | None = None, interval: Interval = MINUTE) -> list[int]:
    start = int(shelf.times[0]) if start_ms is None else start_ms
    found = await collect_oldest(shelf, interval=interval, start_ms=start, end_ms=shelf.last, limit=limit)
    return found.oldest(limit).open_time_ms.tolist()


async def newest(shelf: Shelf, limit: int, *, interval: Interval = MINUTE, end_ms: int | None = None) -> list[int]:
    end = shelf.last if end_ms is None else end_ms
    found = await collect_newest(shelf, interval=interval, end_ms=end, limit=limit)
    return found.newest(limit).open_time_ms.tolist()


@pytest.mark.parametrize("limit", [1, 999, 1000, 1001, 2000, 2001, 8999, 20_000])
async def test_both_directions_return_requested_bars(limit: int) -> None:
    shelf = Shelf(range(100_000, 112_345))
    assert await oldest(shelf, limit) == shelf.times[:limit].tolist()
    assert await newest(shelf, limit) == shelf.times[-limit:].tolist()


@pytest.mark.parametrize("limit", [1, 999, 1000])
async def test_one_page_needs_one_request(limit: int) -> None:
    shelf = Shelf(range(100_000, 112_345))
    await oldest(shelf, limit)
    await newest(shelf, limit)
    assert len(shelf.asked) == 2


async def test_gaps_of_any_length_are_skipped() -> None:
    holes = [*range(1000, 2500), *range(4000, 4010), *range(50_000, 52_000), *range(90_000, 93_000)]
    shelf = Shelf(holes)
    assert await oldest(shelf, len(holes)) == shelf.times.tolist()
    assert await newest(shelf, len(holes)) == shelf.times.tolist()


@pytest.mark.parametrize("limit", [500, 5000])
async def test_listing_after_start_is_found(limit: int) -> None:
    shelf = Shelf(range(900_000, 904_000))
    assert await oldest(shelf, limit, start_ms=0) == shelf.times[:limit].tolist()


async def test_months_of_all_lengths_are_fetched() -> None:
    shelf = Shelf(range(0, 3000), MONTH)
    assert await oldest(shelf, 3000, interval=MONTH) == shelf.times.tolist()
    assert await newest(shelf, 2500, interval=MONTH) == shelf.times[-2500:].tolist()


async def test_empty_range_needs_two_requests() -> None:
    shelf = Shelf(range(100, 200))
    assert await newest(shelf, 10, end_ms=99 * 60_000 - 1) == []
    assert len(shelf.asked) == 2


@pytest.mark.parametrize("answer", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [slice(0, 1000), slice(0, 5), slice(0, 900), slice(400, 430), slice(990, 1000)])
async def test_rows_missing_in_one_page_are_fetched_again(answer: int, rows: slice) -> None:
    for collect in (oldest, newest):
        shelf = Shelf(range(100_000, 105_000))
        shelf.forgets[answer] = rows
        assert await collect(shelf, 5000) == shelf.times.tolist(), collect


async def test_missing_rows_are_fetched_again_in_full_pages() -> None:
    for collect in (oldest, newest):
        shelf = Shelf(range(100_000, 105_000))
        shelf.forgets = {2: slice(7, None, 9), 3: slice(3, None, 11), 4: slice(5, 800, 2)}
        assert await collect(shelf, 5000) == shelf.times.tolist(), collect
        assert len(shelf.asked) <= 6 + 6


async def test_two_empty_pages_are_fetched_again() -> None:
    shelf = Shelf(range(100_000, 105_000))
    shelf.forgets = {2: slice(0, None), 3: slice(0, None)}
    assert await oldest(shelf, 5000) == shelf.times.tolist()


async def test_true_gap_is_fetched_again_once() -> None:
    numbers = [*range(100_000, 100_400), *range(200_000, 200_400)]
    shelf = Shelf(numbers)
    await oldest(shelf, len(numbers))
    holes = [asked for asked in shelf.asked if asked[2] == 1000 and asked[0] == shelf.times[399] + 60_000]
    assert len(holes) == 1


@pytest.mark.parametrize("limit", [10, 1000, 3000])
async def test_exchange_hiding_its_edge_raises_refused(limit: int) -> None:
    for collect, rows in ((newest, slice(-3, None)), (oldest, slice(0, 3))):
        shelf = Shelf(range(100_000, 105_000))
        hidden = shelf.times[rows].tolist()

        async def hide(*, start_ms: int | None, end_ms: int, limit: int) -> Klines:
            page = await shelf(start_ms=start_ms, end_ms=end_ms, limit=limit)  # noqa: B023
            return page if limit == 1 else page.pick(~np.isin(page.open_time_ms, hidden))  # noqa: B023

        start, end = int(shelf.times[0]), shelf.last
        with pytest.raises(ExchangeRefused, match="contradicts itself"):
            if collect is newest:
                await collect_newest(hide, interval=MINUTE, end_ms=end, limit=limit)
            else:
                await collect_oldest(hide, interval=MINUTE, start_ms=start, end_ms=end, limit=limit)


async def test_failing_page_fails_the_fetch() -> None:
    class Broken(Shelf):
        async def __call__(self, *, start_ms: int | None, end_ms: int, limit: int) -> Klines:
            if len(self.asked) == 3:
                raise ExchangeRefused("no")
            return await super().__call__(start_ms=start_ms, end_ms=end_ms, limit=limit)

    with pytest.raises(ExchangeRefused, match="no"):
        await oldest(Broken(range(100_000, 110_000)), 10_000)
