"""Rankings, heat maps and neighbors of the rows of a sweep, beside plain loops."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.errors import InvalidInput
from src.domain.sweep_outcomes import ParameterStability
from src.domain.sweeps import (
    ROW_METRICS,
    Comparison,
    Goal,
    MetricConstraint,
    Objective,
    Reduce,
    SearchKind,
    SweepRequest,
)
from src.sweeps.combinations import build_combinations
from src.sweeps.heat_map import MAX_BINS, heat_map
from src.sweeps.ranking import Standing, find_standing, rank_rows
from src.sweeps.stability import parameter_stability
from tests.unit.sweeps.requests import preset, sweep, swept

Floats = NDArray[np.float64]
NAN = float("nan")


def figures(**columns: Any) -> Floats:
    """Figures of rows: those that are not given are 0."""
    count = len(next(iter(columns.values())))
    table = np.zeros((count, len(ROW_METRICS)))
    for name, values in columns.items():
        table[:, ROW_METRICS.index(name)] = values
    return table


def ranked(table: Floats, **others: Any) -> list[int]:
    return rank_rows(table, sweep(swept("fast", 5), **others)).tolist()


def test_best_rows_come_first_and_ties_by_number() -> None:
    table = figures(sharpe_ratio=[1.0, 2.0, NAN, 2.0, -1.0], total_trades=[5] * 5)
    assert ranked(table) == [1, 3, 0, 4]
    assert ranked(table, objective=Objective(goal=Goal.MINIMIZE)) == [4, 0, 1, 3]


def test_rows_that_do_not_qualify_are_left_out() -> None:
    table = figures(sharpe_ratio=[1, 2, 3, 4, 5], total_trades=[10, 9, 10, 11, 12], max_drawdown=[20, 5, 20.5, NAN, 1])
    assert ranked(table, objective=Objective(min_trades=10)) == [4, 3, 2, 0]
    assert ranked(figures(sharpe_ratio=[1, 2], total_trades=[0, 1])) == [1]
    most = MetricConstraint(metric="max_drawdown", comparison=Comparison.AT_MOST, value=20)
    least = MetricConstraint(metric="total_trades", comparison=Comparison.NOT_EQUAL, value=9)
    assert ranked(table, metric_constraints=(most, least)) == [4, 0]


def test_nothing_is_ranked_if_no_row_qualifies() -> None:
    assert ranked(figures(sharpe_ratio=[NAN, 1.0])) == []


def grid() -> tuple[SweepRequest, Floats, Floats]:
    request = sweep(
        swept("fast", 9, 5, 7), swept("slow", 6, 8, 20), swept("fees", 0, 0.001, 0.002, 0.003),
    )  # fmt: skip
    values = build_combinations(request, max_combinations=99).values
    sharpe = np.random.default_rng(3).normal(size=len(values)).round(1)
    sharpe[::5] = NAN
    return request, values, figures(sharpe_ratio=sharpe, total_trades=[1] * len(values))


def standing(table: Floats, **others: Any) -> Standing:
    return find_standing(table, sweep(swept("fast", 5), **others))


@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize("reduce", Reduce)
def test_cells_equal_those_of_a_loop(reduce: Reduce, goal: Goal) -> None:
    _, values, table = grid()
    names, known = ("fast", "slow", "fees"), standing(table, objective=Objective(goal=goal))
    found = heat_map(values, table, "slow", "fast", "sharpe_ratio", reduce, names, standing=known)
    assert (found.x.tolist(), found.y.tolist()) == ([6, 8, 20], [5, 7, 9])
    better = max if goal is Goal.MAXIMIZE else min
    sharpe = table[:, ROW_METRICS.index("sharpe_ratio")].tolist()
    for j, fast in enumerate(found.y):
        for i, slow in enumerate(found.x):
            rows = [
                row
                for row, value in enumerate(values)
                if value[0] == fast and value[1] == slow and not np.isnan(sharpe[row])
            ]
            own = [sharpe[row] for row in rows]
            assert found.counts[j, i] == len(rows)
            if not rows:
                assert np.isnan(found.cells[j, i])
                assert found.best_rows[j, i] == -1
                continue
            expected = {Reduce.BEST: better, Reduce.MEAN: statistics.fmean, Reduce.MEDIAN: statistics.median}[reduce]
            assert found.cells[j, i] == pytest.approx(expected(own), abs=1e-15)
            assert found.best_rows[j, i] == rows[own.index(better(own))]
    assert np.isnan(found.cells).any()
    assert found.can_be_best.tolist() == (found.counts > 0).tolist()


@pytest.mark.parametrize("metric", ["max_drawdown", "sharpe_ratio"])
@pytest.mark.parametrize("reduce", Reduce)
@pytest.mark.parametrize("objective", [Objective(), Objective(metric="max_drawdown", goal=Goal.MINIMIZE)])
def test_best_of_a_cell_is_by_the_objective(metric: str, reduce: Reduce, objective: Objective) -> None:
    values = np.array([[1, 1], [1, 1], [1, 1], [2, 1], [2, 1], [1, 2], [1, 2]], np.float64)
    # In the first cell one row is best by both; in the second a row has too few trades; in the third all have.
    table = figures(
        sharpe_ratio=[1, 3, 2, 9, 1, 1, 2], max_drawdown=[20, 10, 30, 5, 40, 8, 7], total_trades=[5, 5, 5, 4, 5, 1, 1]
    )
    known = standing(table, objective=replace(objective, min_trades=5))
    found = heat_map(values, table, "a", "b", metric, reduce, ("a", "b"), standing=known)
    assert found.best_rows.tolist() == [[1, 4], [6, -1]]
    assert found.can_be_best.tolist() == [[True, True], [False, False]]
    assert found.counts.tolist() == [[3, 2], [2, 0]]
    if reduce is Reduce.BEST:
        own = table[:, ROW_METRICS.index(metric)]
        assert found.cells[0].tolist() == own[[1, 4]].tolist()
        assert found.cells[1, 0] == own[6]


def test_rows_without_the_metric_are_not_shown() -> None:
    values = np.ones((2, 2))
    table = figures(sharpe_ratio=[2, 1], profit_factor=[NAN, 1.5], total_trades=[1, 1])
    found = heat_map(values, table, "a", "b", "profit_factor", Reduce.BEST, ("a", "b"), standing=standing(table))
    assert (found.cells.tolist(), found.best_rows.tolist(), found.counts.tolist()) == ([[1.5]], [[1]], [[1]])


def test_rows_that_cannot_be_best_stand_last() -> None:
    table = figures(sharpe_ratio=[NAN, 3, 1, 2, NAN, 4], total_trades=[9, 0, 9, 9, 0, 0])
    found = standing(table)
    assert np.argsort(found.places).tolist() == [3, 2, 5, 1, 0, 4]
    assert found.can_be_best.tolist() == [False, False, True, True, False, False]
    least = standing(table, objective=Objective(goal=Goal.MINIMIZE))
    assert np.argsort(least.places).tolist() == [2, 3, 1, 5, 0, 4]


def test_drawn_axes_are_cut_into_equal_bins() -> None:
    values = np.random.default_rng(1).uniform(0, 1, (5_000, 2))
    values[:2, 0] = 0, 1
    table = figures(sharpe_ratio=np.arange(5_000.0))
    known = standing(table)
    drawn = heat_map(
        values, table, "a", "b", "sharpe_ratio", Reduce.BEST, ("a", "b"), standing=known, search=SearchKind.RANDOM
    )
    assert drawn.cells.shape == (MAX_BINS, MAX_BINS)
    np.testing.assert_allclose(drawn.x, (np.arange(MAX_BINS) + 0.5) / MAX_BINS)
    counts, _ = np.histogram(values[:, 0], MAX_BINS, (0, 1))
    assert drawn.counts.sum(axis=0).tolist() == counts.tolist()
    with pytest.raises(InvalidInput, match="25,000,000 cells"):
        heat_map(values, table, "a", "b", "sharpe_ratio", Reduce.BEST, ("a", "b"), standing=known)
    exact = heat_map(
        values[:500], table[:500], "a", "b", "sharpe_ratio", Reduce.BEST, ("a", "b"), standing=standing(table[:500])
    )
    assert exact.cells.shape == (500, 500)


@pytest.mark.parametrize(
    ("x", "y", "metric", "message"),
    [
        ("z", "b", "cagr", "x is 'z'. Allowed: a, b."),
        ("a", "a", "cagr", "y is 'a'. Allowed: b."),
        ("a", "b", "alpha", "metric is 'alpha'. Allowed: final_equity, "),
    ],
)
def test_unknown_axis_or_metric_is_refused(x: str, y: str, metric: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        table = figures(cagr=[1])
        heat_map(np.zeros((1, 2)), table, x, y, metric, Reduce.BEST, ("a", "b"), standing=standing(table))
    assert caught.value.message.startswith(message)


def test_neighbors_are_one_step_away_in_any_direction() -> None:
    request, values, table = grid()
    sharpe = table[:, ROW_METRICS.index("sharpe_ratio")]
    order = [5, 7, 9], [6, 8, 20], [0, 0.001, 0.002, 0.003]
    for best in np.flatnonzero(~np.isnan(sharpe)).tolist():
        near = []
        for row in range(len(values)):
            steps = [abs(axis.index(values[row][c]) - axis.index(values[best][c])) for c, axis in enumerate(order)]
            if row != best and max(steps) == 1 and not np.isnan(sharpe[row]):
                near.append(float(sharpe[row]))
        found = parameter_stability(values, table, best, request)
        assert found == ParameterStability(
            neighbors=len(near), best=sharpe[best], neighbors_mean=pytest.approx(statistics.fmean(near)),
            neighbors_worst=min(near),
        )  # fmt: skip


def test_members_of_closed_lists_are_no_neighbors() -> None:
    request = sweep(
        swept("mode", "REVERSION", "BREAKOUT"), swept("length", 5, 6), backtest=preset("bollinger"),
        objective=Objective(goal=Goal.MINIMIZE),
    )  # fmt: skip
    values = build_combinations(request, max_combinations=9).values
    found = parameter_stability(values, figures(sharpe_ratio=[1, 2, 3, 4]), 0, request)
    assert found == ParameterStability(neighbors=1, best=1, neighbors_mean=2, neighbors_worst=2)


def test_single_row_has_no_neighbors() -> None:
    request = sweep(swept("fast", 5))
    found = parameter_stability(np.array([[5.0]]), figures(sharpe_ratio=[1]), 0, request)
    assert found == ParameterStability(neighbors=0, best=1, neighbors_mean=None, neighbors_worst=None)


def test_stability_needs_a_grid_and_a_best_row() -> None:
    drawn = sweep(swept("fast", 5, 6), kind=SearchKind.RANDOM)
    table, values = figures(sharpe_ratio=[1, NAN]), np.array([[5.0], [6.0]])
    assert parameter_stability(values, table, 0, drawn) is None
    assert parameter_stability(values, table, None, sweep(swept("fast", 5, 6))) is None
    assert parameter_stability(values, table, 1, sweep(swept("fast", 5, 6))) is None
