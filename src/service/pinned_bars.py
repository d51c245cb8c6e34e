"""Fetch the bars of a stored result again, and make sure that they are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from src.domain.bars import Bars
from src.domain.errors import Conflict
from src.domain.market import MarketSeries
from src.domain.runs import BacktestResult
from src.service.computing import ComputeQueue
from src.service.history import fetch_with_history
from src.service.reruns import pin_market
from src.service.sources import SourceCatalog


async def fetch_pinned_bars(
    sources: SourceCatalog, computing: ComputeQueue, result: BacktestResult, warm_up_bars: int = 0
) -> MarketSeries:
    """Return the bars of a result, with a history of `warm_up_bars` if that is longer than its own.

    Raises Conflict if they are not those that the result had, and any ServiceError of the source.
    """
    request, own = result.request, result.warm_up_bars
    source = await sources.find(request.market.source, user_id=request.user_id)
    series = await fetch_with_history(source, pin_market(result), max(own, warm_up_bars))
    same = replace(series, history=series.history_before(0, own))
    if await computing.run(same.fingerprint) != result.fingerprints.bars:
        raise _changed(result)
    return series


async def fetch_pinned_rows(sources: SourceCatalog, result: BacktestResult, rows: slice) -> Bars:
    """Return the bars of some rows of a result, at least one, without fetching the others.

    Raises Conflict if their times or closes are not those that the result had (a result stores nothing else
    of its bars), and any ServiceError of the source.
    """
    market, time_ms = pin_market(result), result.time_ms[rows]
    first_ms, last_ms = int(time_ms[0]), int(time_ms[-1])
    limit = market.interval.most_bars(first_ms, last_ms)
    source = await sources.find(market.source, user_id=result.request.user_id)
    bars = (await source.fetch(replace(market, start_ms=first_ms, end_ms=last_ms, limit=limit))).bars
    if not (np.array_equal(bars.open_time_ms, time_ms) and np.array_equal(bars.close, result.close[rows])):
        raise _changed(result)
    return bars


def _changed(result: BacktestResult) -> Conflict:
    return Conflict("The bars of backtest {id!r} have changed since it ran. Run it again.", id=result.id)
