"""Send the demo's requests through GraphQL, as any client would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

USER: Final = "me"
"""The user that the pages show unless the browser has stored another one."""

SYMBOL: Final = "BTCUSDT"
INTERVAL: Final = "1d"
BARS: Final = 1000
REQUEST_LIMIT_S: Final = 150.0

ENGINES: Final = {"vectorized": "runVectorizedBacktest", "event-driven": "runEventDrivenBacktest"}
"""Each engine's name and its mutation."""

ANY_STRATEGY: Final = "runBacktest"
PRESET_ENGINE: Final = "event-driven"

MUTATION_NAMES: Final = "{ __schema { mutationType { fields { name } } } }"
BACKTEST: Final = """
mutation Demo($input: %s!) {
  result: %s(input: $input) {
    id symbol status origin warnings verdictLevel
    strategy { name }
    metrics { totalReturn buyAndHoldReturn sharpeRatio maxDrawdown totalTrades }
    data { Date portfolioValue signal }
  }
}
"""
STORED: Final = """
query Stored($id: ID!) { result: backtest(id: $id) { id metrics { totalReturn totalTrades } data { portfolioValue } } }
"""


class ServiceRefused(Exception):
    """The service responded with an error: its stable code, and its sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One backtest as the demo shows it.

    Returns and drawdown are per cent; `dates` and `equity` have one entry per bar; None means not defined.
    """

    id: str
    strategy: str
    engine: str
    origin: str
    warnings: tuple[str, ...]
    verdict: str
    total_return: float
    buy_and_hold_return: float | None
    sharpe_ratio: float | None
    max_drawdown: float
    total_trades: int
    dates: tuple[str, ...]
    equity: tuple[float, ...]


class Client:
    """A GraphQL client of one running service."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def engines(self) -> list[str]:
        """Return the engines that this build of the service offers."""
        offered = self._mutations()
        return [engine for engine, mutation in ENGINES.items() if mutation in offered]

    def has_presets(self) -> bool:
        """Return whether this build of the service runs any strategy by its name."""
        return ANY_STRATEGY in self._mutations()

    def crossover(self, engine: str, *, fast: int, slow: int, source: str | None) -> Shown:
        """Run a moving-average crossover (lengths in bars); `source` None means the service's default."""
        document = BACKTEST % ("BacktestInput", ENGINES[engine])
        averages = {"fast": fast, "slow": slow}
        return self._run(document, source, engine, f"MA {fast}/{slow}", {"maCrossoverParams": averages})

    def preset(self, name: str, parameters: object, *, source: str | None) -> Shown:
        """Run a strategy of the service by its name on the event-driven engine; the rest as in `crossover`."""
        document = BACKTEST % ("RunBacktestInput", ANY_STRATEGY)
        return self._run(
            document, source, PRESET_ENGINE, None, {"engine": "EVENT_DRIVEN", "strategy": {name: parameters}}
        )

    def _mutations(self) -> set[str]:
        schema = self._ask(MUTATION_NAMES, {})["__schema"]
        return {field["name"] for field in schema["mutationType"]["fields"]}

    def _run(
        self, document: str, source: str | None, engine: str, label: str | None, fields: Mapping[str, object]
    ) -> Shown:
        """Run a backtest; without a label, the strategy has the name that the service gives it."""
        market = {"symbol": SYMBOL, "interval": INTERVAL, "limit": BARS} | ({"source": source} if source else {})
        given = {"userId": USER, "symbol": SYMBOL, "fetchInput": market, **fields}
        result = self._ask(document, {"input": given})["result"]
        metrics = result["metrics"]
        return Shown(
            id=result["id"],
            strategy=label or result["strategy"]["name"],
            engine=engine,
            origin=result["origin"],
            warnings=tuple(result["warnings"]),
            verdict=result["verdictLevel"],
            total_return=metrics["totalReturn"],
            buy_and_hold_return=metrics["buyAndHoldReturn"],
            sharpe_ratio=metrics["sharpeRatio"],
            max_drawdown=metrics["maxDrawdown"],
            total_trades=metrics["totalTrades"],
            dates=tuple(row["Date"] for row in result["data"]),
            equity=tuple(row["portfolioValue"] for row in result["data"]),
        )

    def is_stored(self, shown: Shown) -> bool:
        """Read the result back by its id and return whether the stored figures equal those of the response."""
        stored = self._ask(STORED, {"id": shown.id})["result"]
        if stored is None:
            return False
        same_metrics = stored["metrics"] == {"totalReturn": shown.total_return, "totalTrades": shown.total_trades}
        return same_metrics and tuple(row["portfolioValue"] for row in stored["data"]) == shown.equity

    def _ask(self, document: str, variables: Mapping[str, object]) -> dict[str, Any]:
        response = self._http.post(
            "/graphql", json={"query": document, "variables": variables}, timeout=REQUEST_LIMIT_S
        )
        try:
            body = response.json()
        except ValueError as error:
            raise ServiceRefused(f"HTTP_{response.status_code}", response.text[:200]) from error
        if errors := body.get("errors"):
            first = errors[0]
            raise ServiceRefused(first.get("extensions", {}).get("code", "UNKNOWN"), first["message"])
        if "data" not in body:
            raise ServiceRefused(f"HTTP_{response.status_code}", str(body.get("message", body))[:200])
        data: dict[str, Any] = body["data"]
        return data
