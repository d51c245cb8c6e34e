"""Define the input of portfolio backtests: the input of a backtest, with several symbols instead of one."""

from __future__ import annotations

import strawberry

import src.api.graphql.enums  # noqa: F401  (describes the domain's enums, which are types of parameters)
from src.api.graphql.inputs import (
    MODEL_BESIDE_FILE,
    MLModelInput,
    StrategyInput,
    declare_parameters,
    given,
    given_model,
    given_strategy,
)
from src.api.requests.portfolios import MARKET, OWN, RUN, WAITING, build_portfolio, build_waiting
from src.api.requests.sweeps import GivenBacktest, only_backtest
from src.domain.portfolio import MAX_SYMBOLS, PortfolioRequest

_RUN = tuple(item for item in RUN if item.path[0] != "market")


@strawberry.input(description="Which bars, of each symbol. Dates are UTC: YYYY-MM-DD or a full ISO 8601 instant.")
@declare_parameters(MARKET)
class PortfolioFetchInput:
    def given(self) -> dict[str, object]:
        return given(self, MARKET)


@strawberry.input
@declare_parameters(_RUN, required=("user_id",))
class _BacktestOfSymbols:
    """The fields of both kinds of backtest."""

    fetch_input: PortfolioFetchInput | None = strawberry.field(default=None, description="Which bars.")

    def given(self) -> dict[str, object]:
        """Return the given values by public name."""
        return given(self, _RUN) | ({} if self.fetch_input is None else self.fetch_input.given())


@strawberry.input(description="A backtest of any strategy, without its symbol.")
class PortfolioBacktestInput(_BacktestOfSymbols):
    strategy: StrategyInput = strawberry.field(description="The strategy, one of the fields of StrategyInput.")


@strawberry.input(description="A backtest of a stored model's predictions, without its symbol.")
@declare_parameters(MODEL_BESIDE_FILE)
class PortfolioMLBacktestInput(_BacktestOfSymbols):
    ml_model: MLModelInput | None = strawberry.field(default=None, description="The stored model.")


@strawberry.input(description="One backtest over several symbols that share their cash.")
@declare_parameters((*OWN, *WAITING))
class RunPortfolioInput:
    symbols: list[str] = strawberry.field(description=f"The symbols, 1 to {MAX_SYMBOLS}, each once.")
    backtest: PortfolioBacktestInput | None = strawberry.field(default=None, description="The backtest; or mlBacktest.")
    ml_backtest: PortfolioMLBacktestInput | None = strawberry.field(
        default=None, description="The backtest of a stored model; or backtest."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="The same key and request of a user are the same job, however often they are sent; the same key "
        "with another request is a conflict.",
    )

    def build(self, *, max_bars: int) -> PortfolioRequest:
        """Return the checked request; raises InvalidInput."""
        values = {**given(self, OWN), "symbols": self.symbols}
        only_backtest({"backtest": self.backtest, "ml_backtest": self.ml_backtest})
        if self.backtest is not None:
            chosen = GivenBacktest(self.backtest.given(), *given_strategy(self.backtest.strategy))
            return build_portfolio(chosen, values, name="backtest", max_bars=max_bars)
        model = self.ml_backtest
        if model is None:
            raise TypeError("one of both kinds of backtest is given")
        chosen = GivenBacktest(model.given(), "model", given_model(model))
        return build_portfolio(chosen, values, name="mlBacktest", max_bars=max_bars)

    def build_waiting(self) -> float:
        """Return how many seconds the response waits; raises InvalidInput."""
        return build_waiting(given(self, WAITING))
