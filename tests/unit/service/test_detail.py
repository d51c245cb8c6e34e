"""Finer bars of a run are fetched by days, in as many rounds as it asks for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.errors import InvalidInput
from src.domain.intervals import DAY_MS, INTERVALS
from src.domain.market import MarketRequest, MarketSeries
from src.domain.signals import Signals
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.service.computing import ComputeQueue
from src.service.detail import fetch_with_detail
from tests.factories import make_request
from tests.market import random_bars

DAYS = random_bars(8)
MINUTES = random_bars(8 * 1440, interval="1m")
DAY_OF_MINUTE = (MINUTES.open_time_ms - DAYS.open_time_ms[0]) // DAY_MS


class Minutes:
    """A source of minutes, of which it lacks some days."""

    def __init__(self, lacking: set[int]) -> None:
        self.lacking = lacking
        self.asked: list[list[int]] = []

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        assert market.start_ms is not None and market.end_ms is not None
        first, last = np.searchsorted(MINUTES.open_time_ms, (market.start_ms, market.end_ms + 1)).tolist()
        days = sorted(set(DAY_OF_MINUTE[first:last].tolist()))
        self.asked.append(days)
        if self.lacking.intersection(days):
            raise InvalidInput("There are no bars in {field}", field="startDate")
        quality = DataQuality(expected_bars=last - first, present_bars=last - first)
        return MarketSeries(bars=MINUTES.slice(first, last), quality=quality, origin="made by hand")


class EngineOfRounds(EventDrivenEngine):
    """An engine that asks for finer bars of these days, in these rounds."""

    def __init__(self, rounds: list[list[int]]) -> None:
        self.rounds = iter(rounds)

    def find_detail(self, bars: Bars, signals: Signals, rules: TradingRules) -> NDArray[np.intp]:
        return np.array(next(self.rounds, []), dtype=np.intp)


@pytest.mark.parametrize(
    ("rounds", "lacking", "asked", "found"),
    [
        pytest.param([[3, 6], [4]], set(), [[3], [6], [4]], [3, 4, 6], id="a day between earlier ones"),
        pytest.param([[6], [1, 2]], set(), [[6], [1, 2]], [1, 2, 6], id="days before earlier ones"),
        pytest.param([[2], [2, 5], [2, 5]], set(), [[2], [5]], [2, 5], id="a day is asked for once"),
        pytest.param([[2, 6], [4]], {6}, [[2], [6], [4]], [2, 4], id="a day that the source lacks"),
        pytest.param([[6], [4]], {4, 6}, [[6], [4]], [], id="nothing that the source has"),
    ],
)
async def test_days_of_all_rounds_make_one_series(
    rounds: list[list[int]], lacking: set[int], asked: list[list[int]], found: list[int]
) -> None:
    rules = TradingRules(fill=FillTiming.NEXT_OPEN, detail=INTERVALS["1m"])
    request = make_request(symbol=DAYS.symbol, rules=rules, engine=EngineName.EVENT_DRIVEN)
    series = MarketSeries(bars=DAYS, quality=DataQuality(expected_bars=8, present_bars=8), origin="made by hand")
    source, queue = Minutes(lacking), ComputeQueue(threads=1, max_waiting=0)
    detailed = await fetch_with_detail(source, request, series, None, EngineOfRounds(rounds), queue)
    assert source.asked == asked
    inside = detailed.bars.inside
    times = () if inside is None else inside.open_time_ms
    np.testing.assert_array_equal(times, MINUTES.open_time_ms[np.isin(DAY_OF_MINUTE, found)])
