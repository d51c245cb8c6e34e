"""Define the responses about rows and tear sheets, for OpenAPI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model

from src.api.components import name_of_kind
from src.api.rest.response_schema import ResponseSchema, schema_for
from src.api.rest.result_schemas import FillRow, ResultSchema, TradeRow
from src.domain.tearsheet import (
    RANGED_COLUMNS,
    SERIES_COLUMNS,
    CostBreakdown,
    DrawdownPeriod,
    MonthlyReturns,
    ReturnDistribution,
)

Row = TypeVar("Row")

_KINDS: Final[dict[str, Any]] = {"date": list[str], "signal": list[str]}


def _series_fields() -> Iterator[tuple[str, Any]]:
    for name, column in SERIES_COLUMNS.items():
        kind = _KINDS.get(name, list[float | None])
        yield name, (kind | None, Field(None, description=f"{column.meaning} Unit: {column.unit}."))
        if name in RANGED_COLUMNS:
            for end in ("lowest", "highest"):
                text = f"The {end} {name} in each point; only with `points`. Unit: {column.unit}."
                yield f"{name}_{end.removesuffix('est')}", (list[float | None] | None, Field(None, description=text))


if TYPE_CHECKING:
    MonthlyReturnsSchema = ResponseSchema
    DrawdownSchema = ResponseSchema
    ReturnDistributionSchema = ResponseSchema
    CostBreakdownSchema = ResponseSchema
    SeriesColumnsSchema = BaseModel
else:
    MonthlyReturnsSchema = schema_for(MonthlyReturns)
    DrawdownSchema = schema_for(DrawdownPeriod)
    ReturnDistributionSchema = schema_for(ReturnDistribution)
    CostBreakdownSchema = schema_for(CostBreakdown)
    SeriesColumnsSchema = create_model(
        "SeriesColumnsSchema",
        __base__=BaseModel,
        __doc__="The columns that were asked for, oldest row first; null if one has no values.",
        **dict(_series_fields()),
    )


class SeriesSchema(BaseModel):
    """Rows of a result, column by column."""

    columns: SeriesColumnsSchema = Field(description="The columns that were asked for, all of one length.")
    total: int = Field(description="Bars of the range.")
    bars_per_point: int = Field(description="Bars of each row; the last row may have fewer.")
    warnings: list[str] = Field(description="Why columns are null although they should have values, in sentences.")


class DrawdownsSchema(BaseModel):
    """The deepest drawdowns of equity."""

    items: list[DrawdownSchema] = Field(description="The drawdowns, the deepest first.")


class FirstRows(BaseModel, Generic[Row]):
    """The first rows of a table."""

    model_config = ConfigDict(json_schema_extra={"description": "The first rows of a table."})

    items: list[Row] = Field(description="The rows.")
    total: int = Field(description="Number of rows of the table.")

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        return f"First{name_of_kind(params[0])}s"


class TearSheetSchema(BaseModel):
    """What the page of a result shows at first."""

    run: ResultSchema = Field(description="The result without its rows.")
    overview: SeriesSchema = Field(description="Rows of the whole run, reduced to points.")
    months: MonthlyReturnsSchema = Field(description="The returns by calendar month.")
    drawdowns: DrawdownsSchema = Field(description="The 10 deepest drawdowns.")
    distribution: ReturnDistributionSchema = Field(description="The returns per bar.")
    costs: CostBreakdownSchema = Field(description="The profit before and after costs.")
    trades: FirstRows[TradeRow] = Field(description="The 10 worst trades.")
    fills: FirstRows[FillRow] = Field(description="All fills, or none if there are more than 1,500.")
