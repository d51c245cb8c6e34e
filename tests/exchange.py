"""The exchange, played on loopback: a real HTTP server that answers from given candles, with faults on request.

In a test:

    with LoopbackExchange([series], now_ms=NOW) as exchange:
        exchange.script(KLINES, [too_many_requests(retry_after_s=1), None, half_json()])
        ...  # ask exchange.url

By hand: `python -m tests.exchange --file BTCUSDT-1d.csv.gz --symbol BTCUSDT --interval 1d --port 8080`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from types import TracebackType

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS, Interval
from tests.archive_files import ARCHIVE, ArchiveFiles
from tests.exchange_faults import Fault, Row, tamper
from tests.exchange_series import Series, read_series

KLINES = "/api/v3/klines"
EXCHANGE_INFO = "/api/v3/exchangeInfo"
FUNDING = "/fapi/v1/fundingRate"
WEIGHTS = {KLINES: 2, EXCHANGE_INFO: 20}

_DEFAULT_ROWS = 500
_MOST_ROWS = 1000
_START_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that came in, and the status it was to get."""

    path: str
    params: Mapping[str, str]
    status: int
    at_s: float


class LoopbackExchange:
    """The exchange on a free port of 127.0.0.1, for as long as the `with` block lasts.

    Parameters
    ----------
    series
        Candles that it knows; several intervals of one symbol are several series.
    now_ms
        The exchange's time, which decides which candles have opened: the one still open is served as well. None takes
        the machine's clock.
    weight_limit
        Request weight a minute after which it answers 429.
    halted
        Symbols that `exchangeInfo` lists as not trading.
    """

    def __init__(
        self,
        series: Iterable[Series | Bars],
        *,
        now_ms: int | None = None,
        weight_limit: int = 6000,
        halted: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        self.now_ms = now_ms
        self.asked: list[Asked] = []
        self._weight_limit = weight_limit
        self._halted = halted
        self.filters: dict[str, Sequence[Mapping[str, str]]] = {}
        """The filters that `exchangeInfo` lists of a symbol; none unless set."""
        self.funding: dict[str, Sequence[tuple[int, str]]] = {}
        """Times and rates of the perpetual futures, oldest first; no other symbol is known there."""
        self._series: dict[tuple[str, str], Series] = {}
        for one in series:
            self.add(one)
        self._scripts: dict[str, deque[Fault | None]] = defaultdict(deque)
        self._spent: deque[tuple[int, int]] = deque()
        self._stopping = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.archive = ArchiveFiles(self._series)
        routes = [
            Route(KLINES, self._klines),
            Route(EXCHANGE_INFO, self._exchange_info),
            Route(FUNDING, self._funding_rates),
            Route(ARCHIVE + "{file:path}", self._archive_file),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_level="critical",
            lifespan="off",
            ws="none",
            loop="asyncio",
            http="h11",
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def add(self, series: Series | Bars) -> None:
        """Know one more series, or replace the one of the same symbol and interval."""
        known = Series.of(series) if isinstance(series, Bars) else series
        self._series[known.symbol, known.interval.name] = known

    def script(self, path: str, faults: Iterable[Fault | None]) -> None:
        """Answer the next requests for a path so, one after the other (None: rightly); then all rightly."""
        self._scripts[path].extend(faults)

    def count(self, path: str = KLINES) -> int:
        """Return how many requests for a path came in."""
        return sum(one.path == path for one in self.asked)

    def reset(self) -> None:
        """Forget what was asked, spent and scripted."""
        self.asked.clear()
        self._scripts.clear()
        self._spent.clear()

    def count_files(self) -> int:
        """Return how many of the archive's zip files were asked for."""
        return sum(one.path.startswith(ARCHIVE) and one.path.endswith(".zip") for one in self.asked)

    def __enter__(self) -> LoopbackExchange:
        return self.start()

    def start(self) -> LoopbackExchange:
        """Begin to answer."""
        self._thread.start()
        give_up = time.monotonic() + _START_S
        while not self._server.started:
            if time.monotonic() > give_up or not self._thread.is_alive():
                raise RuntimeError("the loopback exchange did not start")
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server; requests left hanging are cut."""
        self._stopping = True
        self._server.should_exit = True
        self._thread.join(timeout=_START_S)
        self._socket.close()
        assert not self._thread.is_alive(), "the loopback exchange did not stop"

    async def _klines(self, request: Request) -> Response:
        params = request.query_params
        missing = next((name for name in ("symbol", "interval") if name not in params), None)
        if missing is not None:
            return await self._answer(request, 400, _error(-1102, f"Mandatory parameter '{missing}' was not sent."))
        symbol, interval = params["symbol"], params["interval"]
        if not symbol.isalnum():
            return await self._answer(request, 400, _error(-1100, "Illegal characters found in parameter 'symbol'."))
        if interval not in INTERVALS:
            return await self._answer(request, 400, _error(-1120, "Invalid interval."))
        if all(known != symbol for known, _ in self._series):
            return await self._answer(request, 400, _error(-1121, "Invalid symbol."))
        series = self._series.get((symbol, interval))
        rows = [] if series is None else self._page(series, params)
        return await self._answer(request, 200, rows)

    def _page(self, series: Series, params: Mapping[str, str]) -> list[Row]:
        now_ms = self._now_ms()
        end_ms = min(int(params.get("endTime", now_ms)), now_ms)
        stop = int(np.searchsorted(series.open_time_ms, end_ms, side="right"))
        limit = min(int(params.get("limit", _DEFAULT_ROWS)), _MOST_ROWS)
        if "startTime" in params:
            start = int(np.searchsorted(series.open_time_ms, int(params["startTime"]), side="left"))
            return series.rows(start, min(start + limit, stop))
        return series.rows(max(stop - limit, 0), stop)

    async def _exchange_info(self, request: Request) -> Response:
        names = sorted({symbol for symbol, _ in self._series})
        symbols = [
            {
                "symbol": name,
                "status": "BREAK" if name in self._halted else "TRADING",
                "baseAsset": name.removesuffix("USDT"),
                "quoteAsset": "USDT",
                "isSpotTradingAllowed": True,
                "filters": list(self.filters.get(name, ())),
            }
            for name in names
        ]
        return await self._answer(request, 200, {"timezone": "UTC", "symbols": symbols})

    async def _funding_rates(self, request: Request) -> Response:
        params = request.query_params
        if params.get("symbol") not in self.funding:
            return await self._answer(request, 400, _error(-1121, "Invalid symbol."))
        first_ms, end_ms = (int(params[name]) for name in ("startTime", "endTime"))
        rows = [
            {"symbol": params["symbol"], "fundingTime": time_ms, "fundingRate": rate, "markPrice": "100.00000000"}
            for time_ms, rate in self.funding[params["symbol"]]
            if first_ms <= time_ms <= end_ms
        ]
        return await self._answer(request, 200, rows[: min(int(params.get("limit", 100)), _MOST_ROWS)])

    async def _archive_file(self, request: Request) -> Response:
        path: str = request.scope["path"]
        fault = self._scripts[path].popleft() if self._scripts[path] else Fault()
        body = self.archive.content(path, now_ms=self._now_ms())
        status = fault.status if fault.status is not None else 404 if body is None else 200
        self.asked.append(Asked(path=path, params={}, status=status, at_s=time.monotonic()))
        if fault.hang_s:
            await self._hang(fault.hang_s)
        body = fault.body if fault.status is not None else body or b""
        return Response(body[: int(len(body) * fault.keep_share)], status_code=status, headers={"Date": self._date()})

    async def _answer(self, request: Request, status: int, content: object) -> Response:
        """Send the right answer, or what the script of this path has instead."""
        path = request.url.path
        used = self._spend(WEIGHTS.get(path, 1))
        fault = self._scripts[path].popleft() if self._scripts[path] else None
        headers = {"X-MBX-USED-WEIGHT-1M": str(used), "Date": self._date()}
        if used > self._weight_limit and fault is None:
            fault = Fault(status=429, body=json.dumps(_error(-1003, "Too much request weight used.")).encode(),
                          headers={"Retry-After": str(60 - int(time.time()) % 60)})  # fmt: skip
        sent = fault.status if fault is not None and fault.status is not None else status
        self.asked.append(Asked(path=path, params=dict(request.query_params), status=sent, at_s=time.monotonic()))
        if fault is not None and fault.hang_s:
            await self._hang(fault.hang_s)
        if fault is not None and fault.status is not None:
            status, body = fault.status, fault.body
        else:
            body = json.dumps(tamper(content, fault), separators=(",", ":")).encode()
            if fault is not None and fault.keep_share < 1:
                body = body[: int(len(body) * fault.keep_share)]
        headers["Content-Length"] = str(len(body) + (fault.promise_bytes if fault is not None else 0))
        headers |= {"Content-Type": "application/json"} | (dict(fault.headers) if fault is not None else {})
        return Response(body, status_code=status, headers=headers)

    def _now_ms(self) -> int:
        return self.now_ms if self.now_ms is not None else time.time_ns() // 1_000_000

    def _date(self) -> str:
        return formatdate(self._now_ms() // 1000, usegmt=True)

    def _spend(self, weight: int) -> int:
        minute = int(time.time()) // 60
        while self._spent and self._spent[0][0] < minute:
            self._spent.popleft()
        self._spent.append((minute, weight))
        return sum(spent for _, spent in self._spent)

    async def _hang(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopping:
            await asyncio.sleep(0.02)


def _error(code: int, words: str) -> dict[str, object]:
    return {"code": code, "msg": words}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve one file until interrupted."""
    parser = argparse.ArgumentParser(description="Play the exchange on loopback from a file of klines.")
    parser.add_argument("--file", type=Path, required=True, help="CSV, CSV.gz or Parquet of klines")
    parser.add_argument("--symbol", required=True)
    parser.add_argument("--interval", choices=list(INTERVALS), required=True)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    chosen = parser.parse_args(arguments)
    series = read_series(chosen.file, symbol=chosen.symbol, interval=Interval.named(chosen.interval))
    with LoopbackExchange([series], port=chosen.port) as exchange:
        print(f"{len(series):,} candles of {series.symbol} {series.interval.name} at {exchange.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
