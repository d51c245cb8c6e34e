"""Rows of a sweep as columns: numbers, words of closed lists, and names that a metric has too."""

from __future__ import annotations

import numpy as np
import pytest

from src.api.rows.sweeps import axis_column, metric_columns, sweep_columns
from src.domain.errors import InvalidInput
from src.domain.sweeps import ROW_METRICS
from src.service.sweep_tables import SweepTable, SweptColumn, find_name, sort_rows
from src.strategies.rules.strategy import RulesParams
from tests.factories import make_request
from tests.unit.sweeps.requests import sweep, swept

FAST = SweptColumn(name="fast", is_whole=True)
FILL = SweptColumn(name="fill", is_whole=False, words=("SAME_CLOSE", "NEXT_OPEN"))


def table_of(values: list[list[float]]) -> SweepTable:
    count = len(values)
    figures = np.arange(count * len(ROW_METRICS), dtype=np.float64).reshape(count, -1)
    return SweepTable(numbers=np.arange(3, 3 + count), values=np.array(values), figures=figures)


def test_columns_are_number_values_and_metrics() -> None:
    columns = sweep_columns((FAST, FILL), table_of([[5, 1], [7, 0]]))
    assert list(columns) == ["row", "fast", "fill", *ROW_METRICS]
    written = {name: column.write(column.array) for name, column in columns.items()}
    assert (written["row"], written["fast"], written["fill"]) == ([3, 4], [5, 7], ["NEXT_OPEN", "SAME_CLOSE"])
    assert written["total_trades"] == [10, 27]
    assert all(isinstance(count, int) for count in written["total_trades"])


def test_parameter_called_as_a_metric_keeps_its_column() -> None:
    columns = sweep_columns(
        (SweptColumn(name="cagr", is_whole=False), SweptColumn(name="row", is_whole=True)), table_of([[0.5, 2]])
    )
    assert list(columns)[:3] == ["row", "parameter_cagr", "parameter_row"]
    assert columns["parameter_cagr"].array.tolist() == [0.5]
    assert columns["cagr"].array.tolist() == [2.0]


def test_missing_count_is_null() -> None:
    table = table_of([[5, 1], [7, 0]])
    figures = table.figures.copy()
    figures[1] = np.nan
    columns = metric_columns(SweepTable(numbers=table.numbers, values=table.values, figures=figures))
    assert columns["total_trades"].write(columns["total_trades"].array) == [10.0, None]


@pytest.mark.parametrize(
    ("column", "values", "written"),
    [
        (FAST, [2.0, 3.0], [2, 3]),
        (FAST, [2.5, 3.5], [2.5, 3.5]),
        (FAST, [3e9], [3e9]),
        (FILL, [0.0, 1.0], list(FILL.words)),
    ],
)
def test_axis_is_written_as_clients_write_values(
    column: SweptColumn, values: list[float], written: list[object]
) -> None:
    shown = axis_column(column, np.array(values))
    assert shown.write(shown.array) == written


def test_names_are_found_in_either_spelling() -> None:
    names = ("stop_loss", "fastLen", "fast_len")
    assert [find_name(name, names, field="x") for name in ("stopLoss", "fastLen", "fast_len")] == [
        "stop_loss", "fastLen", "fast_len",
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="Allowed: stop_loss, fastLen, fast_len"):
        find_name("slow", names, field="x")


def test_rows_are_sorted_by_the_names_of_columns() -> None:
    strategy = RulesParams(buy="rsi(14) < {rank} + {row} + {cagr}", parameters={"rank": 1.0, "row": 1.0, "cagr": 1.0})
    request = sweep(
        *(swept(name, 1, 2, 3) for name in ("rank", "row", "cagr")), backtest=make_request(strategy=strategy)
    )
    table = table_of([[3, 1, 2], [1, 2, 3], [2, 3, 1]])
    names = [SweptColumn(name=name, is_whole=False) for name in ("rank", "row", "cagr")]
    columns = sweep_columns(names, table)
    assert {"row", "cagr", "parameter_rank", "parameter_row", "parameter_cagr"} <= columns.keys()
    assert "rank" not in columns
    for name, place in (("parameter_rank", 0), ("parameterRow", 1), ("parameter_cagr", 2)):
        places = sort_rows(table, request, by=name, descending=False)
        assert table.values[places, place].tolist() == [1, 2, 3]
    # The metric and the number of the row keep their own names.
    assert sort_rows(table, request, by="cagr", descending=True).tolist() == [2, 1, 0]
    assert sort_rows(table, request, by="row", descending=True).tolist() == [2, 1, 0]
