"""Read the rates of the funding history that a request names, or of the exchange."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import Conflict, InvalidInput
from src.domain.funding import FundingKind
from src.domain.funding_rates import FundingRates, rates_between
from src.domain.runs import BacktestRequest, BacktestResult
from src.domain.symbols import normalize_symbol
from src.service.sources import SourceCatalog


async def read_funding(sources: SourceCatalog, request: BacktestRequest) -> BacktestRequest:
    """Return the request with the rates of its funding history, if it asks for one.

    The exchange's rates are all that it has published. Raises SourceNotFound if its user has no such dataset,
    InvalidInput if that has bars, or rates of another symbol; SymbolNotFound and any ExchangeError if the exchange
    gives none.
    """
    funding = request.rules.funding
    if funding.kind is not FundingKind.HISTORY:
        return request
    if funding.history is None:
        return _with_rates(request, await sources.read_exchange_rates(normalize_symbol(request.market.symbol)))
    name = funding.history
    dataset, rates = await sources.find_rates(name, user_id=request.user_id)
    if dataset.symbol != normalize_symbol(request.market.symbol):
        raise InvalidInput(
            "{field} is {got!r}, which has the rates of {has}, and {@symbol} is {symbol!r}.",
            field="fundingHistory", got=name, has=dataset.symbol, symbol=request.market.symbol,
        )  # fmt: skip
    return _with_rates(request, rates)


def cut_funding(request: BacktestRequest, time_ms: NDArray[np.int64]) -> BacktestRequest:
    """Return the request with the exchange's rates inside its bars, which open at `time_ms` [n].

    The exchange publishes further rates every few hours. The rates inside these bars, and their fingerprint, stay the
    same.
    """
    funding = request.rules.funding
    if not funding.reads_exchange or not len(time_ms):
        return request
    end_ms = request.market.interval.next_open_ms(int(time_ms[-1]))
    return _with_rates(request, rates_between(funding.known_rates, int(time_ms[0]), end_ms))


async def read_funding_again(sources: SourceCatalog, result: BacktestResult) -> BacktestResult:
    """Return a stored result with the original rates in its request.

    Raises Conflict if they have changed, and what `read_funding` raises.
    """
    request = cut_funding(await read_funding(sources, result.request), result.time_ms)
    rates = request.rules.funding.rates
    if rates is not None and rates.fingerprint != result.fingerprints.funding:
        raise Conflict(
            "The funding history {name!r} of backtest {id!r} has changed since it ran. Run it again.",
            name=request.rules.funding.history or "of the exchange", id=result.id,
        )  # fmt: skip
    return replace(result, request=request)


def _with_rates(request: BacktestRequest, rates: FundingRates) -> BacktestRequest:
    return replace(request, rules=replace(request.rules, funding=request.rules.funding.with_rates(rates)))
