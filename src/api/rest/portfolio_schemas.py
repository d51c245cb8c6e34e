"""Define the responses about portfolio backtests, for OpenAPI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from src.api.rest.job_schemas import JobSchema
from src.api.rest.response_schema import ResponseSchema, schema_for
from src.api.rest.result_schemas import FillRow, MetricsSchema, TradeRow
from src.domain.portfolio import PortfolioConclusion

if TYPE_CHECKING:

    class PortfolioConclusionSchema(ResponseSchema):
        pass
else:
    PortfolioConclusionSchema = schema_for(PortfolioConclusion, metrics=MetricsSchema)


class PortfolioSchema(BaseModel):
    """A portfolio backtest: its job, what was asked for, and what it did."""

    job: JobSchema = Field(description="The job that computes it.")
    settings: dict[str, Any] = Field(description="What was asked for, defaults filled in.")
    conclusion: PortfolioConclusionSchema | None = Field(description="What it did; null while it has not succeeded.")


class BalanceRow(BaseModel):
    """The balances of a portfolio at a time at which any of its symbols has a bar."""

    time: str = Field(description="Open time of the bars, of a point's first ones, ISO 8601, UTC.")
    equity: float = Field(description="Cash and positions at their last closes, quote currency; in a point the last.")
    cash: float = Field(description="Cash that no position holds, quote currency; in a point the last.")
    drawdown: float = Field(description="(equity ÷ its running peak − 1) × 100, per cent; in a point the lowest.")
    buy_and_hold: float = Field(
        description="Equal parts of the starting cash in each symbol, bought at its first close and held, without "
        "costs, quote currency; in a point the last."
    )
    open_positions: int = Field(description="Positions open at the close. Unit: count; in a point the most.")


class BalancePage(BaseModel):
    """Balances of a portfolio."""

    items: list[BalanceRow] = Field(description="The rows of this page.")
    total: int = Field(description="Times in all.")
    offset: int = Field(description="Index of the first row of this page.")
    first: int = Field(description="Maximum number of rows in a page.")
    times_per_point: int = Field(description="Times that each row stands for; the last row may have fewer.")


class PortfolioFillRow(FillRow):
    """An executed order of one of the symbols; bars are counted from 0 among those of its symbol."""

    symbol: str = Field(description="Its symbol.")


class PortfolioTradeRow(TradeRow):
    """A position in one of the symbols, as of a backtest; bars are counted from 0 among those of its symbol."""

    symbol: str = Field(description="Its symbol.")
