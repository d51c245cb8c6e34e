"""What a sweep concludes once its rows are computed: its tests, the verdicts of its best rows, and its warnings."""

from __future__ import annotations

import numpy as np

from src.domain.bars import Bars
from src.domain.signals import OutputKind, Predictions
from src.domain.strategy import ModelParams
from src.domain.sweep_rows import SweepInputs
from src.domain.sweeps import SweepRequest
from src.domain.trading import FillTiming
from src.service.sweep_conclusion import warn_of_failed
from src.service.sweep_tables import build_table
from src.strategies.crossover import CrossoverParams
from src.sweeps.evaluation import Evaluator
from tests.factories import make_request
from tests.market import bars_of_closes, random_bars
from tests.unit.sweeps.requests import event_driven, sweep, swept


def failures_of(
    request: SweepRequest,
    values: list[list[float]],
    *,
    bars: Bars | None = None,
    predictions: Predictions | None = None,
) -> tuple[str, ...]:
    inputs = SweepInputs(request=request, bars=random_bars(200) if bars is None else bars, predictions=predictions)
    rows = Evaluator(inputs).evaluate(np.array(values), first=0, total=len(values)).rows
    return warn_of_failed(build_table([rows], len(request.parameters)), inputs)


def test_row_without_figures_says_its_own_reason() -> None:
    """Values that go not together can be in the rows of an older build: it is not equity that grew."""
    names = swept("leverage", 1, 50), swept("maintenance_margin", 0.05)
    [warning] = failures_of(sweep(*names, backtest=event_driven()), [[1, 0.05], [50, 0.05], [50, 0.05]])
    assert warning.startswith("2 of 3 rows have no figures. The first of them is row 1: maintenanceMargin is 0.05. ")
    model = make_request(strategy=ModelParams(reference="m.onnx"))
    known = Predictions(values=np.linspace(0, 1, 200), kind=OutputKind.PROBABILITY)
    [warning] = failures_of(sweep(swept("threshold", 0.5), backtest=model), [[0.5], [1.5]], predictions=known)
    assert warning.startswith("1 of 2 rows have no figures. The first of them is row 1: threshold is 1.5. ")
    bars = bars_of_closes([1e-7, 2e-7, 1e7, 5e6] * 20)
    fast = event_driven(CrossoverParams(fast=1, slow=2), fill=FillTiming.SAME_CLOSE)
    [warning] = failures_of(sweep(swept("slow", 2), backtest=fast), [[2], [200]], bars=bars)
    assert warning.startswith(
        "1 of 2 rows have no figures. The first of them is row 0: The equity grows beyond 1e+100."
    )


def test_rows_with_figures_are_not_warned_of() -> None:
    assert failures_of(sweep(swept("fast", 5), backtest=event_driven()), [[5.0]]) == ()
