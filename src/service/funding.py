"""Read the rates of the funding history that a request names."""

from __future__ import annotations

from dataclasses import replace

from src.domain.errors import Conflict, InvalidInput
from src.domain.funding import FundingKind
from src.domain.runs import BacktestRequest, BacktestResult
from src.domain.symbols import normalise_symbol
from src.service.sources import SourceCatalogue


async def read_funding(sources: SourceCatalogue, request: BacktestRequest) -> BacktestRequest:
    """Return the request with the rates of its funding history, if it names one.

    Raises SourceNotFound if its user has no such dataset, InvalidInput if that has bars, or rates of another symbol.
    """
    funding = request.rules.funding
    if funding.kind is not FundingKind.HISTORY:
        return request
    name = funding.history or ""
    dataset, rates = await sources.find_rates(name, user_id=request.user_id)
    if dataset.symbol != normalise_symbol(request.market.symbol):
        raise InvalidInput(
            "{field} is {got!r}, which has the rates of {has}, and {@symbol} is {symbol!r}.",
            field="fundingHistory", got=name, has=dataset.symbol, symbol=request.market.symbol,
        )  # fmt: skip
    return replace(request, rules=replace(request.rules, funding=funding.with_rates(rates)))


async def read_funding_again(sources: SourceCatalogue, result: BacktestResult) -> BacktestResult:
    """Return a stored result whose request has the rates that it had.

    Raises Conflict if they have changed, and what `read_funding` raises.
    """
    request = await read_funding(sources, result.request)
    rates = request.rules.funding.rates
    if rates is not None and rates.fingerprint != result.fingerprints.funding:
        raise Conflict(
            "The funding history {name!r} of backtest {id!r} has changed since it ran. Run it again.",
            name=request.rules.funding.history, id=result.id,
        )  # fmt: skip
    return replace(result, request=request)
