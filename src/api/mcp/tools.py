"""Run the tools: read their arguments as REST reads a body, call the services, describe what they return."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import orjson
from starlette.concurrency import run_in_threadpool

from src.api.caller import current_caller, fill_user
from src.api.errors import describe_error
from src.api.job_streams import JobStreams
from src.api.mcp import definitions
from src.api.mcp.definitions import DEFAULT_ROWS, DEFAULT_USER, MAX_COMPARED, MAX_ROWS, ROW_TABLES, ToolDefinition
from src.api.mcp.portfolio_texts import describe_portfolio
from src.api.mcp.sweep_texts import describe_estimate, describe_start, describe_sweep, describe_sweep_rows
from src.api.mcp.texts import describe_comparison, describe_quality, describe_result, describe_rows
from src.api.requests.backtests import build_market, build_request
from src.api.requests.portfolios import MAX_WAIT_S
from src.api.rest.bodies import read_backtest_body, read_market
from src.api.rest.portfolio_bodies import read_portfolio
from src.api.rest.sweep_bodies import read_sweep
from src.api.rest.tables import present_bars, present_fills, present_trades
from src.api.spelling import rest_name
from src.domain.errors import InvalidInput, bad_value, inside, missing, unknown_field
from src.domain.runs import BacktestResult
from src.service.access import CallerServices
from src.service.services import Services
from src.service.sweep_tables import RANK

Arguments: TypeAlias = Mapping[str, Any]
Tool: TypeAlias = Callable[[Arguments], Awaitable[str]]


class Tools:
    """The tools of one process; each takes unchecked arguments, and returns a text.

    Raises ServiceError as REST does.
    """

    def __init__(self, services: Services, streams: JobStreams, *, max_bars: int) -> None:
        self._process = services
        self._streams = streams
        self._max_bars = max_bars
        self._tools: Mapping[str, tuple[ToolDefinition, Tool]] = {
            definitions.BACKTEST_STRATEGY.name: (definitions.BACKTEST_STRATEGY, self._backtest_strategy),
            definitions.BACKTEST_MODEL.name: (definitions.BACKTEST_MODEL, self._backtest_model),
            definitions.GET_RUN.name: (definitions.GET_RUN, self._get_run),
            definitions.COMPARE.name: (definitions.COMPARE, self._compare),
            definitions.DATA_QUALITY.name: (definitions.DATA_QUALITY, self._data_quality),
            definitions.START_SWEEP.name: (definitions.START_SWEEP, self._start_sweep),
            definitions.GET_SWEEP.name: (definitions.GET_SWEEP, self._get_sweep),
            definitions.RUN_PORTFOLIO.name: (definitions.RUN_PORTFOLIO, self._run_portfolio),
        }

    @property
    def _services(self) -> CallerServices:
        return CallerServices(self._process, current_caller())

    async def call(self, name: str, arguments: Arguments) -> str:
        """Run a tool; raises InvalidInput if there is none of that name, or an argument is unknown or missing."""
        if name not in self._tools:
            raise bad_value("tool", got=name, allowed=self._tools)
        definition, tool = self._tools[name]
        _check_arguments(definition, arguments)
        return await tool(arguments)

    async def _backtest_strategy(self, arguments: Arguments) -> str:
        return await self._run(_body_of_strategy(arguments))

    async def _backtest_model(self, arguments: Arguments) -> str:
        return await self._run(_body_of_model(arguments))

    async def _run(self, body: Mapping[str, object]) -> str:
        wanted = build_request(*read_backtest_body(orjson.dumps(body)), max_bars=self._max_bars)
        result = await self._services.backtests.run(wanted)
        return await run_in_threadpool(describe_result, result)

    async def _get_run(self, arguments: Arguments) -> str:
        name = arguments.get("rows") or ROW_TABLES[0]
        if name not in ROW_TABLES:
            raise bad_value("rows", got=name, allowed=ROW_TABLES)
        first = _count(arguments, "first", default=DEFAULT_ROWS, least=1, most=MAX_ROWS)
        offset = _count(arguments, "offset", default=0, least=0, most=2**53)
        result = await self._services.results.get(_text("run_id", arguments["run_id"]))
        text = await run_in_threadpool(describe_result, result)
        return text if name == ROW_TABLES[0] else f"{text}\n\n{_rows_of(result, name, offset, first)}"

    async def _compare(self, arguments: Arguments) -> str:
        ids = arguments["run_ids"]
        if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_COMPARED:
            raise bad_value("run_ids", got=ids, allowed=f"a list of 1 to {MAX_COMPARED} ids")
        texts = [_text("run_ids", item) for item in ids]
        return describe_comparison(await self._services.results.compare(texts))

    async def _data_quality(self, arguments: Arguments) -> str:
        market = build_market(read_market(_market(arguments)), max_bars=self._max_bars)
        return describe_quality(await self._services.markets.fetch_bars(market, user_id=_user(arguments)))

    async def _start_sweep(self, arguments: Arguments) -> str:
        names = ("parameters", "search", "constraints", "objective")
        body = {"backtest": _body_of(arguments["backtest"]), **{name: arguments.get(name) for name in names}}
        wanted = read_sweep(orjson.dumps(body), max_bars=self._max_bars).request
        sweeps = self._services.sweeps
        if _flag(arguments, "estimate_only"):
            return describe_estimate(await sweeps.estimate(wanted))
        return describe_start(await sweeps.start(wanted))

    async def _get_sweep(self, arguments: Arguments) -> str:
        first = _count(arguments, "first", default=0, least=0, most=MAX_ROWS)
        offset = _count(arguments, "offset", default=0, least=0, most=2**53)
        sweeps = self._services.sweeps
        sweep = await sweeps.get(_text("sweep_id", arguments["sweep_id"]))
        deflation = None if sweep.conclusion is None else await sweeps.deflation(sweep.conclusion)
        text = describe_sweep(sweep, deflation)
        if not first:
            return text
        page = await sweeps.rows(sweep.job.id, sort_by=RANK, descending=False, first=first, offset=offset)
        rows = await run_in_threadpool(describe_sweep_rows, page, objective=sweep.request.objective.metric)
        return f"{text}\n\n{rows}"

    async def _run_portfolio(self, arguments: Arguments) -> str:
        portfolios, jobs = self._services.portfolios, self._services.jobs
        if arguments.get("portfolio_id") is not None:
            job = (await portfolios.get(_text("portfolio_id", arguments["portfolio_id"]))).job
        else:
            wanted = read_portfolio(orjson.dumps(_body_of_portfolio(arguments)), max_bars=self._max_bars).request
            job = await portfolios.start(wanted)
        job = await self._streams.wait_for_end(jobs, job, wait_s=MAX_WAIT_S)
        return await run_in_threadpool(describe_portfolio, await portfolios.get(job.id))


def _body_of_portfolio(arguments: Arguments) -> Mapping[str, object]:
    """Return the body of a portfolio from a tool's arguments; the symbol of its backtest is left out of its check."""
    for name in ("symbols", "backtest"):
        if arguments.get(name) is None:
            raise missing(name)
    given = arguments["backtest"]
    if isinstance(given, dict) and "symbol" in given:
        raise InvalidInput(
            "{field} is not a field of a portfolio's backtest. Name the symbols in {@symbols}.", field="backtest.symbol"
        )
    backtest = _body_of({**given, "symbol": ""} if isinstance(given, dict) else given)
    own = {name: arguments.get(name) for name in ("symbols", "max_open", "rank", "rank_bars")}
    return {**own, "backtest": {name: value for name, value in backtest.items() if name != "symbol"}}


def _check_arguments(definition: ToolDefinition, arguments: Arguments) -> None:
    """Raise InvalidInput if an argument of a tool is unknown or missing."""
    for given in arguments:
        if given not in definition.properties:
            raise unknown_field(given, known=definition.properties)
    for required in definition.required:
        if arguments.get(required) is None:
            raise missing(required)


def _body_of(arguments: object) -> Mapping[str, object]:
    """Return the body of a backtest from the arguments of the tool that runs it; raises InvalidInput as that does."""
    if not isinstance(arguments, dict):
        raise bad_value("backtest", got=arguments, allowed="an object with the arguments of a tool for backtests")
    is_model = "model" in arguments
    with inside("backtest"):
        _check_arguments(definitions.BACKTEST_MODEL if is_model else definitions.BACKTEST_STRATEGY, arguments)
        return _body_of_model(arguments) if is_model else _body_of_strategy(arguments)


def _body_of_strategy(arguments: Arguments) -> Mapping[str, object]:
    strategy = arguments["strategy"]
    if not isinstance(strategy, dict):
        raise bad_value("strategy", got=strategy, allowed='an object such as {"rsi": {"length": 14}}')
    return _build_body(arguments, strategy)


def _body_of_model(arguments: Arguments) -> Mapping[str, object]:
    params = {name: arguments.get(name) for name in ("trained_to", "threshold")}
    return _build_body(arguments, {"model": {"model_path": arguments["model"], **params}})


def _build_body(arguments: Arguments, strategy: Mapping[str, object]) -> Mapping[str, object]:
    settings = arguments.get("settings") or {}
    if not isinstance(settings, dict):
        raise bad_value("settings", got=settings, allowed='an object such as {"fees": 0.001}')
    for name in settings:
        if name in definitions.BACKTEST_STRATEGY.properties:
            raise InvalidInput("{field} belongs beside settings, not into them.", field=name)
    return {**settings, **_market(arguments), "user_id": _user(arguments), "strategy": strategy}


def describe_failure(error: Exception) -> str:
    """Return what is wrong: code, message, field, place and hint; of an unexpected error only its id."""
    failure = describe_error(error)
    lines = [f"{failure.code}: {failure.text.render(rest_name)}"]
    if failure.field is not None:
        lines.append(f"Field: {rest_name(failure.field)}")
    if failure.place is not None:
        lines.append("Line {}, column {}".format(*failure.place))
    if failure.retry_after_s is not None:
        lines.append(f"Retry after: {failure.retry_after_s:g} s")
    return "\n".join([*lines, f"Hint: {failure.hint}"])


def _market(arguments: Arguments) -> dict[str, Any]:
    return {
        name: arguments[name] for name in definitions.DATA_QUALITY.properties if name in arguments and name != "user_id"
    }


def _user(arguments: Arguments) -> Any:
    return fill_user(arguments.get("user_id") or None) or DEFAULT_USER


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise bad_value(field, got=value, allowed="text")
    return value


def _flag(arguments: Arguments, field: str) -> bool:
    value = arguments.get(field) or False
    if not isinstance(value, bool):
        raise bad_value(field, got=value, allowed="true or false")
    return value


def _count(arguments: Arguments, field: str, *, default: int, least: int, most: int) -> int:
    value = arguments.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad_value(field, got=value, allowed=f"a whole number from {least} to {most}")
    return value


def _rows_of(result: BacktestResult, name: str, offset: int, first: int) -> str:
    rows = slice(offset, offset + first)
    fills, trades = result.simulation.fills, result.simulation.trades
    total = {"fills": len(fills), "trades": len(trades), "bars": len(result.time_ms)}[name]
    table = {
        "fills": lambda: present_fills(fills[rows]),
        "trades": lambda: present_trades(trades[rows]),
        "bars": lambda: present_bars(result, rows),
    }[name]()
    return describe_rows(name, table, offset=offset, total=total)
