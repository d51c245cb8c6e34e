"""Build the requests for portfolio backtests from a client's values, by either API.

The values are mappings of public names in snake_case, as in `requests.backtests`; None means not given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from src.api.requests.backtests import build_request
from src.api.requests.sweeps import Given, GivenBacktest, echo_backtest
from src.domain.error_text import Template
from src.domain.errors import Conflict, InvalidInput, bad_value, error_of_code, inside, missing
from src.domain.jobs import Job, JobState
from src.domain.market import MarketRequest
from src.domain.order_rules import Sizing
from src.domain.parameters import Bounds, DeclaredParameter, build, check_parameters, parameter, parameters_of
from src.domain.portfolio import PortfolioRequest, check_symbols
from src.domain.runs import BacktestRequest
from src.domain.trading import EngineName, FillTiming

MAX_WAIT_S: Final = 60
"""Proxies close connections on which nothing comes for a minute."""

_SYMBOL: Final = "symbol"
_OF_ITSELF: Final = ("symbols", "maxOpen", "rank", "rankBars")
"""The fields of a portfolio that are not its backtest's, as errors name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How long the response waits for the job."""

    wait_seconds: float = parameter(
        name="wait_seconds",
        meaning="How long the response waits for the end; if that comes later, it is the job",
        default=10.0,
        unit="seconds",
        bounds=Bounds(minimum=0, maximum=MAX_WAIT_S),
    )

    def __post_init__(self) -> None:
        check_parameters(self)


_OTHER_DEFAULTS: Final = {
    **{item.parameter.name: "the equity ÷ maxOpen, if no other size is given either" for item in parameters_of(Sizing)},
    "fill": FillTiming.NEXT_OPEN.value,
}
"""What applies in a portfolio if these are not given, by public name."""


def of_portfolio(parameters: Sequence[DeclaredParameter]) -> tuple[DeclaredParameter, ...]:
    """Return the parameters of a backtest as a portfolio has them: no symbol, and defaults of its own."""
    return tuple(_with_own_default(item) for item in parameters if item.parameter.name != _SYMBOL)


def _with_own_default(item: DeclaredParameter) -> DeclaredParameter:
    if item.path == ("engine",):
        return item._replace(default=EngineName.EVENT_DRIVEN)
    meaning = _OTHER_DEFAULTS.get(item.parameter.name, item.parameter.default_meaning)
    return item._replace(parameter=replace(item.parameter, default_meaning=meaning))


MARKET: Final = of_portfolio(parameters_of(MarketRequest))
RUN: Final = of_portfolio(parameters_of(BacktestRequest))
OWN: Final = tuple(item for item in parameters_of(PortfolioRequest) if len(item.path) == 1)
WAITING: Final = parameters_of(Waiting)


def build_portfolio(backtest: GivenBacktest, given: Given, *, name: str, max_bars: int) -> PortfolioRequest:
    """Check and complete a request for a portfolio backtest.

    `given` has symbols, max_open, rank and rank_bars; `name` is that of the backtest's object (camelCase), by which
    errors name its fields. Raises InvalidInput, which names the field, what was sent, and what is allowed.
    """
    symbols = _read_symbols(given.get("symbols"))
    engine = backtest.given.get("engine") or EngineName.EVENT_DRIVEN
    values = {**backtest.given, _SYMBOL: symbols[0], "engine": engine}
    with inside(name):
        request = build_request(values, backtest.strategy, backtest.params, max_bars=max_bars)
    try:
        portfolio = build(PortfolioRequest, given, backtest=request, symbols=symbols)
    except InvalidInput as error:
        if error.field is not None and error.field.partition(".")[0] not in _OF_ITSELF:
            error.move_into(name)
        raise
    # Not in the domain: earlier versions stored such requests, with as many places as symbols.
    if portfolio.max_open is not None and portfolio.max_open > len(symbols):
        raise bad_value("maxOpen", got=portfolio.max_open, allowed=f"1 to {len(symbols)}, as many as there are symbols")
    return portfolio


def build_waiting(given: Given) -> float:
    """Return how many seconds the response waits; raises InvalidInput."""
    return build(Waiting, given).wait_seconds


def echo_portfolio(request: PortfolioRequest) -> dict[str, object]:
    """Return the request for a portfolio, with defaults filled in, by public names."""
    backtest = echo_backtest(request.backtest)
    del backtest[_SYMBOL]
    own = {item.parameter.name: item.write(item.of(request)) for item in OWN}
    return {"backtest": backtest, "symbols": list(request.symbols), **own, "max_open": request.most_open}


def check_ended(job: Job) -> Job:
    """Return a job that was waited for; raises the error that it failed with, and Conflict if it was cancelled."""
    if job.state is JobState.CANCELLED:
        raise Conflict("Job {id!r} was cancelled. Resume it, or send the request again.", id=job.id)
    if job.state is JobState.FAILED and job.failure is not None:
        raise error_of_code(job.failure.code)(
            Template("{why} Job: {id!r}.", {"why": job.failure.message, "id": job.id})
        )
    return job


def _read_symbols(value: object) -> tuple[str, ...]:
    if value is None:
        raise missing("symbols")
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise bad_value("symbols", got=value, allowed="a list of symbols")
    return check_symbols(tuple(str(symbol) for symbol in value))
