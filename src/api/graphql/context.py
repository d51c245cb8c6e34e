"""Hold what resolvers receive with each request."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, TypeVar

import strawberry
from graphql.pyutils import Path
from starlette.requests import HTTPConnection
from strawberry.fastapi import BaseContext

from src.api.allowance import found_allowance
from src.api.dependencies import job_streams_of, max_bars_of, max_rows_of, services_of
from src.api.job_streams import JobStreams
from src.domain.error_text import Template
from src.domain.errors import RateLimited, TooLarge
from src.domain.runs import BacktestResult
from src.ports.market import DownloadBoard
from src.service.backtests import BacktestService
from src.service.datasets import DatasetService
from src.service.jobs import JobService
from src.service.later_checks import LaterChecks
from src.service.markets import MarketService
from src.service.models import ModelService
from src.service.portfolios import PortfolioRows, PortfolioService
from src.service.results import ResultService
from src.service.sweeps import SweepService
from src.service.tearsheets import TearSheets
from src.service.usage import UsageService

Dressed = TypeVar("Dressed")

TABLES_PER_ANSWER: Final = 3
"""Whole tables in one response: those of one result (data, fills and trades)."""

MAX_SUMMARIES: Final = 1_000
"""Stored results that one document lists or compares: with all fields each takes half a millisecond and 2 KB."""

FIELDS_PER_ROW: Final = 17
"""Fields that count as one row: those of the widest table, and `__typename`."""

LONG_NAME: Final = 32
"""Characters of a name that count as one field: only aliases are longer, and each row repeats them."""

_WIDE_ROWS: Final = (
    ", where {rows:,} rows of {fields} count {weight:,} times: {full} fields with names of {long} characters "
    "are one row"
)


class GraphQLContext(BaseContext):
    """The application's services, and the number of bars and rows that the document asks for.

    `warnings` are those of fields whose type cannot hold them: each with its `message` and its field's `path`.
    `refusal` is set if the document was not executed because of a limit per time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[dict[str, object]] = []
        self.refusal: RateLimited | None = None
        self._reading = asyncio.Lock()
        self._results: dict[str, Any] = {}
        self._portfolios: dict[str, PortfolioRows] = {}
        self._claimed_bars = 0
        self._claimed_rows = 0
        self._claimed_summaries = 0

    def warn(self, messages: Iterable[str], path: Path) -> None:
        """Add warnings about the field at `path` to the response's `extensions.warnings`."""
        self.warnings.extend({"message": message, "path": path.as_list()} for message in messages)

    async def read_result(self, result_id: str, dress: Callable[[BacktestResult], Dressed]) -> Dressed:
        """Read a stored result and convert it with `dress`, once for all fields of the document that ask for it.

        Results are read one at a time, and each is claimed before its columns are decoded: a document that asks for
        too many never holds more of them than are allowed.

        Raises
        ------
        ResultNotFound
            Also TooLarge as `claim_bars` does.
        """
        async with self._reading:
            if result_id not in self._results:
                await self.claim_result(result_id)
                self._results[result_id] = dress(await self.results.get(result_id))
            dressed: Dressed = self._results[result_id]
            return dressed

    async def read_portfolio(self, portfolio_id: str) -> PortfolioRows:
        """Read the rows of a portfolio, once for all fields of the document that ask for them.

        Raises JobNotFound; Conflict if it has not succeeded; TooLarge as `claim_bars` does.
        """
        async with self._reading:
            if portfolio_id not in self._portfolios:
                conclusion = (await self.portfolios.get(portfolio_id)).conclusion
                # Several symbols can have more bars than one field may ask for: they alone then use up the document's
                # bars.
                self.claim_bars(min(conclusion.metrics.bars if conclusion else 0, self.max_bars))
                self._portfolios[portfolio_id] = await self.portfolios.rows(portfolio_id)
            return self._portfolios[portfolio_id]

    def forget_results(self) -> None:
        """Drop the results that were read; the response keeps the columns that it will write."""
        self._results.clear()
        self._portfolios.clear()

    async def claim_result(self, result_id: str) -> None:
        """Count the bars of a stored result, without reading its columns; raises ResultNotFound and TooLarge."""
        [summary] = await self.results.compare([result_id])
        self.claim_bars(summary.metrics.bars)

    def claim_bars(self, count: int) -> None:
        """Count requested bars; all fields of a document together may have as many as one field alone.

        Raises
        ------
        TooLarge
            If they are more.
        """
        self._claimed_bars += count
        if self._claimed_bars > self.max_bars:
            raise TooLarge(
                "The fields of this document ask for {count:,} bars or more in all. Maximum: {most:,} (MAX_BARS). Send "
                "several requests, or ask for fewer by {@limit}.",
                count=self._claimed_bars,
                most=self.max_bars,
            )

    def claim_summaries(self, count: int) -> None:
        """Count stored results that are listed or compared, over all fields of the document; raises TooLarge."""
        self._claimed_summaries += count
        if self._claimed_summaries > MAX_SUMMARIES:
            raise TooLarge(
                "The fields of this document list {count:,} stored results or more in all. Maximum: {most:,}. Send "
                "several requests, or ask for fewer by {@first} or {@ids}.",
                count=self._claimed_summaries,
                most=MAX_SUMMARIES,
            )

    def claim_rows(self, count: int, names: Collection[str]) -> None:
        """Count rows of the response; all its fields together may have the tables of one result.

        Rows that are wider than any table has fields count several times, see `row_weight`.

        Parameters
        ----------
        names
            The fields of each row, by their names in the response.

        Raises
        ------
        TooLarge
            If they are more.
        """
        weight = row_weight(names)
        self._claimed_rows += count * weight
        most = TABLES_PER_ANSWER * self.max_rows
        if self._claimed_rows > most:
            fields = f"{len(names)} field{'s' if len(names) > 1 else ''}"
            wide = {"rows": count, "fields": fields, "weight": weight, "full": FIELDS_PER_ROW, "long": LONG_NAME}
            raise TooLarge(
                "The fields of this document ask for {count:,} rows or more in all{wide}. Maximum: {most:,} "
                "({tables} × MAX_ROWS_PER_ANSWER). Send several requests, or ask for fewer by {@first}.",
                count=self._claimed_rows,
                wide=Template(_WIDE_ROWS, wide) if weight > 1 else "",
                most=most,
                tables=TABLES_PER_ANSWER,
            )

    @property
    def backtests(self) -> BacktestService:
        return services_of(self.connection).backtests

    @property
    def results(self) -> ResultService:
        return services_of(self.connection).results

    @property
    def markets(self) -> MarketService:
        return services_of(self.connection).markets

    @property
    def later_checks(self) -> LaterChecks:
        return services_of(self.connection).later_checks

    @property
    def tearsheets(self) -> TearSheets:
        return services_of(self.connection).tearsheets

    @property
    def models(self) -> ModelService:
        return services_of(self.connection).models

    @property
    def datasets(self) -> DatasetService:
        return services_of(self.connection).datasets

    @property
    def jobs(self) -> JobService:
        return services_of(self.connection).jobs

    @property
    def sweeps(self) -> SweepService:
        return services_of(self.connection).sweeps

    @property
    def portfolios(self) -> PortfolioService:
        return services_of(self.connection).portfolios

    def claim_upload(self) -> None:
        """Count a use of an uploaded file; raises RateLimited."""
        allowance = found_allowance(self.connection)
        if allowance is not None:
            allowance.claim_upload()

    @property
    def usage(self) -> UsageService:
        return services_of(self.connection).usage

    @property
    def job_streams(self) -> JobStreams:
        return job_streams_of(self.connection)

    @property
    def downloads(self) -> DownloadBoard:
        return services_of(self.connection).downloads

    @property
    def max_bars(self) -> int:
        """The maximum number of bars that one request may ask for."""
        return max_bars_of(self.connection)

    @property
    def max_rows(self) -> int:
        """The maximum number of rows of one table in a response."""
        return max_rows_of(self.connection)

    @property
    def connection(self) -> HTTPConnection:
        """The request or WebSocket."""
        if not isinstance(self.request, HTTPConnection):
            raise TypeError("resolvers run in HTTP requests and WebSockets only")
        return self.request


def row_weight(names: Collection[str]) -> int:
    """Return how many rows a row with fields of these names counts as: 1 for any row without many or long aliases."""
    fields = sum(max(1, math.ceil(len(name) / LONG_NAME)) for name in names)
    return max(1, math.ceil(fields / FIELDS_PER_ROW))


Info = strawberry.Info[GraphQLContext, None]
"""The information about its field that a resolver receives."""
