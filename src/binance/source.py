"""Fetch bars and symbols from the exchange's REST API: `BinanceSource`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from src.bars.grid import closed_slots, last_closed_open_ms
from src.bars.klines import Klines, MalformedKlines, clean, parse_rows
from src.bars.quality_warnings import describe_quality
from src.bars.ranges import check_whole_range, describe_range
from src.binance.client import BinanceApi
from src.binance.clock_skew import ClockSkew
from src.binance.order_filters import read_filters
from src.binance.paging import FetchPage, collect_newest, collect_oldest
from src.domain.error_text import FieldName, Written
from src.domain.errors import ExchangeRefused, ExchangeTimeout, InvalidInput
from src.domain.instants import iso_time
from src.domain.intervals import Interval
from src.domain.market import Listing, MarketRequest, MarketSeries
from src.domain.symbols import normalize_symbol
from src.observing.meters import UNMEASURED, ExchangeMeter
from src.ports.clock import Clock
from src.ports.market import SharedLimits

_KLINES_WEIGHT: Final = 2
_KLINES_MAX_BYTES: Final = 2 * 1024 * 1024
_SYMBOLS_WEIGHT: Final = 20
_SYMBOLS_MAX_BYTES: Final = 64 * 1024 * 1024
_SYMBOLS_LIFETIME_S: Final = 3600.0
_ALL: Final = 2**62


class BinanceSource:
    """The `BarSource` of Binance; one object serves all requests of a process, so that they share its budget.

    Parameters
    ----------
    base_urls
        Addresses of the REST API, in order of preference.
    timeout_s
        Seconds to wait for a connection, and for each chunk of a page.
    deadline_s
        Seconds that one `fetch`, or one of the calls for a range, may take.
    weight_per_minute
        Request weight that all requests together may use in a minute.
    clock
        Decides which bars are closed, unless it is ahead of the exchange's clock.
    shared_limits
        The limits of the exchange that all processes share; None if there is only one process.
    monotonic, sleep
        A clock in seconds that never goes back, and a function that waits on it.
    meter
        Counts requests and their weight.
    """

    def __init__(
        self,
        *,
        base_urls: Sequence[str],
        timeout_s: float,
        deadline_s: float,
        weight_per_minute: int,
        clock: Clock,
        shared_limits: SharedLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        meter: ExchangeMeter = UNMEASURED,
    ) -> None:
        self._api = BinanceApi(
            base_urls=base_urls,
            timeout_s=timeout_s,
            weight_per_minute=weight_per_minute,
            clock=clock,
            shared_limits=shared_limits,
            monotonic=monotonic,
            sleep=sleep,
            meter=meter,
        )
        self._deadline_s = deadline_s
        self._clock = clock
        self._monotonic = monotonic
        self._listings: tuple[Listing, ...] = ()
        self._listings_until = -math.inf
        self._listings_lock = asyncio.Lock()

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        """Return the requested closed bars, oldest first; at least one.

        Raises SymbolNotFound, InvalidInput, ExchangeRefused, ExchangeUnavailable, ExchangeTimeout.
        """
        symbol = normalize_symbol(market.symbol)
        now_ms = self.skew.now_ms(self._clock.now_ms())
        async with self._deadline(f"the {market.interval.name} bars of {symbol}") as until:
            klines, now_ms = await self._collect(symbol, market, now_ms, until)
        bars, quality = await asyncio.to_thread(clean, klines, symbol=symbol, interval=market.interval, now_ms=now_ms)
        warnings = describe_quality(quality, bars)
        warnings += describe_range(market, bars, now_ms, left_out=len(quality.rejected_rows)) + self.skew.warnings()
        if not len(bars):
            raise ExchangeRefused("All of the exchange's bars are invalid. {warnings}", warnings=" ".join(warnings))
        return MarketSeries(bars=bars, quality=quality, origin=self.origin, warnings=warnings)

    @property
    def origin(self) -> str:
        return "Binance"

    @property
    def skew(self) -> ClockSkew:
        return self._api.skew

    async def candles(self, symbol: str, interval: Interval, *, start_ms: int, end_ms: int) -> Klines:
        """Return all rows of closed bars (possibly none) that open from `start_ms` to `end_ms`, both included.

        Raises SymbolNotFound, InvalidInput, ExchangeRefused, ExchangeUnavailable, ExchangeTimeout.
        """
        async with self._deadline(f"the {interval.name} bars of {symbol}") as until:
            ask = _PageRequests(self._api, symbol, interval, until)
            found = await collect_oldest(ask, interval=interval, start_ms=start_ms, end_ms=end_ms, limit=_ALL)
            return found.closed(ask.now_ms)

    async def first_open_ms(self, symbol: str, interval: Interval) -> int | None:
        """Return when the very first bar opened; None if there is none yet. Raises as `candles` does."""
        end_ms = self._clock.now_ms()
        async with self._deadline(f"the first {interval.name} bar of {symbol}") as until:
            ask = _PageRequests(self._api, symbol, interval, until)
            found = await collect_oldest(ask, interval=interval, start_ms=0, end_ms=end_ms, limit=1)
        return int(found.open_time_ms.min()) if len(found) else None

    async def last_open_ms(self, symbol: str, interval: Interval, *, end_ms: int) -> int | None:
        """Return when the last bar up to `end_ms` opened; None if there is none. Raises as `candles` does."""
        async with self._deadline(f"the last {interval.name} bar of {symbol}") as until:
            ask = _PageRequests(self._api, symbol, interval, until)
            found = await collect_newest(ask, interval=interval, end_ms=end_ms, limit=1)
        return int(found.open_time_ms.max()) if len(found) else None

    async def listings(self) -> Sequence[Listing]:
        """Return all spot symbols, including those that no longer trade, sorted by name; cache them for an hour."""
        async with self._deadline("the list of symbols") as until, self._listings_lock:
            if self._monotonic() >= self._listings_until:
                page = await self._api.get(
                    "/api/v3/exchangeInfo",
                    {},
                    weight=_SYMBOLS_WEIGHT,
                    until=until,
                    max_bytes=_SYMBOLS_MAX_BYTES,
                    read=_read_listings,
                )
                self._listings = page.content
                self._listings_until = self._monotonic() + _SYMBOLS_LIFETIME_S
            return self._listings

    async def close(self) -> None:
        """Release the connections."""
        await self._api.close()

    @asynccontextmanager
    async def _deadline(self, wanted: str) -> AsyncIterator[float]:
        """Bound the block by `deadline_s` seconds, and yield the time when they end."""
        try:
            async with asyncio.timeout(self._deadline_s):
                yield self._api.until(self._deadline_s)
        except TimeoutError as error:
            raise ExchangeTimeout(
                "The exchange did not deliver {wanted} within {limit:g} s.", wanted=wanted, limit=self._deadline_s
            ) from error

    async def _collect(self, symbol: str, market: MarketRequest, now_ms: int, until: float) -> tuple[Klines, int]:
        """Return the requested klines, at least one, and the time that decided which of them are closed."""
        interval = market.interval
        ask = _PageRequests(self._api, symbol, interval, until)
        await _check_length(ask, market, now_ms)
        klines = await _fetch_requested(ask, market, now_ms)
        if closed_slots(ask.now_ms, interval, None) < closed_slots(now_ms, interval, None):
            # Our clock is ahead, so the newest bars are not closed yet.
            now_ms = ask.now_ms
            klines = await _fetch_requested(ask, market, now_ms)
        if not len(klines):
            last_ms = last_closed_open_ms(now_ms, interval)
            first = await ask(start_ms=0, end_ms=last_ms, limit=1)
            last = await ask(start_ms=None, end_ms=last_ms, limit=1)
            raise _nothing_there(symbol, market, first, last)
        return klines, now_ms


class _PageRequests:
    """The requests of one fetch; `now_ms` is the earliest of their times that decide which bars are closed."""

    def __init__(self, api: BinanceApi, symbol: str, interval: Interval, until: float) -> None:
        self._api = api
        self._symbol = symbol
        self._interval = interval
        self._until = until
        self.now_ms = _ALL

    async def __call__(self, *, start_ms: int | None, end_ms: int, limit: int) -> Klines:
        params: dict[str, str | int] = {
            "symbol": self._symbol, "interval": self._interval.name, "limit": limit, "endTime": end_ms
        }  # fmt: skip
        if start_ms is not None:
            params["startTime"] = start_ms

        def read(rows: object) -> Klines:
            page = parse_rows(rows)
            if len(page) and (page.open_time_ms.min() < (start_ms or 0) or page.open_time_ms.max() > end_ms):
                raise MalformedKlines("it holds bars outside the range asked for")
            return page

        page = await self._api.get(
            "/api/v3/klines",
            params,
            weight=_KLINES_WEIGHT,
            until=self._until,
            max_bytes=_KLINES_MAX_BYTES,
            read=read,
        )
        self.now_ms = min(self.now_ms, page.now_ms)
        return page.content


async def _fetch_requested(ask: FetchPage, market: MarketRequest, now_ms: int) -> Klines:
    """Fetch all pages and cut them to the requested closed bars, possibly none."""
    interval, limit = market.interval, market.limit
    last_ms = last_closed_open_ms(now_ms, interval)
    end_ms = last_ms if market.end_ms is None else min(market.end_ms, last_ms)
    if market.start_ms is None:
        found = await collect_newest(ask, interval=interval, end_ms=end_ms, limit=limit)
        return found.closed(now_ms).newest(limit)
    start_ms = max(market.start_ms, 0)
    found = await collect_oldest(ask, interval=interval, start_ms=start_ms, end_ms=end_ms, limit=limit)
    return found.closed(now_ms).oldest(limit)


async def _check_length(ask: FetchPage, market: MarketRequest, now_ms: int) -> None:
    """Raise InvalidInput if the request is for all bars of a range that is too long; send at most one request."""
    if market.start_ms is None or market.end_ms is None or not market.is_whole_range:
        return
    end_ms = min(market.end_ms, last_closed_open_ms(now_ms, market.interval))
    if market.interval.most_bars(market.start_ms, end_ms) <= market.limit:
        return
    first = await ask(start_ms=market.start_ms, end_ms=end_ms, limit=1)
    if len(first):
        most = market.interval.most_bars(int(first.open_time_ms[0]), end_ms)
        check_whole_range(market, most, is_exact=False)


def _nothing_there(symbol: str, market: MarketRequest, first: Klines, last: Klines) -> InvalidInput:
    """Build the error for an empty range, which names the range that has bars."""
    name = f"{market.interval.name} bars of {symbol}"
    if not len(first) or not len(last):
        return InvalidInput("The exchange has no closed {name}.", field="symbol", name=name)
    given = {"startDate": market.start_ms, "endDate": market.end_ms}
    asked = [Written(FieldName(field), f" {iso_time(ms)}") for field, ms in given.items() if ms is not None]
    return InvalidInput(
        "The exchange has no closed {name} for {asked}. It has them from {first} to {last}.",
        field="endDate" if market.start_ms is None else "startDate",
        name=name,
        asked=asked,
        first=iso_time(int(first.open_time_ms[0])),
        last=iso_time(int(last.open_time_ms[-1])),
    )


def _read_listings(page: object) -> tuple[Listing, ...]:
    """Read the spot symbols from `exchangeInfo`; an entry without a name is skipped."""
    listed = page.get("symbols") if isinstance(page, dict) else None
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise ValueError("it holds no list of symbols")
    listings = (
        Listing(
            symbol=str(entry["symbol"]),
            base=str(entry.get("baseAsset", "")),
            quote=str(entry.get("quoteAsset", "")),
            is_trading=entry.get("status") == "TRADING" and bool(entry.get("isSpotTradingAllowed", True)),
            filters=read_filters(entry.get("filters")),
        )
        for entry in listed
        if "symbol" in entry
    )
    return tuple(sorted(listings, key=lambda listing: listing.symbol))
