"""Read the exchange's filters for a request that asks for them."""

from __future__ import annotations

from dataclasses import replace

from src.domain.errors import InvalidInput
from src.domain.exchange_rules import Filters
from src.domain.runs import BacktestRequest
from src.domain.symbols import normalize_symbol
from src.service.sources import SourceCatalog


async def read_order_filters(sources: SourceCatalog, request: BacktestRequest) -> BacktestRequest:
    """Return the request with the exchange's filters of its symbol, if it asks for them.

    Raises InvalidInput if the source lists no filters of the symbol, and what its `listings` raises.
    """
    exchange = request.rules.exchange
    if exchange.filters is not Filters.EXCHANGE:
        return request
    source = await sources.find(request.market.source, user_id=request.user_id)
    symbol = normalize_symbol(request.market.symbol)
    filters = next((one.filters for one in await source.listings() if one.symbol == symbol), None)
    if filters is None:
        raise InvalidInput(
            "{field} is {got}, and {origin} has no filters of {symbol!r}. Allowed: {none}, with {@tickSize}, "
            "{@stepSize} and {@minNotional} of your own.",
            field="filters", got=exchange.filters.value, none=Filters.NONE.value, symbol=symbol,
            origin="the source" if request.market.source else "the exchange",
        )  # fmt: skip
    return replace(request, rules=replace(request.rules, exchange=exchange.with_filters_of(filters)))
