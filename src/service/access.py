"""Give the APIs services that act for one caller: the one place that applies the rule of `domain.identity`.

The APIs get no other services than these. A caller who may do everything gets the services themselves. For others each
method first checks, by `RULES`, the parameters that name a user or a user's object. The service does not start if a
method has a parameter that is neither in `RULES` nor in `NEUTRAL`: its author must add it to one of them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple, TypeVar, cast

from src.domain.errors import Forbidden, job_not_found, result_not_found
from src.domain.identity import Caller
from src.ports.market import DownloadBoard
from src.ports.signing import Signer
from src.service.backtests import BacktestService
from src.service.datasets import DatasetService
from src.service.jobs import JobService
from src.service.later_checks import LaterChecks
from src.service.markets import MarketService
from src.service.models import ModelService
from src.service.portfolios import PortfolioService
from src.service.results import ResultService
from src.service.services import Services
from src.service.sweeps import SweepService
from src.service.tearsheets import TearSheets
from src.service.usage import UsageService

Service = TypeVar("Service")


class Access:
    """What one caller may use; `services` find the owner of a result or a job."""

    def __init__(self, caller: Caller, services: Services) -> None:
        self._caller = caller
        self._services = services

    def own(self, user_id: str | None) -> str | None:
        """Return the user whom a call is about; raises Forbidden if that is not the caller."""
        return self._caller.acts_as(user_id)

    def own_request(self, request: Any) -> Any:
        """Return a request; raises Forbidden if it is for another user."""
        self._caller.acts_as(request.user_id)
        return request

    def own_result(self, result: Any) -> Any:
        """Return a result; raises ResultNotFound if it is another user's."""
        if not self._caller.may_read(result.request.user_id):
            raise result_not_found(result.id)
        return result

    def own_file(self, file: Any) -> Any:
        """Return a model file, or None; raises Forbidden if it is another user's."""
        if file is not None:
            self._caller.acts_as(file.user_id)
        return file

    def no_choice(self, given: object) -> None:
        """Raise Forbidden for a value that only the service itself may choose."""
        if given is not None:
            raise Forbidden("{field} is chosen by the service.", field="id")

    async def result(self, result_id: str) -> str:
        """Return the id of a result; raises ResultNotFound if it is another user's, as for an unknown one."""
        if not self._caller.may_read(await self._services.results.owner(result_id)):
            raise result_not_found(result_id)
        return result_id

    async def results(self, result_ids: Sequence[str]) -> Sequence[str]:
        """Return the ids of results; raises ResultNotFound if one is another user's."""
        for result_id in result_ids:
            await self.result(result_id)
        return result_ids

    async def job(self, job_id: str) -> str:
        """Return the id of a job, sweep, walk-forward or portfolio; JobNotFound if it is another user's."""
        if not self._caller.may_read(await self._services.jobs.owner(job_id)):
            raise job_not_found(job_id)
        return job_id


Rule = Callable[[Access, Any], Any]

RULES: Final[Mapping[tuple[str, str], Rule]] = {
    ("user_id", "str"): Access.own,
    ("user_id", "str | None"): Access.own,
    ("request", "BacktestRequest"): Access.own_request,
    ("request", "SweepRequest"): Access.own_request,
    ("request", "WalkForwardRequest"): Access.own_request,
    ("request", "PortfolioRequest"): Access.own_request,
    ("request", "JobRequest"): Access.own_request,
    ("model_file", "ModelFile | None"): Access.own_file,
    ("result_id", "str | None"): Access.no_choice,
    ("result", "BacktestResult"): Access.own_result,
    ("result_id", "str"): Access.result,
    ("result_ids", "Sequence[str]"): Access.results,
    ("job_id", "str"): Access.job,
    ("sweep_id", "str"): Access.job,
    ("portfolio_id", "str"): Access.job,
}
"""The check of a parameter, by its name and its type as the method declares them."""

NEUTRAL: Final = frozenset({
    "after", "choice", "chunks", "conclusion", "declared", "descending", "first", "idempotency_key",
    "is_trading_only", "judged_among", "market", "metric", "model_name", "name", "offset", "original_filename",
    "quote_asset", "reduce", "reference", "request:SeriesRequest", "row", "sender", "sort_by", "state", "symbol",
    "training", "warm_up_bars", "x", "y",
})  # fmt: skip
"""Parameters that need no check: they name no user's object, or one of the user whom another parameter names.
`conclusion` comes only from a checked read, and an API reads `sender` from the request itself."""

OPEN: Final = frozenset({(MarketService, "list_symbols"), (SweepService, "deflation")})
"""Methods about no user's objects, or about objects that were checked before."""

INTERNAL: Final = frozenset({(JobService, "chunks")})
"""Methods that only other services call."""


class Method(NamedTuple):
    """A method of a service, and the checks of its parameters."""

    function: Callable[..., Any]
    signature: inspect.Signature
    rules: Mapping[str, Rule]


def plan_of(kind: type) -> Mapping[str, Method]:
    """Return the public methods of a service; raises TypeError if one has a parameter without a rule."""
    plan: dict[str, Method] = {}
    for name, function in inspect.getmembers(kind, inspect.isfunction):
        if name.startswith("_") or (kind, name) in INTERNAL:
            continue
        signature, rules = inspect.signature(function), dict[str, Rule]()
        for item in list(signature.parameters.values())[1:]:
            rule = RULES.get((item.name, item.annotation))
            if rule is not None:
                rules[item.name] = rule
            elif item.name not in NEUTRAL and f"{item.name}:{item.annotation}" not in NEUTRAL:
                raise TypeError(
                    f"{kind.__name__}.{name}: say in service/access.py whose thing {item.name}: {item.annotation} is"
                )
        if not rules and (kind, name) not in OPEN:
            raise TypeError(f"{kind.__name__}.{name}: nothing says whose it is; see OPEN in service/access.py")
        if not _is_async(function) and any(inspect.iscoroutinefunction(rule) for rule in rules.values()):
            raise TypeError(f"{kind.__name__}.{name}: an id can only be checked in an asynchronous method")
        # A user that may not be named is refused before an id is looked up.
        ordered = sorted(rules.items(), key=lambda item: inspect.iscoroutinefunction(item[1]))
        plan[name] = Method(function, signature, dict(ordered))
    return plan


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


PLANS: Final[Mapping[type, Mapping[str, Method]]] = {
    kind: plan_of(kind)
    for kind in (
        BacktestService,
        DatasetService,
        JobService,
        LaterChecks,
        MarketService,
        ModelService,
        PortfolioService,
        ResultService,
        SweepService,
        TearSheets,
        UsageService,
    )
}


class Guarded:
    """A service whose methods check their parameters first; it has nothing but the methods of its plan."""

    def __init__(self, service: Any, plan: Mapping[str, Method], access: Access) -> None:
        self._service = service
        self._plan = plan
        self._access = access

    def __getattr__(self, name: str) -> Any:
        method = self._plan.get(name)
        if method is None:
            raise AttributeError(f"{type(self._service).__name__} offers no {name} to callers")
        if inspect.isasyncgenfunction(method.function):
            return functools.partial(self._stream, method)
        if inspect.iscoroutinefunction(method.function):
            return functools.partial(self._call, method)
        return functools.partial(self._call_sync, method)

    async def _call(self, method: Method, *positional: Any, **named: Any) -> Any:
        bound = await self._check(method, positional, named)
        return await method.function(*bound.args, **bound.kwargs)

    async def _stream(self, method: Method, *positional: Any, **named: Any) -> AsyncIterator[Any]:
        bound = await self._check(method, positional, named)
        async with aclosing(method.function(*bound.args, **bound.kwargs)) as items:
            async for item in items:
                yield item

    def _call_sync(self, method: Method, *positional: Any, **named: Any) -> Any:
        bound = self._bind(method, positional, named)
        for name, rule in method.rules.items():
            bound.arguments[name] = rule(self._access, bound.arguments[name])
        return method.function(*bound.args, **bound.kwargs)

    async def _check(
        self, method: Method, positional: Sequence[Any], named: Mapping[str, Any]
    ) -> inspect.BoundArguments:
        bound = self._bind(method, positional, named)
        for name, rule in method.rules.items():
            checked = rule(self._access, bound.arguments[name])
            bound.arguments[name] = await checked if inspect.isawaitable(checked) else checked
        return bound

    def _bind(self, method: Method, positional: Sequence[Any], named: Mapping[str, Any]) -> inspect.BoundArguments:
        bound = method.signature.bind(self._service, *positional, **named)
        bound.apply_defaults()
        return bound


class CallerServices:
    """The services of a process, for the requests of one caller."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self._services = services
        self._is_anybody = caller.is_anybody
        self._access = Access(caller, services)

    @property
    def backtests(self) -> BacktestService:
        return self._guard(self._services.backtests)

    @property
    def results(self) -> ResultService:
        return self._guard(self._services.results)

    @property
    def markets(self) -> MarketService:
        return self._guard(self._services.markets)

    @property
    def later_checks(self) -> LaterChecks:
        return self._guard(self._services.later_checks)

    @property
    def tearsheets(self) -> TearSheets:
        return self._guard(self._services.tearsheets)

    @property
    def models(self) -> ModelService:
        return self._guard(self._services.models)

    @property
    def datasets(self) -> DatasetService:
        return self._guard(self._services.datasets)

    @property
    def jobs(self) -> JobService:
        return self._guard(self._services.jobs)

    @property
    def sweeps(self) -> SweepService:
        return self._guard(self._services.sweeps)

    @property
    def portfolios(self) -> PortfolioService:
        return self._guard(self._services.portfolios)

    @property
    def usage(self) -> UsageService:
        return self._guard(self._services.usage)

    @property
    def downloads(self) -> DownloadBoard:
        """The downloads of this process: markets of the exchange, no user's data."""
        return self._services.downloads

    @property
    def signer(self) -> Signer:
        return self._services.signer

    def _guard(self, service: Service) -> Service:
        if self._is_anybody:
            return service
        return cast("Service", Guarded(service, PLANS[type(service)], self._access))
