"""Define portfolio backtests as clients read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from src.api.graphql.columns import RowColumns
from src.api.graphql.context import Info
from src.api.graphql.reports import report_type
from src.api.graphql.rows import page_of
from src.api.graphql.types import Fill, Trade, described, resolved
from src.api.requests.portfolios import echo_portfolio
from src.api.rows.portfolios import balance_columns, portfolio_fill_columns, portfolio_trade_columns
from src.api.rows.tables import Columns
from src.domain.portfolio import PortfolioConclusion
from src.service.portfolios import Portfolio, PortfolioRows, list_balances

PAGE_ROWS = 100

if TYPE_CHECKING:
    from src.api.graphql.sweeps import JobType

    PortfolioConclusionType = PortfolioConclusion
else:
    PortfolioConclusionType = report_type(PortfolioConclusion)

First = Annotated[
    int | None,
    strawberry.argument(description=f"Most rows, a count, up to MAX_ROWS_PER_ANSWER; null: {PAGE_ROWS}."),
]
Offset = Annotated[int | None, strawberry.argument(description="Rows to skip, a count.")]
Points = Annotated[
    int | None,
    strawberry.argument(
        description="Most rows, a count: each then stands for as many times. Null: a row for each time."
    ),
]


@strawberry.type(description="The balances of a portfolio at a time at which any of its symbols has a bar.")
class PortfolioBalance:
    time: str = described("Open time of the bars, of a point's first ones (ISO 8601, UTC).")
    equity: float = described("Cash and positions at their last closes, in the quote currency; in a point the last.")
    cash: float = described("Cash that no position holds, in the quote currency; in a point the last.")
    drawdown: float = described("(equity ÷ its running peak − 1) × 100, per cent, ≤ 0; in a point the lowest.")
    buy_and_hold: float = described(
        "Equal parts of the starting cash in each symbol, bought at its first close and held, without costs, in the "
        "quote currency; in a point the last."
    )
    open_positions: int = described("Positions open at the close, a count; in a point the most.")


@strawberry.type(description="Some balances of a portfolio.")
class PortfolioBalances:
    items: list[PortfolioBalance] = described("The rows of this page, oldest first.")
    total: int = described("Times in all, a count.")
    times_per_point: int = described("Times that each row stands for, a count; the last row may have fewer.")


@strawberry.type(description="An order executed in one of the symbols; bars are counted among those of its symbol.")
class PortfolioFill(Fill):
    symbol: str = described("Its symbol.")


@strawberry.type(description="Some fills of a portfolio.")
class PortfolioFills:
    items: list[PortfolioFill] = described("The rows of this page, in time order.")
    total: int = described("Fills in all, a count.")


@strawberry.type(description="A position in one of the symbols; bars are counted among those of its symbol.")
class PortfolioTrade(Trade):
    symbol: str = described("Its symbol.")


@strawberry.type(description="Some trades of a portfolio.")
class PortfolioTrades:
    items: list[PortfolioTrade] = described("The rows of this page, in order of entry.")
    total: int = described("Trades in all, a count.")


@strawberry.type(name="Portfolio", description="One backtest over several symbols that share their cash.")
class PortfolioType:
    id: strawberry.ID = described("The id of the job that computes it.")
    job: Annotated[JobType, strawberry.lazy("src.api.graphql.sweeps")] = described("That job.")
    settings: JSON = described("What was asked for, defaults filled in, as REST names it.")
    conclusion: PortfolioConclusionType | None = described("What it did; null while it has not succeeded.")

    @resolved("Its balances; an error while it has not succeeded.")
    async def equity(
        self, info: Info, first: First = None, offset: Offset = 0, points: Points = None
    ) -> PortfolioBalances:
        rows = await info.context.read_portfolio(self.id)
        found = list_balances(
            rows,
            first=first if points is not None else None,
            offset=(offset or 0) if points is not None else 0,
            points=points,
            max_rows=info.context.max_rows,
        )
        items = RowColumns(balance_columns(found))
        if points is None:
            items = _cut(items, first, offset, info)
        return PortfolioBalances(
            items=cast("list[Any]", items), total=found.total, times_per_point=found.times_per_point
        )

    @resolved("Executed orders of all symbols; an error while it has not succeeded.")
    async def fills(self, info: Info, first: First = None, offset: Offset = 0) -> PortfolioFills:
        items, total = await _page_of(self.id, portfolio_fill_columns, info, first, offset)
        return PortfolioFills(items=cast("list[Any]", items), total=total)

    @resolved("Trades of all symbols; an error while it has not succeeded.")
    async def trades(self, info: Info, first: First = None, offset: Offset = 0) -> PortfolioTrades:
        items, total = await _page_of(self.id, portfolio_trade_columns, info, first, offset)
        return PortfolioTrades(items=cast("list[Any]", items), total=total)


async def _page_of(
    portfolio_id: str, columns_of: Callable[[PortfolioRows], Columns], info: Info, first: int | None, offset: int | None
) -> tuple[Sequence[Any], int]:
    rows = RowColumns(columns_of(await info.context.read_portfolio(portfolio_id)))
    return _cut(rows, first, offset, info), len(rows)


def _cut(rows: RowColumns, first: int | None, offset: int | None, info: Info) -> RowColumns:
    context = info.context
    return page_of(rows, min(PAGE_ROWS, context.max_rows) if first is None else first, offset or 0, context=context)


def portfolio_of(portfolio: Portfolio) -> PortfolioType:
    return PortfolioType(
        id=strawberry.ID(portfolio.job.id),
        job=portfolio.job,
        settings=JSON(echo_portfolio(portfolio.request)),
        conclusion=portfolio.conclusion,
    )
