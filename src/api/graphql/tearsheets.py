"""Define what a tear sheet shows of a result: rows as columns, months, drawdowns, returns, costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import strawberry
from strawberry.types.nodes import SelectedField, Selection

from src.api.graphql.columns import ListedColumn, RowColumns
from src.api.graphql.context import Info
from src.api.graphql.enums import Signal
from src.api.graphql.reports import report_type
from src.api.graphql.types import described
from src.api.requests.series import build_series_request
from src.api.rows.columns import null_column
from src.api.rows.tables import series_columns
from src.api.spelling import snake_case
from src.domain import tearsheet
from src.domain.runs import BacktestResult
from src.domain.tearsheet import RANGED_COLUMNS, SERIES_COLUMNS, ResultSeries, SeriesRequest

BAR_COLUMNS: Final = ("open", "high", "low", "volume", "drawdown", "buy_and_hold")
"""Columns of `data` that are computed only if they are selected."""

_LISTS: Final[dict[str, Any]] = {"date": list[str], "signal": list[Signal]}
_RANGED: Final = {f"{name}_{end}": name for name in RANGED_COLUMNS for end in ("low", "high")}


def _series_type() -> Any:
    """Make the type whose fields are the columns that the domain declares."""
    namespace: dict[str, Any] = {"__module__": __name__, "__annotations__": {}}
    for name, column in SERIES_COLUMNS.items():
        namespace["__annotations__"][name] = _LISTS.get(name, list[float | None]) | None
        namespace[name] = described(f"{column.meaning} Unit: {column.unit}.")
    for name, base in _RANGED.items():
        end = "lowest" if name.endswith("_low") else "highest"
        namespace["__annotations__"][name] = list[float | None] | None
        text = f"The {end} {base} in each point; null without points. Unit: {SERIES_COLUMNS[base].unit}."
        namespace[name] = described(text)
    namespace["__annotations__"] |= {"total": int, "bars_per_point": int, "warnings": list[str]}
    namespace["total"] = described("Bars of the range, a count.")
    namespace["bars_per_point"] = described("Bars of each row, a count; the last row may have fewer.")
    namespace["warnings"] = described("Why columns are null although they should have values, in sentences.")
    return strawberry.type(
        type("ResultSeries", (), namespace),
        description="Rows of a result, column by column, oldest first; null if a column has no values.",
    )


if TYPE_CHECKING:
    MonthlyReturnsType = tearsheet.MonthlyReturns
    DrawdownType = tearsheet.DrawdownPeriod
    ReturnDistributionType = tearsheet.ReturnDistribution
    CostBreakdownType = tearsheet.CostBreakdown
    ResultSeriesType = Any
else:
    MonthlyReturnsType = report_type(tearsheet.MonthlyReturns)
    DrawdownType = report_type(tearsheet.DrawdownPeriod)
    ReturnDistributionType = report_type(tearsheet.ReturnDistribution)
    CostBreakdownType = report_type(tearsheet.CostBreakdown)
    ResultSeriesType = _series_type()


async def read_series(
    info: Info, result: BacktestResult, *, points: int | None, start: str | None, end: str | None
) -> SimpleNamespace:
    """Read the columns that the document selects."""
    selected = dict.fromkeys(_RANGED.get(name, name) for name in selected_names(info))
    columns = [name for name in SERIES_COLUMNS if name in selected]
    request = build_series_request(
        columns=",".join(columns or ["date"]), points=points, start=start, end=end, max_rows=info.context.max_rows
    )
    series = await info.context.tearsheets.series(result, request)
    found = {name: None if column is None else ListedColumn(column) for name, column in series_columns(series).items()}
    fields = {**dict.fromkeys((*SERIES_COLUMNS, *_RANGED)), **found}
    return SimpleNamespace(
        **fields, total=series.total, bars_per_point=series.bars_per_point, warnings=list(series.warnings)
    )


async def with_bar_columns(info: Info, result: BacktestResult, rows: RowColumns, offset: int) -> RowColumns:
    """Return a page of the rows of a result with the columns that need its bars; those not selected are null.

    If the bars cannot be read again, the columns are null and `extensions.warnings` says why.
    """
    length = len(rows)
    names = tuple(name for name in BAR_COLUMNS if name in set(selected_names(info)))
    added = dict.fromkeys(BAR_COLUMNS, null_column(length))
    if names and length:
        times = result.time_ms[offset : offset + length]
        # `equity` is requested too, so that missing bars cause a warning instead of an error.
        request = SeriesRequest(
            columns=("equity", *names), start_ms=int(times[0]), end_ms=int(times[-1]), max_rows=length
        )
        series = await info.context.tearsheets.series(result, request)
        info.context.warn(series.warnings, info.path)
        added |= {name: column for name, column in _known(series) if name in names}
    return RowColumns({**rows.columns, **added})


def _known(series: ResultSeries) -> Iterator[tuple[str, Any]]:
    return ((name, column) for name, column in series_columns(series).items() if column is not None)


def selected_names(info: Info) -> Iterator[str]:
    """Yield the Python names of the fields that a document selects in this one, those in fragments too."""
    for field in info.selected_fields:
        yield from _names_in(field.selections)


def _names_in(selections: Iterable[Selection]) -> Iterator[str]:
    for selection in selections:
        if isinstance(selection, SelectedField):
            yield snake_case(selection.name)
        else:
            yield from _names_in(selection.selections)
