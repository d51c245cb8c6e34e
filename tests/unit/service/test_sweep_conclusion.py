"""What a sweep concludes once its rows are computed: its tests, the verdicts of its best rows, and its warnings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from src.domain.bars import Bars
from src.domain.errors import UnreadableResult
from src.domain.judgement import SweepChoice
from src.domain.runs import BacktestResult
from src.domain.signals import OutputKind, Predictions
from src.domain.strategy import ModelParams
from src.domain.sweep_outcomes import SweepConclusion
from src.domain.sweep_rows import SweepInputs
from src.domain.sweeps import Comparison, Goal, MetricConstraint, Objective, SweepRequest
from src.domain.trading import FillTiming
from src.domain.verdict import ReasonCode
from src.service.backtests import BacktestService
from src.service.sweep_conclusion import choice_of, choose_tested, p_value_of, read_timing, warn_of_failed
from src.service.sweep_tables import build_table
from src.service.sweep_task import SweepTask
from src.service.sweep_threads import ThreadExecutor
from src.strategies.crossover import CrossoverParams
from src.sweeps.evaluation import Evaluator
from tests.exposures import at_random, market
from tests.factories import make_market, make_request
from tests.job_attempts import CountingStore, GrowingBars, StoredJob
from tests.ledgers import MemoryLedger
from tests.market import bars_of_closes, random_bars
from tests.unit.service.known_bars import make_service
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


class Concluded(NamedTuple):
    """A sweep of 40 moving averages: what it found, where its best rows are, and the parts of its job."""

    conclusion: SweepConclusion
    backtests: BacktestService
    parts: dict[str, bytes]

    async def results(self) -> list[BacktestResult]:
        return [await self.backtests.store.get(kept.result_id) for kept in self.conclusion.best]


async def run_sweep(bars: Bars | None = None, **others: Any) -> Concluded:
    bars = random_bars(600, seed=14) if bars is None else bars
    source = GrowingBars(bars, known=len(bars))
    ledger = MemoryLedger()
    backtests = replace(make_service(source), ledger=ledger, store=CountingStore())
    backtest = make_request(market=make_market(symbol="TESTUSDT", limit=480))
    fast, slow = swept("fast", start=3, end=10), swept("slow", 12, 20, 30, 40, 55)
    given: dict[str, Any] = {"parameters": (fast, slow), "backtest": backtest, "keep_best": 2} | others
    request = sweep(*given.pop("parameters"), **given)
    task = SweepTask(backtests=backtests, ledger=ledger, executor=ThreadExecutor(), max_combinations=100)
    stored = StoredJob.of(request)
    outcome = await task.run(stored.begin())
    assert isinstance(outcome.conclusion, SweepConclusion)
    return Concluded(outcome.conclusion, backtests, stored.parts)


async def conclude(**others: Any) -> SweepConclusion:
    return (await run_sweep(**others)).conclusion


async def test_verdict_of_best_rows_knows_their_sweep() -> None:
    found = await run_sweep()
    overfitting, superiority = found.conclusion.overfitting, found.conclusion.superiority
    assert overfitting is not None and superiority is not None
    # A random walk: the tests of the choice object, and so does the verdict.
    assert superiority.p_value > 0.05
    timed = read_timing(found.parts)
    assert timed is not None and timed.timing == found.conclusion.timing
    for kept, result in zip(found.conclusion.best, await found.results(), strict=True):
        assert result.judgement is not None
        assert result.judgement.choice == choice_of(overfitting, superiority, p_value_of(timed, kept.row))
        reasons = {reason.code: reason.value for reason in result.judgement.verdict.reasons}
        assert reasons[ReasonCode.NOT_SUPERIOR] == superiority.p_value
        assert (ReasonCode.LIKELY_OVERFIT in reasons) == (overfitting.pbo > 0.7)
        again = await found.backtests.rerun(result.id)
        assert again.differences == ()
        assert again.result.judgement == result.judgement


async def test_timing_of_the_best_row_is_among_all() -> None:
    found = await run_sweep(objective=Objective(min_trades=10))
    timing, timed = found.conclusion.timing, read_timing(found.parts)
    assert timing is not None and timed is not None
    assert timing.rows == len(timed.p_values) > 10
    assert timing.p_value == timed.p_values[timing.row] == min(timed.p_values.values())
    assert timing.p_value_of_best == timed.p_values[found.conclusion.best[0].row]
    for kept, result in zip(found.conclusion.best, await found.results(), strict=True):
        assert result.judgement is not None
        benchmarks, p_value = result.judgement.benchmarks, timed.p_values[kept.row]
        assert benchmarks.timing is not None and benchmarks.timing_deflated is not None
        assert p_value > benchmarks.timing.p_value
        reasons = {reason.code: reason.value for reason in result.judgement.verdict.reasons}
        assert reasons[ReasonCode.TIMING_NOT_FOUND] == max(benchmarks.timing_deflated, p_value)


@pytest.mark.parametrize("fill", FillTiming)
async def test_timing_of_single_row_is_its_run(fill: FillTiming) -> None:
    backtest = event_driven(fill=fill)
    backtest = replace(backtest, market=make_market(symbol="TESTUSDT", limit=480))
    found = await run_sweep(parameters=(swept("fast", 4), swept("slow", 12)), backtest=backtest, keep_best=1)
    [alone] = await found.results()
    timing = found.conclusion.timing
    assert timing is not None and alone.judgement is not None and alone.judgement.benchmarks.timing is not None
    own = alone.judgement.benchmarks.timing
    assert (timing.p_value, timing.p_value_of_best, timing.shifts) == (own.p_value, own.p_value, own.shifts)


async def test_planted_timing_of_rows_is_found() -> None:
    trends = 0.02 * (2 * at_random(600, 9, 9, 4) - 1)
    bars = bars_of_closes((100 * np.cumprod(1 + market(600) / 2 + trends)).tolist())
    found = await run_sweep(bars, objective=Objective(min_trades=10))
    assert found.conclusion.timing is not None
    assert found.conclusion.timing.p_value_of_best is not None
    assert found.conclusion.timing.p_value_of_best <= 0.01
    for result in await found.results():
        assert result.judgement is not None
        assert ReasonCode.TIMING_NOT_FOUND not in {reason.code for reason in result.judgement.verdict.reasons}


def test_timing_of_earlier_sweeps_is_none() -> None:
    assert read_timing({}) is read_timing({"timing": b"null"}) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'"x"', b"{}", b'{"timing": {}, "p_values": {}}', b"\xff"])
def test_unreadable_timing_is_an_error(content: bytes) -> None:
    with pytest.raises(UnreadableResult, match="A stored test of a sweep cannot be read"):
        read_timing({"timing": content})


@pytest.mark.parametrize(("pbo", "is_reason"), [(0.71, True), (0.7, False), (None, False)])
async def test_likely_overfit_choice_is_a_reason(pbo: float | None, is_reason: bool) -> None:
    choice = SweepChoice(overfitting_probability=pbo, superiority_p_value=None)
    backtests = make_service(GrowingBars(random_bars(600, seed=14), known=600))
    result = await backtests.run(make_request(market=make_market(symbol="TESTUSDT")), choice=choice)
    assert result.judgement is not None
    assert (ReasonCode.LIKELY_OVERFIT in {reason.code for reason in result.judgement.verdict.reasons}) == is_reason


def test_choice_without_tests_is_none() -> None:
    assert choice_of(None, None, None) is None
    timed = choice_of(None, None, 0.5)
    assert timed is not None and timed.timing_p_value == 0.5


async def test_tests_of_the_choice_follow_the_objective() -> None:
    found = {
        (metric, goal): await conclude(objective=Objective(metric=metric, goal=goal))
        for metric, goal in (
            ("sharpe_ratio", Goal.MAXIMIZE), ("sharpe_ratio", Goal.MINIMIZE), ("total_return", Goal.MAXIMIZE),
            ("max_drawdown", Goal.MINIMIZE),
        )
    }  # fmt: skip
    tests = {choice: one.overfitting for choice, one in found.items()}
    assert [None if one is None else (one.criterion, one.direction) for one in tests.values()] == [
        ("sharpe_ratio", Goal.MAXIMIZE), ("sharpe_ratio", Goal.MINIMIZE), ("total_return", Goal.MAXIMIZE),
        ("sharpe_ratio", Goal.MAXIMIZE),
    ]  # fmt: skip
    assert tests["sharpe_ratio", Goal.MAXIMIZE] != tests["sharpe_ratio", Goal.MINIMIZE]
    assert tests["sharpe_ratio", Goal.MAXIMIZE] == tests["max_drawdown", Goal.MINIMIZE]
    said = [[text for text in one.warnings if text.startswith("PBO")] for one in found.values()]
    assert said[:3] == [[], [], []]
    [substitute] = said[3]
    assert substitute.startswith("PBO is that of choosing by sharpe_ratio: max_drawdown does not follow from sums of ")


async def test_rows_that_cannot_be_best_are_not_tested() -> None:
    everything = await conclude()
    least = MetricConstraint(metric="total_trades", comparison=Comparison.AT_LEAST, value=10)
    constrained = await conclude(metric_constraints=(least,))
    asked = await conclude(objective=Objective(min_trades=10))
    assert everything.overfitting is not None and everything.superiority is not None
    assert constrained.overfitting is not None and constrained.superiority is not None
    assert 2 <= constrained.overfitting.rows < everything.overfitting.rows == 40
    assert constrained.superiority.rows == constrained.overfitting.rows
    assert constrained.timing is not None and constrained.timing.rows == constrained.overfitting.rows
    for name in ("overfitting", "superiority", "timing"):
        assert getattr(asked, name) == getattr(constrained, name)


async def test_no_best_row_has_no_tests() -> None:
    found = await conclude(objective=Objective(min_trades=1000))
    assert (found.best, found.overfitting, found.superiority, found.timing) == ((), None, None, None)


def test_tested_rows_are_the_best_and_a_sample() -> None:
    ranked = np.random.default_rng(1).permutation(np.arange(10, 2510))
    tested = choose_tested(ranked, seed=3)
    assert len(set(tested.tolist())) == 1000 and set(ranked[:500].tolist()) <= set(tested.tolist())
    assert set(tested.tolist()) <= set(ranked.tolist()) and tested.tolist() == sorted(tested.tolist())
    assert choose_tested(ranked, seed=3).tolist() == tested.tolist() != choose_tested(ranked, seed=4).tolist()
    assert choose_tested(np.array([7, 2, 5]), seed=3).tolist() == [2, 5, 7]
