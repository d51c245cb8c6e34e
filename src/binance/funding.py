"""Read the rates of funding of perpetual futures from the exchange's futures API: `BinanceFunding`."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import numpy as np

from src.binance.client import BinanceApi
from src.concurrency.single_flight import SingleFlight
from src.domain.errors import ExchangeError, ExchangeTimeout, ServiceError, SymbolNotFound
from src.domain.funding import OTHER_FUNDING
from src.domain.funding_rates import MINUTE_MS, FundingRates, build_rates
from src.ports.clock import Clock
from src.ports.market import SharedLimits

PATH: Final = "/fapi/v1/fundingRate"
FIRST_MS: Final = 1_567_296_000_000
"""2019-09-01, before the exchange listed its first perpetual future."""
PAGE_ROWS: Final = 1000
MAX_SYMBOLS: Final = 64
"""Maximum number of symbols whose rates are kept in memory, about 8,000 rows each."""

_WEIGHT_PER_MINUTE: Final = 2000
_WEIGHT: Final = 20
"""The exchange allows 500 of these requests in five minutes, and a weight of 2400 a minute on its whole futures API.
With this weight, a process sends at most 100 a minute, and weight used by others on this address counts too."""
_MAX_BYTES: Final = 1024 * 1024
_LARGEST_RATE: Final = 1.0


class _Rows(NamedTuple):
    """Rates as the exchange gives them: times in UTC ms, ascending, some of them a few ms late."""

    time_ms: tuple[int, ...]
    rate: tuple[float, ...]


class BinanceFunding:
    """The `FundingSource` of Binance; one object serves all requests of a process, so that they share its budget.

    It keeps the rates that it has read, and requests only later ones.

    Parameters
    ----------
    base_url
        Address of the futures API.
    timeout_s
        Seconds to wait for a connection, and for each chunk of a page.
    deadline_s
        Seconds that one call of `rates` may take.
    clock
        Its time is the end of the rates that are requested.
    shared_limits
        The limits of the futures API that all processes share; None if there is only one process.
    monotonic, sleep
        A clock in seconds that never goes back, and a function that waits on it.
    """

    def __init__(
        self,
        *,
        base_url: str,
        timeout_s: float,
        deadline_s: float,
        clock: Clock,
        shared_limits: SharedLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = BinanceApi(
            base_urls=(base_url,),
            timeout_s=timeout_s,
            weight_per_minute=_WEIGHT_PER_MINUTE,
            clock=clock,
            shared_limits=shared_limits,
            monotonic=monotonic,
            sleep=sleep,
        )
        self._deadline_s = deadline_s
        self._clock = clock
        self._reads: SingleFlight[str, FundingRates] = SingleFlight()
        self._kept: OrderedDict[str, _Rows] = OrderedDict()

    async def rates(self, symbol: str) -> FundingRates:
        """Return all rates of a symbol up to now, at least one; their times are rounded to the minute.

        Raises SymbolNotFound, ExchangeRefused, ExchangeUnavailable, ExchangeTimeout, each with advice what to do.
        """
        try:
            return await self._reads.run(symbol, lambda: self._read(symbol))
        except (SymbolNotFound, ExchangeError) as error:
            raise _with_advice(error, symbol) from error

    async def close(self) -> None:
        """Release the connections."""
        await self._api.close()

    async def _read(self, symbol: str) -> FundingRates:
        try:
            async with asyncio.timeout(self._deadline_s):
                rows = await self._read_pages(symbol, self._api.until(self._deadline_s))
        except TimeoutError as error:
            raise ExchangeTimeout(
                "The exchange did not deliver them within {limit:g} s.", limit=self._deadline_s
            ) from error
        if not rows.time_ms:
            raise SymbolNotFound("The exchange lists no perpetual future of that name.")
        times = (np.array(rows.time_ms, dtype=np.int64) + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
        return build_rates(times, np.array(rows.rate, dtype=np.float64))

    async def _read_pages(self, symbol: str, until: float) -> _Rows:
        """Return the rows of all pages; each page is kept when it arrives, so a later call continues from there."""
        end_ms, is_last = self._clock.now_ms(), False
        rows = self._kept.pop(symbol, _Rows((), ()))
        while not is_last:
            first_ms = rows.time_ms[-1] + MINUTE_MS if rows.time_ms else FIRST_MS
            if first_ms <= end_ms:
                found = await self._read_page(symbol, first_ms, end_ms, until)
                rows = _Rows(rows.time_ms + found.time_ms, rows.rate + found.rate)
                is_last = len(found.time_ms) < PAGE_ROWS
            else:
                is_last = True
            if rows.time_ms:
                self._keep(symbol, rows)
        return rows

    async def _read_page(self, symbol: str, first_ms: int, end_ms: int, until: float) -> _Rows:
        page = await self._api.get(
            PATH,
            {"symbol": symbol, "startTime": first_ms, "endTime": end_ms, "limit": PAGE_ROWS},
            weight=_WEIGHT,
            until=until,
            max_bytes=_MAX_BYTES,
            read=lambda rows: _parse_rows(rows, first_ms, end_ms),
        )
        return page.content

    def _keep(self, symbol: str, rows: _Rows) -> None:
        self._kept[symbol] = rows
        self._kept.move_to_end(symbol)
        while len(self._kept) > MAX_SYMBOLS:
            self._kept.popitem(last=False)


def _parse_rows(rows: object, first_ms: int, end_ms: int) -> _Rows:
    """Read a page; raises ValueError if a row is not a rate, or a time is outside the requested range."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it holds no list of rates")
    times: list[int] = []
    rates: list[float] = []
    for row in rows:
        time_ms, rate = row.get("fundingTime"), _to_rate(row.get("fundingRate"))
        if not isinstance(time_ms, int) or isinstance(time_ms, bool):
            raise ValueError("a rate has no time")
        if not (times[-1] + MINUTE_MS if times else first_ms) <= time_ms <= end_ms:
            raise ValueError("its times are not ascending, or outside the range asked for")
        times.append(time_ms)
        rates.append(rate)
    return _Rows(tuple(times), tuple(rates))


def _to_rate(text: object) -> float:
    try:
        rate = float(str(text))
    except ValueError as error:
        raise ValueError("a rate is not a number") from error
    if not math.isfinite(rate) or abs(rate) >= _LARGEST_RATE:
        raise ValueError("a rate is not a fraction of the value")
    return rate


def _with_advice(error: ServiceError, symbol: str) -> ServiceError:
    """Return an error of the same kind that also advises what to do instead."""
    return type(error)(
        "The exchange's rates of funding of {symbol} cannot be read. {why} {advice}",
        retry_after_s=error.retry_after_s, symbol=symbol, why=error.text, advice=OTHER_FUNDING,
    )  # fmt: skip
