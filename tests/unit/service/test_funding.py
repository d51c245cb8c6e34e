"""Rates of the exchange for a request: which of them count, and that a stored result keeps its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.domain.errors import Conflict, InvalidInput
from src.domain.funding import Funding, FundingKind
from src.domain.funding_rates import FundingRates, build_rates
from src.domain.runs import BacktestRequest
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.service.funding import cut_funding, read_funding, read_funding_again
from src.service.sources import SourceCatalog
from tests.factories import make_request, make_result

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
RULES = TradingRules(fill=FillTiming.NEXT_OPEN, funding=Funding(kind=FundingKind.HISTORY))


class Published:
    """Rates every eight hours from one time on, one symbol's."""

    def __init__(self, first_ms: int, count: int, rate: float = 0.0001) -> None:
        self.found = build_rates(first_ms + 8 * HOUR_MS * np.arange(count), np.full(count, rate))
        self.asked: list[str] = []

    async def rates(self, symbol: str) -> FundingRates:
        self.asked.append(symbol)
        return self.found

    async def close(self) -> None:
        """Hold nothing."""


def request_of(**changes: object) -> BacktestRequest:
    return make_request(engine=EngineName.EVENT_DRIVEN, rules=replace(RULES, **changes))  # type: ignore[arg-type]


def catalog(source: Published | None) -> SourceCatalog:
    return SourceCatalog(sources={}, funding=source)


async def test_rates_inside_the_bars_count() -> None:
    opens = DAY_MS * np.arange(10, 13)
    source = Published(0, 90)
    request = await read_funding(catalog(source), request_of())
    assert source.asked == [request.market.symbol]
    cut = cut_funding(request, opens).rules.funding.known_rates
    # Three days; the mark at their end is that of the next bar.
    np.testing.assert_array_equal(cut.time_ms, 8 * HOUR_MS * np.arange(30, 39))


async def test_later_rates_leave_the_fingerprint_as_it_is() -> None:
    opens = DAY_MS * np.arange(10, 13)
    prints = {
        cut_funding(await read_funding(catalog(Published(0, count)), request_of()), opens).rules.funding.fingerprint
        for count in (39, 40, 90)
    }
    assert len(prints) == 1


async def test_other_kinds_of_funding_read_nothing() -> None:
    source = Published(0, 90)
    for funding in (Funding(), Funding(kind=FundingKind.CONSTANT, rate=0.0001)):
        request = request_of(funding=funding)
        assert await read_funding(catalog(source), request) is request
        assert cut_funding(request, np.array([DAY_MS])) is request
    assert not source.asked


async def test_service_without_the_exchange_requires_a_history() -> None:
    with pytest.raises(InvalidInput, match="funding is HISTORY, and this service reads no rates of the exchange"):
        await read_funding(catalog(None), request_of())


async def test_stored_result_keeps_the_rates_that_it_had() -> None:
    result = make_result()
    first_ms = int(result.time_ms[0])
    source = catalog(Published(first_ms, 300))
    own = replace(result.request, engine=EngineName.EVENT_DRIVEN, rules=RULES)
    request = cut_funding(await read_funding(source, own), result.time_ms)
    prints = replace(result.fingerprints, funding=request.rules.funding.fingerprint)
    stored = replace(result, request=own, fingerprints=prints)
    again = await read_funding_again(source, stored)
    assert again.request.rules.funding.fingerprint == prints.funding
    with pytest.raises(Conflict, match="The funding history 'of the exchange' of backtest"):
        await read_funding_again(catalog(Published(first_ms, 300, rate=0.0002)), stored)
