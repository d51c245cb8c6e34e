"""Define the body of a portfolio backtest's request: a backtest's body, with several symbols instead of one."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field

from src.api.requests.portfolios import MARKET, OWN, RUN, WAITING, build_portfolio, build_waiting
from src.api.requests.sweeps import GivenBacktest, only_backtest
from src.api.rest import values
from src.api.rest.bodies import CROSSOVER, NESTED, read_backtest
from src.api.rest.body_models import IdempotencyKeyText, make_body, read_object
from src.domain.errors import InvalidInput
from src.domain.parameters import parameters_of
from src.domain.portfolio import MAX_SYMBOLS, PortfolioRequest
from src.domain.strategy import ModelParams

FetchBody: Final = make_body("PortfolioFetchInput", "Which bars, of each symbol.", MARKET)
BacktestOfSymbolsBody: Final = make_body(
    "PortfolioBacktest",
    "A backtest of any strategy, without its symbol; of the moving-average crossover if none is named.",
    (*RUN, *CROSSOVER),
    required=("user_id",),
    others={**NESTED, "fetch_input": (FetchBody | None, Field(None, description="Which bars, as GraphQL takes it."))},
)
ModelOfSymbolsBody: Final = make_body(
    "PortfolioModelBacktest",
    "A backtest of a stored model, without its symbol.",
    (*RUN, *parameters_of(ModelParams)),
    required=("user_id", "model_path"),
)
PortfolioBody: Final = make_body(
    "RunPortfolioRequest",
    "A portfolio backtest to run.",
    (*OWN, *WAITING),
    others={
        "symbols": (
            Annotated[
                list[Annotated[str, Field(json_schema_extra=values.SYMBOL)]],
                Field(json_schema_extra={"minItems": 1, "maxItems": MAX_SYMBOLS, "uniqueItems": True}),
            ],
            Field(description=f"The symbols, 1 to {MAX_SYMBOLS}, each once."),
        ),
        "backtest": (
            BacktestOfSymbolsBody | None,
            Field(
                None, description="The backtest, as POST /api/backtests takes it, without a symbol; or `ml_backtest`."
            ),
        ),
        "ml_backtest": (
            ModelOfSymbolsBody | None,
            Field(None, description="The backtest of a stored model, without a symbol; or `backtest`."),
        ),
        "idempotency_key": (
            IdempotencyKeyText | None,
            Field(None, description="As the header Idempotency-Key: the same key and request are the same job."),
        ),
    },
)


class ReceivedPortfolio(NamedTuple):
    """A checked request for a portfolio, the idempotency key in its body, and how long its client waits."""

    request: PortfolioRequest
    key: str | None
    wait_s: float


def read_portfolio(content: bytes, *, max_bars: int) -> ReceivedPortfolio:
    """Read the JSON body of a portfolio backtest; errors as of `bodies.read_backtest_body`."""
    body = _read_object(content)
    key, wait_s = body.pop("idempotency_key"), build_waiting(body)
    if only_backtest(body) == "backtest":
        name, backtest = "backtest", GivenBacktest(*read_backtest(body["backtest"]))
    else:
        name, given = "mlBacktest", body["ml_backtest"]
        backtest = GivenBacktest(given, "model", given)
    return ReceivedPortfolio(build_portfolio(backtest, body, name=name, max_bars=max_bars), key, wait_s)


def _read_object(content: bytes) -> dict[str, Any]:
    try:
        return read_object(content, PortfolioBody)
    except InvalidInput as error:
        if error.field is not None and error.field.endswith(".symbol"):
            raise InvalidInput(
                "{field} is not a field of a portfolio's backtest. Name the symbols in {@symbols}.", field=error.field
            ) from error
        raise
