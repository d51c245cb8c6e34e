"""Fetch the bars of a stored result again, and make sure that they are the same."""

from __future__ import annotations

from dataclasses import replace

from src.domain.errors import Conflict
from src.domain.market import MarketSeries
from src.domain.runs import BacktestResult
from src.service.computing import ComputeQueue
from src.service.history import fetch_with_history
from src.service.reruns import pin_market
from src.service.sources import SourceCatalogue


async def fetch_pinned_bars(
    sources: SourceCatalogue, computing: ComputeQueue, result: BacktestResult, warm_up_bars: int = 0
) -> MarketSeries:
    """Return the bars of a result, with a history of `warm_up_bars` if that is longer than its own.

    Raises Conflict if they are not those that the result had, and any ServiceError of the source.
    """
    request, own = result.request, result.warm_up_bars
    source = await sources.find(request.market.source, user_id=request.user_id)
    series = await fetch_with_history(source, pin_market(result), max(own, warm_up_bars))
    same = replace(series, history=series.history_before(0, own))
    if await computing.run(same.fingerprint) != result.fingerprints.bars:
        raise Conflict("The bars of backtest {id!r} have changed since it ran. Run it again.", id=result.id)
    return series
