"""The GraphQL edge over services that live in memory, for tests of the edge itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import numpy as np
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from src.api.error_table import ERROR_HELP
from src.api.errors import install_error_handlers
from src.api.graphql.router import build_graphql_router
from src.api.http.authentication import Authentication
from src.api.http.rate_limits import RateLimits
from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.intervals import DAY_MS
from src.domain.market import MarketRequest, MarketSeries
from src.domain.runs import ResultSummary
from src.domain.signals import Features
from src.features.ohlcv import build_features
from src.identity.anybody import AnybodyAuthenticator
from src.service.services import Services
from tests.factories import START_MS
from tests.rest_app import MemoryBacktests, MemoryServices, summary_of


@dataclass
class MemoryMarket(MemoryBacktests):
    """The same with comparisons, and a `MarketService` too."""

    markets: list[MarketRequest] = field(default_factory=list)
    candle_warnings: tuple[str, ...] = ()

    async def fetch_bars(self, market: MarketRequest, *, user_id: str | None = None) -> MarketSeries:
        self.markets.append(market)
        close = 100.0 + np.arange(market.limit, dtype=np.float64)
        bars = Bars(
            symbol=market.symbol,
            interval=market.interval,
            open_time_ms=START_MS + DAY_MS * np.arange(market.limit, dtype=np.int64),
            open=close - 0.5,
            high=close + 1.0,
            low=close - 1.0,
            close=close,
            volume=np.full(market.limit, 12.5),
        )
        return MarketSeries(
            bars=bars,
            quality=DataQuality(expected_bars=len(bars), present_bars=len(bars)),
            origin="memory",
            warnings=self.candle_warnings,
        )

    async def fetch_features(
        self, market: MarketRequest, *, user_id: str | None = None
    ) -> tuple[MarketSeries, Features]:
        series = await self.fetch_bars(market, user_id=user_id)
        return series, build_features(series.bars)

    async def list_symbols(self, *, quote_asset: str | None = None, is_trading_only: bool = True) -> Sequence[str]:
        return ["BTCUSDT", "ETHUSDT"]

    async def compare(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        return [summary_of(await self.get(result_id)) for result_id in result_ids]


def without_hint(extensions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `extensions` of an error without its hint, which is one that its code has."""
    rest = dict(extensions)
    assert rest.pop("hint") in ERROR_HELP[rest["code"]].fixes
    return rest


def _show_page(_: Request) -> Response:
    return HTMLResponse("<html></html>")


def make_graphql_app(services: MemoryServices, **limits: Any) -> FastAPI:
    """Build an application with nothing but the GraphQL endpoint."""
    given = {"max_depth": 12, "max_aliases": 100, "max_tokens": 4000, "has_introspection": True, "page": _show_page}
    max_rows, limiter = limits.pop("max_rows", 100), limits.pop("limiter", None)
    app = FastAPI()
    install_error_handlers(app)
    app.include_router(build_graphql_router(**(given | limits)))
    app.state.services = cast("Services", services)
    app.state.authenticator = AnybodyAuthenticator()
    if limiter is not None:
        app.add_middleware(RateLimits, limiter=limiter, is_page=lambda _: False)
    app.add_middleware(Authentication, authenticator=app.state.authenticator, is_page=lambda _: False)
    app.state.max_bars = 100_000
    app.state.max_rows = max_rows
    return app


class GraphQLClient:
    """A client of an application in this process."""

    def __init__(self, services: MemoryServices | None = None, **limits: Any) -> None:
        self.services = services or MemoryServices(backtests=MemoryMarket())
        self.backtests = cast("MemoryMarket", self.services.backtests)
        transport = httpx.ASGITransport(app=make_graphql_app(self.services, **limits))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://service")

    async def post(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Send a document and return the whole answer."""
        response = await self.http.post("/graphql", json={"query": query, "variables": variables, **more})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def data(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Send a document and return the data of an answer without errors."""
        answer = await self.post(query, variables, **more)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def error(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Send a document and return its one error."""
        answer = await self.post(query, variables, **more)
        assert len(answer["errors"]) == 1, answer
        error: dict[str, Any] = answer["errors"][0]
        return error
