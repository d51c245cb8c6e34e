"""Send the demo's requests through GraphQL, as any client would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

USER: Final = "demo"
SYMBOL: Final = "BTCUSDT"
INTERVAL: Final = "1d"
BARS: Final = 1000
REQUEST_LIMIT_S: Final = 150.0

ENGINES: Final = {"vectorized": "runVectorizedBacktest", "event-driven": "runEventDrivenBacktest"}
"""Each engine's name and its mutation."""

MUTATION_NAMES: Final = "{ __schema { mutationType { fields { name } } } }"
BACKTEST: Final = """
mutation Demo($input: BacktestInput!) {
  result: %s(input: $input) {
    id symbol status origin warnings verdictLevel
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

    Returns and drawdown are per cent; `dates` and `equity` have one entry per bar; None: does not exist.
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
        schema = self._ask(MUTATION_NAMES, {})["__schema"]
        offered = {field["name"] for field in schema["mutationType"]["fields"]}
        return [engine for engine, mutation in ENGINES.items() if mutation in offered]

    def crossover(self, engine: str, *, fast: int, slow: int, source: str | None) -> Shown:
        """Run a moving-average crossover (lengths in bars); `source` None means the service's default."""
        market = {"symbol": SYMBOL, "interval": INTERVAL, "limit": BARS} | ({"source": source} if source else {})
        variables = {
            "userId": USER,
            "symbol": SYMBOL,
            "fetchInput": market,
            "maCrossoverParams": {"fast": fast, "slow": slow},
        }
        result = self._ask(BACKTEST % ENGINES[engine], {"input": variables})["result"]
        metrics = result["metrics"]
        return Shown(
            id=result["id"],
            strategy=f"MA {fast}/{slow}",
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
            answer = response.json()
        except ValueError as error:
            raise ServiceRefused(f"HTTP_{response.status_code}", response.text[:200]) from error
        if errors := answer.get("errors"):
            first = errors[0]
            raise ServiceRefused(first.get("extensions", {}).get("code", "UNKNOWN"), first["message"])
        if "data" not in answer:
            raise ServiceRefused(f"HTTP_{response.status_code}", str(answer.get("message", answer))[:200])
        data: dict[str, Any] = answer["data"]
        return data
