"""Send requests to the exchange's REST API: hosts, retries, request weight, and translation of its errors."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Generic, TypeVar

import httpx
import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_exponential_jitter

from src.binance.clock_skew import ClockSkew
from src.binance.weight import WeightBudget
from src.domain.errors import (
    ExchangeRefused,
    ExchangeTimeout,
    ExchangeUnavailable,
    InvalidInput,
    ServiceError,
    SymbolNotFound,
)
from src.observing.meters import UNMEASURED, ExchangeMeter
from src.ports.clock import Clock
from src.ports.market import SharedLimits

logger = logging.getLogger(__name__)
Content = TypeVar("Content")

_MAX_ATTEMPTS: Final = 5
_CONNECTIONS: Final = 8
_MAX_CONNECT_S: Final = 5.0
"""Seconds after which a host that does not connect is skipped."""
_PREFERENCE_S: Final = 300.0
"""Seconds for which the host that responded last is tried first; then the first of the list is tried again."""
_DEFAULT_PAUSE_S: Final = {429: 60.0, 418: 120.0}
"""The pause if `Retry-After` is missing: the budget's minute, and the shortest ban that the exchange documents."""
_HOST_REFUSALS: Final = {
    403: "The exchange's firewall refuses requests from this address",
    451: "The exchange does not serve this server's location, for legal reasons",
}
_MAX_PAUSE_S: Final = 7 * 86_400.0
_MAX_QUOTE_LENGTH: Final = 200
_MAX_INLINE_BYTES: Final = 16 * 1024
"""Longer pages are parsed in a thread."""


class _Retry(Enum):
    """How a failed request may be retried."""

    LATER = auto()  # at any host, after a wait
    ELSEWHERE = auto()  # at another host, now; never at this one
    PAUSE = auto()  # at any host, after the pause that the exchange ordered


class _Failure(Exception):
    def __init__(self, error: ServiceError, retry: _Retry) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry = retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Content]):
    """The parsed content of a page, and the time (see `ClockSkew`) that decides which of its bars are closed."""

    content: Content
    now_ms: int


class BinanceApi:
    """The exchange's public REST interface.

    Parameters
    ----------
    base_urls
        Equivalent addresses, in order of preference.
    timeout_s
        Seconds to wait for a connection, and for each chunk of a page.
    weight_per_minute
        Request weight that all requests together may use in a minute.
    clock
        This machine's time of day.
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
        weight_per_minute: int,
        clock: Clock,
        shared_limits: SharedLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        meter: ExchangeMeter = UNMEASURED,
    ) -> None:
        if not base_urls:
            raise ValueError("base_urls is empty")
        self._hosts = tuple(url.rstrip("/") for url in base_urls)
        self._clock = clock
        self._meter = meter
        self._monotonic = monotonic
        self._sleep = sleep
        self._budget = WeightBudget(weight_per_minute, shared=shared_limits, monotonic=monotonic, sleep=sleep)
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        self.skew: Final = ClockSkew()
        self._preferred = 0
        self._preferred_until = -math.inf
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _MAX_CONNECT_S)),
            follow_redirects=False,
            limits=httpx.Limits(max_connections=_CONNECTIONS * 2),
            headers={"Accept": "application/json", "User-Agent": "backtesting-service"},
        )

    def until(self, seconds: float) -> float:
        """Return the time, on this object's clock, that is this many seconds from now."""
        return self._monotonic() + seconds

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()

    async def get(
        self,
        path: str,
        params: Mapping[str, str | int],
        *,
        weight: int,
        until: float,
        max_bytes: int,
        read: Callable[[object], Content],
    ) -> Page[Content]:
        """Send a request, and retry it while that can help and there is time.

        Parameters
        ----------
        weight
            The weight that the exchange charges for this request.
        until
            Time (see the method of that name) after which no attempt starts.
        max_bytes
            Size of the longest page that is read.
        read
            Converts the page's JSON to the returned value; raises ValueError if the page is invalid.

        Raises SymbolNotFound, InvalidInput, ExchangeRefused, ExchangeUnavailable, ExchangeTimeout.
        """

        def is_over(state: RetryCallState) -> bool:
            return state.attempt_number >= _MAX_ATTEMPTS or self._monotonic() + state.upcoming_sleep >= until

        retrying = AsyncRetrying(
            sleep=self._sleep,
            stop=is_over,
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2),
            retry=retry_if_exception(lambda error: isinstance(error, _Failure) and error.retry is not _Retry.ELSEWHERE),
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            return await retrying(self._try_hosts, path, params, weight, until, max_bytes, read)
        except _Failure as failure:
            raise failure.error from failure.__cause__

    async def _try_hosts(
        self,
        path: str,
        params: Mapping[str, str | int],
        weight: int,
        until: float,
        max_bytes: int,
        read: Callable[[object], Content],
    ) -> Page[Content]:
        """Try one host after the other; if several fail, raise a refusal in preference to a timeout."""
        failures: list[_Failure] = []
        for index in self._host_order():
            self._budget.ensure_open(until=until)
            try:
                async with self._slots:
                    await self._budget.spend(weight, until=until)
                    self._meter.count_weight(weight)
                    body, now_ms = await self._send(self._hosts[index] + path, params, max_bytes)
                # Parsing a page of klines takes milliseconds, which would block the event loop.
                is_long = len(body) > _MAX_INLINE_BYTES
                content = await asyncio.to_thread(_parse_page, body, read) if is_long else _parse_page(body, read)
            except _Failure as failure:
                if failure.retry is _Retry.PAUSE:
                    raise
                failures.append(failure)
            else:
                self._prefer(index)
                return Page(content=content, now_ms=now_ms)
        clearest = next((failure for failure in failures if failure.retry is _Retry.ELSEWHERE), failures[-1])
        is_final = all(failure.retry is _Retry.ELSEWHERE for failure in failures)
        raise _Failure(clearest.error, _Retry.ELSEWHERE if is_final else _Retry.LATER) from clearest.__cause__

    def _host_order(self) -> Iterator[int]:
        first = self._preferred if self._monotonic() < self._preferred_until else 0
        yield from ((first + step) % len(self._hosts) for step in range(len(self._hosts)))

    def _prefer(self, index: int) -> None:
        if index != self._preferred or self._monotonic() >= self._preferred_until:
            self._preferred = index
            self._preferred_until = self._monotonic() + _PREFERENCE_S

    async def _send(self, url: str, params: Mapping[str, str | int], max_bytes: int) -> tuple[bytes, int]:
        sent_ms = self._clock.now_ms()
        try:
            async with self._client.stream("GET", url, params=params) as response:
                body = await _read_up_to(response, max_bytes)
        except httpx.TimeoutException as error:
            self._meter.count_response("timeout")
            raise _Failure(ExchangeTimeout("The exchange did not respond in time."), _Retry.LATER) from error
        except httpx.RequestError as error:
            self._meter.count_response("unreachable")
            raise _Failure(ExchangeUnavailable("The exchange could not be reached."), _Retry.LATER) from error
        self._meter.count_response(response.status_code)
        used = response.headers.get("x-mbx-used-weight-1m", "")
        if used.isdecimal():
            self._budget.observe(int(used))
            self._meter.show_used_weight(int(used))
        if response.status_code in _DEFAULT_PAUSE_S:
            self._budget.pause(_pause_s(response))
        if response.status_code != httpx.codes.OK:
            raise _refusal(response.status_code, body, params, _pause_s(response))
        date, received_ms = response.headers.get("date", ""), self._clock.now_ms()
        return body, self.skew.observe(date, sent_ms=sent_ms, received_ms=received_ms)


def _parse_page(body: bytes, read: Callable[[object], Content]) -> Content:
    try:
        page = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        invalid = ExchangeRefused("The exchange's response is not JSON, or cut off.")
        raise _Failure(invalid, _Retry.LATER) from error
    try:
        return read(page)
    except ValueError as error:
        invalid = ExchangeRefused("The exchange's response is invalid: {reason}.", reason=str(error))
        raise _Failure(invalid, _Retry.LATER) from error


async def _read_up_to(response: httpx.Response, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            error = ExchangeRefused("The exchange's response is longer than {most:,} bytes.", most=max_bytes)
            raise _Failure(error, _Retry.ELSEWHERE)
    return bytes(body)


def _pause_s(response: httpx.Response) -> float:
    asked = response.headers.get("retry-after", "")
    if asked.isdecimal():
        return min(float(asked), _MAX_PAUSE_S)
    return _DEFAULT_PAUSE_S.get(response.status_code, 0.0)


def _refusal(status: int, body: bytes, params: Mapping[str, str | int], pause_s: float) -> ServiceError | _Failure:
    """Translate a page with a status other than 200; never quote a body that is not the exchange's JSON."""
    code, words = _read_error(body)
    if status in _DEFAULT_PAUSE_S:
        paused = ExchangeUnavailable(
            "The exchange {what} (HTTP {status}). Retry in {wait} s.",
            retry_after_s=pause_s,
            what="has banned this address for a while" if status == 418 else "says that we ask too often",
            status=status,
            wait=math.ceil(pause_s),
        )
        return _Failure(paused, _Retry.PAUSE)
    if status >= 500:
        return _Failure(ExchangeUnavailable("The exchange failed (HTTP {status}).", status=status), _Retry.LATER)
    if status in _HOST_REFUSALS:
        refused = ExchangeRefused("{reason} (HTTP {status}).", reason=_HOST_REFUSALS[status], status=status)
        return _Failure(refused, _Retry.ELSEWHERE)
    if code is None:
        refused = ExchangeRefused("The exchange refused the request (HTTP {status}).", status=status)
        return _Failure(refused, _Retry.ELSEWHERE)
    return _refused_values(status, code, words, params)


def _refused_values(status: int, code: int, words: str, params: Mapping[str, str | int]) -> ServiceError:
    """Translate the exchange's own error codes into the field that is wrong."""
    symbol, interval = params.get("symbol", ""), params.get("interval", "")
    if code == -1121:
        return SymbolNotFound("The exchange does not know the symbol {symbol}: {words}", symbol=symbol, words=words)
    if code == -1120:
        return InvalidInput(
            "The exchange does not know the interval {interval}: {words}",
            field="interval", interval=interval, words=words,
        )  # fmt: skip
    if code == -1100 and "symbol" in words:
        # The symbol passed our own check, but the exchange lists no symbol with such letters.
        return SymbolNotFound("The exchange does not accept the symbol {symbol}: {words}", symbol=symbol, words=words)
    return ExchangeRefused(
        "The exchange refused the request (HTTP {status}, code {code}): {words}", status=status, code=code, words=words
    )


def _read_error(body: bytes) -> tuple[int | None, str]:
    """Read `{"code": -1121, "msg": "Invalid symbol."}`; return (None, "") if the body is anything else."""
    try:
        page = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, ""
    if not isinstance(page, dict) or not isinstance(page.get("code"), int):
        return None, ""
    words = "".join(letter for letter in str(page.get("msg", "")) if letter.isprintable())
    return page["code"], words[:_MAX_QUOTE_LENGTH]


def _log_retry(state: RetryCallState) -> None:
    failure = state.outcome.exception() if state.outcome else None
    wait_s, attempt = state.upcoming_sleep, state.attempt_number
    logger.warning("exchange request failed, retrying: attempt=%d wait_s=%.1f error=%s", attempt, wait_s, failure)
