"""The notebook in examples/ runs as written, and takes a data scientist from features to a verdict in 8 lines."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

from backtesting_client import Run
from backtesting_client.client import URL_VARIABLE
from backtesting_client.html import tear_sheet

pytestmark = pytest.mark.filterwarnings("ignore:The bars are simulated:backtesting_client.BacktestingWarning")

NOTEBOOK = Path(__file__).parents[2] / "examples" / "model_to_verdict.ipynb"
MAX_LINES = 8


def code_cells() -> list[str]:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def execute(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell as a notebook does, and return the value of its last line if that is an expression."""
    *statements, last = ast.parse(cell).body
    is_shown = isinstance(last, ast.Expr)
    exec(compile(ast.Module(statements if is_shown else [*statements, last], []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def test_path_from_features_to_verdict_takes_few_lines() -> None:
    lines = [line for line in code_cells()[0].splitlines() if line.strip()]
    assert len(lines) <= MAX_LINES


def test_notebook_runs_as_written(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URL_VARIABLE, service)
    names: dict[str, Any] = {}
    run, _, trades, curves = [execute(cell, names) for cell in code_cells()]
    assert isinstance(run, Run)
    assert run.out_of_sample is not None
    assert run.in_sample is not None
    assert run.in_sample.metrics["bars"] + run.out_of_sample.metrics["bars"] == pytest.approx(3000, abs=5)
    assert capsys.readouterr().out.startswith(run.out_of_sample.verdict.level)
    assert run.verdict.words in tear_sheet(run)
    assert isinstance(trades, pd.DataFrame)
    assert len(trades) > 0
    assert list(curves.columns) == ["equity", "buy_and_hold"]
    assert curves.notna().all().all()
