"""Compare rows of a sweep with runs of their own, through the service's pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.runs import BacktestRequest
from src.domain.signals import ParameterValue, Predictions
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.sweeps import ROW_METRICS, SweepRequest, SweptParameter
from src.domain.trading import FillTiming
from src.engines.registry import ENGINES
from src.judgement.jumps import find_jump_rows, join_closes
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.judgement.timing import hold_exposure
from src.judgement.trial_ledger import active_returns, build_trials
from src.metrics.returns import simple_returns
from src.service.pipeline import Outcome, compute_outcome
from src.sweeps.evaluation import Evaluator
from src.sweeps.parameters import apply_values, find_sweepable, sweepable

Floats = NDArray[np.float64]


def build_sweep(
    backtest: BacktestRequest, values: Mapping[str, Sequence[ParameterValue]], **others: Any
) -> tuple[SweepRequest, Floats]:
    """Return a sweep of these values side by side, and its table of values [k, p]."""
    known = sweepable(backtest)
    request = SweepRequest(
        backtest=backtest,
        parameters=tuple(SweptParameter(name=name, values=tuple(dict.fromkeys(some))) for name, some in values.items()),
        **others,
    )
    columns = [
        [find_sweepable(known, name, field="name").number(value, field=name) for value in some]
        for name, some in values.items()
    ]
    return request, np.array(columns, np.float64).T


def run_alone(
    request: SweepRequest, row: Floats, bars: Bars, history: Bars | None, predictions: Predictions | None
) -> tuple[BacktestRequest, Outcome]:
    """Run one row as a backtest of its own."""
    known = sweepable(request.backtest)
    items = [find_sweepable(known, swept.name, field="name") for swept in request.parameters]
    single = apply_values(
        request.backtest, {item.name: item.plain(float(value)) for item, value in zip(items, row, strict=True)}
    )
    asked = single.warm_up_bars
    own = None if history is None or not asked else history.slice(max(0, len(history) - asked), len(history))
    return single, compute_outcome(single, bars, predictions, ENGINES, history=own)


def assert_rows_agree(
    request: SweepRequest,
    values: Floats,
    bars: Bars,
    *,
    history: Bars | None = None,
    predictions: Predictions | None = None,
) -> EvaluatedRows:
    """Check figures, trials, blocks, returns, exposure and description of each row against a run of its own."""
    evaluator = Evaluator(SweepInputs(request=request, bars=bars, history=history, predictions=predictions))
    found, returns = evaluator.evaluate(values, first=0, total=len(values)), evaluator.returns(values)
    exposures = evaluator.exposures(values)
    assert not found.failures
    for row, given in enumerate(values):
        single, outcome = run_alone(request, given, bars, history, predictions)
        _assert_row_agrees(found, row, single, outcome, bars, returns[:, row])
        np.testing.assert_array_equal(exposures[row], exposure_of(single, outcome, bars))
    return found


def _assert_row_agrees(
    found: EvaluatedRows, row: int, single: BacktestRequest, outcome: Outcome, bars: Bars, returns: Floats
) -> None:
    simulation, cash = outcome.simulation, single.rules.initial_cash
    equity = simulation.equity
    assert_figures_agree(found.rows.figures[row], outcome)
    own = simple_returns(equity, cash)
    np.testing.assert_array_equal(returns, own)
    closes = join_closes(bars, find_jump_rows(bars))
    market_returns = simple_returns(closes, float(closes[0]))
    active = active_returns(own, market_returns, exposure_of(single, outcome, bars))
    for table, trial in zip((found.total, found.active), build_trials(bars.open_time_ms, own, active), strict=True):
        assert bool(table.moves[row]) == (trial is not None)
        if trial is not None:
            np.testing.assert_array_equal(found.slots, trial.slots)
            np.testing.assert_array_equal(table.directions[row], trial.directions)
            assert table.t[row] == trial.t
    assert found.lowest_growth[row] == float(np.min(equity, where=equity > 0, initial=cash)) / cash
    assert found.descriptions[row] == outcome.signals.strategy
    length = len(bars) // DEFAULT_BLOCKS
    cut = own[: length * DEFAULT_BLOCKS].reshape(DEFAULT_BLOCKS, length)
    np.testing.assert_allclose(found.rows.block_sums[row], cut.sum(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.rows.block_squares[row], (cut * cut).sum(axis=1), rtol=1e-9, atol=1e-15)


def exposure_of(single: BacktestRequest, outcome: Outcome, bars: Bars) -> Floats:
    """Return the exposure [n] of a run of its own, as its judgement reads it."""
    simulation = outcome.simulation
    return hold_exposure(
        simulation.position, bars.close, simulation.equity,
        is_filled_at_close=single.rules.fill is FillTiming.SAME_CLOSE,
    )  # fmt: skip


def assert_figures_agree(figures: Floats, outcome: Outcome) -> None:
    """Check that final equity is equal to the bit, the others to 1e-9, and missing where they are missing."""
    assert figures[ROW_METRICS.index("final_equity")] == outcome.simulation.equity[-1]
    for name, figure in zip(ROW_METRICS, figures, strict=True):
        expected = getattr(outcome.metrics, name)
        if expected is None:
            assert np.isnan(figure), name
        else:
            np.testing.assert_allclose(figure, expected, rtol=1e-9, atol=1e-9, err_msg=name)
