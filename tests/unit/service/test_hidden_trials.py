"""A declared training window hides no trial: every run of a search raises the hurdle of those after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.confidence import Deflation
from src.domain.runs import BacktestResult
from src.domain.strategy import ModelParams
from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow
from src.service.backtests import BacktestService
from src.service.judging import MIN_COUNTED_BARS
from tests.factories import make_request
from tests.ledgers import MemoryLedger
from tests.market import random_bars
from tests.unit.service.known_bars import KnownBars, make_service, sent_model
from tests.unit.service.test_leak_audit import AskedModel

BARS = random_bars(600, seed=4)
LAST = len(BARS) - 1
THRESHOLDS = (-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03)


@pytest.fixture
def service() -> BacktestService:
    model = AskedModel(lambda returns: returns * 2)
    return replace(make_service(KnownBars(BARS), timeout_s=300.0), runner=model)  # type: ignore[arg-type]


def until(bar: int, *, since: int = 0, horizon: int | None = None) -> TrainingWindow:
    times = BARS.open_time_ms
    return TrainingWindow(
        trained_from_ms=int(times[since]) if since else None, trained_to_ms=int(times[bar]), label_horizon=horizon
    )


async def run(service: BacktestService, window: TrainingWindow, threshold: float = 0.0) -> BacktestResult:
    strategy = ModelParams(threshold=threshold, training=window)
    return await service.run(make_request(strategy=strategy), sent_model("m.pkl"))


def deflation_of(result: BacktestResult) -> Deflation:
    assert result.judgement is not None
    return result.judgement.deflation


def ledger_of(service: BacktestService) -> MemoryLedger:
    assert isinstance(service.ledger, MemoryLedger)
    return service.ledger


@pytest.mark.parametrize(
    "window", [until(LAST), until(LAST - 2), until(LAST, since=300)], ids=["all", "all but 2", "end"]
)
async def test_search_on_known_bars_counts_for_later_runs(service: BacktestService, window: TrainingWindow) -> None:
    hidden = [deflation_of(await run(service, window, threshold)) for threshold in THRESHOLDS]
    assert [found.trials for found in hidden] == [1, 2, 3, 4, 5, 6, 7]
    assert hidden[-1].trials_effective > 1.5
    [state] = ledger_of(service).states.values()
    assert (state.total.sum_t, state.total.sum_t_squared) == (0, 0)
    shown = [deflation_of(await run(service, NO_TRAINING_WINDOW, threshold)) for threshold in THRESHOLDS]
    assert [found.trials for found in shown] == [8, 9, 10, 11, 12, 13, 14]
    assert all(found.sharpe_hurdle > 0 for found in shown)


@pytest.mark.parametrize(("bars_after", "is_counted_alone"), [(MIN_COUNTED_BARS - 1, False), (MIN_COUNTED_BARS, True)])
async def test_part_of_30_bars_is_the_trial(service: BacktestService, bars_after: int, is_counted_alone: bool) -> None:
    assert MIN_COUNTED_BARS == 30
    result = await run(service, until(LAST - 1 - bars_after))
    assert result.out_of_sample is not None
    assert result.out_of_sample.metrics.bars == bars_after
    [state] = ledger_of(service).states.values()
    first = LAST + 1 - bars_after if is_counted_alone else 0
    assert state.total.slots[0] == 4 * BARS.open_time_ms[first]
    assert state.total.slots.size == len(BARS) - first
    assert bool(state.total.sum_t) == is_counted_alone


async def test_part_without_moves_is_counted_by_whole_run(service: BacktestService) -> None:
    """Else a search is hidden by a window after which the chosen thresholds do not trade."""
    returns = abs(BARS.close[1:] / BARS.close[:-1] - 1)
    flat = float(returns[-101:].max()) * 2 + 1e-6
    result = await run(service, until(LAST - 101), flat)
    assert result.out_of_sample is not None
    assert result.out_of_sample.metrics.total_trades == 0 < result.metrics.total_trades
    [state] = ledger_of(service).states.values()
    assert (state.total.trials, state.total.slots.size, state.total.sum_t) == (1, len(BARS), 0)


async def test_each_declaration_is_a_trial_and_each_equal_one_none(service: BacktestService) -> None:
    windows = [
        until(399),
        until(398),
        until(399, since=100),
        until(399, horizon=5),
        until(LAST),
        until(LAST - 1),
        NO_TRAINING_WINDOW,
    ]
    for _ in range(2):
        trials = [deflation_of(await run(service, window)).trials for window in windows]
    assert trials == [7] * 7
    assert len(ledger_of(service).keys) == 7


async def test_declaration_without_bars_is_no_other_trial(service: BacktestService) -> None:
    """The returns and what is counted of them are those of the run that declares nothing."""
    before = TrainingWindow(trained_to_ms=int(BARS.open_time_ms[0]) - 1)
    for window in (NO_TRAINING_WINDOW, before):
        assert deflation_of(await run(service, window)).trials == 1


async def test_run_that_never_trades_is_counted_without_a_hurdle(service: BacktestService) -> None:
    found = deflation_of(await run(service, NO_TRAINING_WINDOW, threshold=9.0))
    assert (found.trials, found.trials_effective, found.sharpe_hurdle) == (1, 1.0, 0.0)
    [state] = ledger_of(service).states.values()
    assert (state.runs, state.total.trials) == (1, 0)
    assert deflation_of(await run(service, NO_TRAINING_WINDOW)).trials == 2
