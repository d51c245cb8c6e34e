"""ASGI applications that answer the demo's questions with invented figures: one for each way it can go."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

EQUITY = [10_000.0 + 40.0 * bar for bar in range(100)]


class FakeService:
    """Answers `/ready` and `/graphql`.

    Parameters
    ----------
    mutations
        The engines that its schema has.
    exchange_code
        The error of requests for the exchange's bars; None: they succeed.
    loses_results
        Whether a stored result reads back with other figures.
    """

    def __init__(
        self, *, mutations: tuple[str, ...], exchange_code: str | None = None, loses_results: bool = False
    ) -> None:
        self.mutations = mutations
        self.exchange_code = exchange_code
        self.loses_results = loses_results
        self.questions_before_ready = 2

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not spoken here")
        if scope["path"] == "/ready":
            self.questions_before_ready -= 1
            await self._send(send, 200 if self.questions_before_ready < 0 else 503, {})
            return
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        question = json.loads(body + message["body"])
        await self._send(send, 200, self._answer(question["query"], question["variables"]))

    def _answer(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "__schema" in document:
            return {"data": {"__schema": {"mutationType": {"fields": [{"name": name} for name in self.mutations]}}}}
        if "backtest(id" in document:
            rows = [{"portfolioValue": value} for value in EQUITY]
            figures = {"totalReturn": -1.0 if self.loses_results else 39.6, "totalTrades": 7}
            return {"data": {"result": {"id": variables["id"], "metrics": figures, "data": rows}}}
        market = variables["input"]["fetchInput"]
        if self.exchange_code and market.get("source") != "simulated":
            return {"data": None, "errors": [{"message": "no answer", "extensions": {"code": self.exchange_code}}]}
        strategy = next(iter(variables["input"].get("strategy", {"maCrossover": {}})))
        return {"data": {"result": self._result(market) | {"strategy": {"name": strategy.upper()}}}}

    def _result(self, market: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": "result-1",
            "symbol": market["symbol"],
            "status": "success",
            "origin": market.get("source", "binance"),
            "warnings": ["two bars are missing"],
            "verdictLevel": "TOO_LITTLE_DATA",
            "metrics": {
                "totalReturn": 39.6,
                "buyAndHoldReturn": 12.3456,
                "sharpeRatio": None,
                "maxDrawdown": 4.5,
                "totalTrades": 7,
            },
            "data": [
                {"Date": f"2024-01-01T00:00:{bar % 60:02d}Z", "portfolioValue": value, "signal": "hold"}
                for bar, value in enumerate(EQUITY)
            ],
        }

    async def _send(self, send: Send, status: int, body: dict[str, Any]) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


BOTH_ENGINES = ("runVectorizedBacktest", "runEventDrivenBacktest")

online = FakeService(mutations=(*BOTH_ENGINES, "runBacktest"))
offline = FakeService(mutations=BOTH_ENGINES[:1], exchange_code="EXCHANGE_TIMEOUT")
broken = FakeService(mutations=BOTH_ENGINES, exchange_code="STORE_UNAVAILABLE")
forgetful = FakeService(mutations=BOTH_ENGINES, loses_results=True)
