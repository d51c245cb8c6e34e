"""Nearby parameters by hand, and of the strategies that exist."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from src.domain.errors import InvalidInput
from src.domain.later_checks import NeighborRow
from src.domain.parameters import Bounds, check_parameters, parameter
from src.domain.strategy import ModelParams, StrategyInputs, StrategyParams
from src.domain.trading import FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.judgement.neighbors import RunFigures, measure_neighbors
from src.strategies.crossover import Crossover, CrossoverParams
from src.strategies.rules.strategy import RulesParams
from tests.market import random_bars


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    width: float = parameter(name="band_width", meaning="Width", default=0.5, bounds=Bounds(minimum=0, maximum=0.55))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneNumber(StrategyParams):
    length: int = parameter(name="length", meaning="Length", default=10)
    label: str = parameter(name="label", meaning="Label", default="a")
    is_quick: bool = parameter(name="is_quick", meaning="Quick", default=True)
    limit: float | None = parameter(name="limit", meaning="Limit", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeNumbers(StrategyParams):
    length: int = parameter(name="length", meaning="Length", default=10)
    slope: float = parameter(name="slope", meaning="Slope", default=2.0)
    band: Band = field(default_factory=Band)

    def __post_init__(self) -> None:
        check_parameters(self.band)


def values_of(row: NeighborRow) -> tuple[float, ...]:
    return tuple(item.value for item in row.values)


def by_length(params: StrategyParams) -> RunFigures:
    """Gain over length 10; the Sharpe ratio is the length, and missing at 12."""
    assert isinstance(params, OneNumber)
    return RunFigures(params.length - 10.0, None if params.length == 12 else float(params.length))


def test_one_number_by_hand() -> None:
    found = measure_neighbors(OneNumber(length=10), by_length)
    assert found is not None
    assert [values_of(row) for row in found.rows] == [(8,), (9,), (10,), (11,), (12,)]
    assert [row.is_chosen for row in found.rows] == [False, False, True, False, False]
    assert [row.total_return for row in found.rows] == [-2, -1, 0, 1, 2]
    assert [row.sharpe_ratio for row in found.rows] == [8, 9, 10, 11, None]
    assert found.rows[0].values[0].name == "length"
    assert found.median_sharpe == 9.5
    assert found.share_positive == 0.4
    assert found.rank == 2


def test_chosen_without_ratio_is_behind_those_with_one() -> None:
    found = measure_neighbors(OneNumber(length=12), by_length)
    assert found is not None
    assert [values_of(row)[0] for row in found.rows] == [10, 11, 12, 13, 14]
    assert found.rank == 5
    flat = measure_neighbors(OneNumber(), lambda _: RunFigures(0.0, None))
    assert flat is not None
    assert (flat.median_sharpe, flat.share_positive, flat.rank) == (None, 0.0, 1)


def test_equal_ratios_share_a_place() -> None:
    found = measure_neighbors(OneNumber(), lambda _: RunFigures(1.0, 1.5))
    assert found is not None
    assert (found.rank, found.median_sharpe, found.share_positive) == (1, 1.5, 1.0)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, [1]), (2, [2]), (3, [2, 3, 4]), (5, [4, 5, 6]), (15, [12, 14, 15, 17, 18]), (45, [36, 41, 45, 50, 54])],
)
def test_whole_numbers_are_rounded_half_up_without_repeats(length: int, expected: list[int]) -> None:
    found = measure_neighbors(OneNumber(length=length), by_length)
    assert found is not None
    assert [values_of(row)[0] for row in found.rows] == expected


def test_whole_numbers_stay_whole() -> None:
    seen: list[object] = []

    def keep(params: StrategyParams) -> RunFigures:
        assert isinstance(params, OneNumber)
        seen.append(params.length)
        return RunFigures(0.0, None)

    measure_neighbors(OneNumber(length=20), keep)
    assert seen == [16, 18, 20, 22, 24]
    assert all(type(value) is int for value in seen)


def test_three_numbers_change_one_at_a_time() -> None:
    found = measure_neighbors(ThreeNumbers(), lambda _: RunFigures(0.0, None))
    assert found is not None
    assert [item.name for item in found.rows[0].values] == ["length", "slope", "bandWidth"]
    chosen = (10.0, 2.0, 0.5)
    changed = {values_of(row) for row in found.rows}
    assert all(sum(a != b for a, b in zip(values, chosen, strict=True)) <= 1 for values in changed)
    assert {values[0] for values in changed} == {8, 9, 10, 11, 12}
    assert {values[1] for values in changed} == {1.6, 1.8, 2.0, 2.2, 2.4}
    # 0.6 is not allowed.
    assert {values[2] for values in changed} == {0.4, 0.45, 0.5, 0.55}
    assert len(found.rows) == 4 + 4 + 3 + 1


def test_crossover_has_a_grid_of_allowed_pairs() -> None:
    found = measure_neighbors(CrossoverParams(fast=20, slow=50), lambda _: RunFigures(0.0, None))
    assert found is not None
    assert {values_of(row) for row in found.rows} == {
        (fast, slow) for fast in (16, 18, 20, 22, 24) for slow in (40, 45, 50, 55, 60)
    }
    near = measure_neighbors(CrossoverParams(fast=45, slow=50), lambda _: RunFigures(0.0, None))
    assert near is not None
    pairs = {values_of(row) for row in near.rows}
    allowed = {(fast, slow) for fast in (36, 41, 45, 50, 54) for slow in (40, 45, 50, 55, 60) if fast < slow}
    assert pairs == allowed
    assert len(pairs) < 25


def test_rows_equal_runs_of_their_own() -> None:
    bars = random_bars(400, seed=5)
    rules = TradingRules(fill=FillTiming.NEXT_OPEN)

    def evaluate(params: StrategyParams) -> RunFigures:
        assert isinstance(params, CrossoverParams)
        signals = Crossover(params).signals(StrategyInputs(bars=bars))
        equity = EventDrivenEngine().run(bars, signals, rules).equity
        return RunFigures((equity[-1] / rules.initial_cash - 1) * 100, None)

    found = measure_neighbors(CrossoverParams(fast=5, slow=20), evaluate)
    assert found is not None
    for row in found.rows:
        fast, slow = (int(value) for value in values_of(row))
        assert row.total_return == evaluate(CrossoverParams(fast=fast, slow=slow)).total_return
        assert row.is_chosen == ((fast, slow) == (5, 20))


def test_models_and_strategies_without_numbers_have_no_neighbors() -> None:
    def fail(_: StrategyParams) -> RunFigures:
        raise AssertionError("nothing to run")

    assert measure_neighbors(ModelParams(), fail) is None
    assert measure_neighbors(StrategyParams(), fail) is None


def test_errors_of_a_run_are_not_hidden() -> None:
    def grow(_: StrategyParams) -> RunFigures:
        raise InvalidInput("too much", field="fixedSize")

    with pytest.raises(InvalidInput, match="too much"):
        measure_neighbors(OneNumber(), grow)


def test_named_numbers_of_rules_are_varied() -> None:
    rules = RulesParams(buy="rsi({n}) < {low}", sell="rsi({n}) > 70", parameters={"n": 10, "low": 30.5})
    asked: list[dict[str, float]] = []

    def evaluate(params: StrategyParams) -> RunFigures:
        assert isinstance(params, RulesParams)
        asked.append(dict(params.parameters))
        return RunFigures(1.0, params.parameters["n"])

    found = measure_neighbors(rules, evaluate)
    assert found is not None
    assert len(found.rows) == len(asked) == 25
    assert {item.name for row in found.rows for item in row.values} == {"n", "low"}
    assert {numbers["n"] for numbers in asked} == {8, 9, 10, 11, 12}
    assert sorted({numbers["low"] for numbers in asked}) == pytest.approx([24.4, 27.45, 30.5, 33.55, 36.6])
    [chosen] = [row for row in found.rows if row.is_chosen]
    assert values_of(chosen) == (10, 30.5)


def test_neighbors_that_a_rule_refuses_are_left_out() -> None:
    rules = RulesParams(buy="close > sma({n})", parameters={"n": 5000})
    found = measure_neighbors(rules, lambda _: RunFigures(1.0, 1.0))
    assert found is not None
    assert [values_of(row)[0] for row in found.rows] == [4000, 4500, 5000]
