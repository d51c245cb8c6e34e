"""Rows do not depend on chunks or threads; what is impossible is a row without figures, counted by its error."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.domain.errors import InvalidInput
from src.domain.order_rules import Exits
from src.domain.runs import BacktestRequest
from src.domain.signals import OutputKind, Predictions
from src.domain.strategy import ModelParams
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.sweeps import ROW_METRICS, Search, SweepRequest
from src.domain.trading import Direction, EngineName, FillTiming, TradingRules
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.strategies.crossover import CrossoverParams
from src.strategies.donchian import DonchianParams
from src.strategies.rsi import RsiParams
from src.sweeps import evaluation, row_signals, rows
from src.sweeps.evaluation import Evaluator, Kernel
from tests.factories import make_request
from tests.market import bars_of_closes, random_bars
from tests.sweep_agreement import assert_rows_agree, build_sweep

BARS = random_bars(700, seed=3, interval="1h", volatility=0.01)
MEANS = {"fast": [3, 4, 5, 6, 7, 3, 4, 5], "slow": [20, 20, 20, 20, 20, 30, 30, 30]}
SEARCH_SEED = 5


def event_driven(**rules: Any) -> BacktestRequest:
    return make_request(engine=EngineName.EVENT_DRIVEN, rules=TradingRules(**({"fill": FillTiming.NEXT_OPEN} | rules)))


def sweeps() -> dict[str, tuple[SweepRequest, np.ndarray]]:
    """A sweep for each kernel."""
    lengths = {"length": [3, 5, 9, 3, 5, 9], "high": [60.0, 60.0, 60.0, 70.0, 70.0, 70.0]}
    return {
        "MEANS": build_sweep(make_request(), MEANS),
        "MARKET_ORDERS": build_sweep(make_request(strategy=RsiParams()), lengths),
        "ORDERS": build_sweep(event_driven(), MEANS | {"stop_loss": [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08]}),
    }


def parts_of(found: EvaluatedRows) -> list[np.ndarray]:
    tables = [array for table in (found.total, found.active) for array in (table.directions, table.t, table.moves)]
    return [found.rows.figures, found.rows.block_sums, found.rows.block_squares, found.lowest_growth, *tables]


def assert_chunks_equal(whole: EvaluatedRows, chunks: list[EvaluatedRows]) -> None:
    for one, *others in zip(parts_of(whole), *map(parts_of, chunks), strict=True):
        assert one.tobytes() == np.concatenate(others).tobytes()
    assert [*whole.descriptions] == [name for chunk in chunks for name in chunk.descriptions]


@pytest.mark.parametrize("kernel", ["MEANS", "MARKET_ORDERS", "ORDERS"])
def test_chunks_give_the_same_bits(kernel: str) -> None:
    request, values = sweeps()[kernel]
    evaluator = Evaluator(SweepInputs(request=request, bars=BARS))
    assert evaluator.kernel is Kernel(kernel)
    whole = evaluator.evaluate(values, first=0, total=len(values))
    edges = [0, 1, 4, len(values)]
    chunks = [
        Evaluator(SweepInputs(request=request, bars=BARS)).evaluate(values[a:b], first=a, total=len(values))
        for a, b in itertools.pairwise(edges)
    ]
    assert_chunks_equal(whole, chunks)


@pytest.mark.parametrize("kernel", ["MEANS", "MARKET_ORDERS", "ORDERS"])
def test_threads_give_the_same_bits(kernel: str) -> None:
    request, values = sweeps()[kernel]
    values = np.tile(values, (20, 1))
    evaluator = Evaluator(SweepInputs(request=request, bars=BARS))
    whole = evaluator.evaluate(values, first=0, total=len(values))
    with ThreadPoolExecutor(4) as threads:
        chunks = list(
            threads.map(
                lambda a: evaluator.evaluate(values[a : a + 7], first=a, total=len(values)), range(0, len(values), 7)
            )
        )
    assert_chunks_equal(whole, chunks)


def test_small_limits_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {}
    for _ in range(2):
        for kernel, (request, values) in sweeps().items():
            found = Evaluator(SweepInputs(request=request, bars=BARS)).evaluate(values, first=0, total=len(values))
            expected.setdefault(kernel, []).append(found)
        monkeypatch.setattr(evaluation, "GROUP_BYTES", 1)
        monkeypatch.setattr(evaluation, "EVENTS_AT_ONCE", 40)
        monkeypatch.setattr(evaluation, "PAIRS_AT_ONCE", 3)
        monkeypatch.setattr(row_signals, "KEPT_INPUTS", 1)
    for whole, limited_rows in expected.values():
        assert_chunks_equal(whole, [limited_rows])


def test_values_of_closed_lists_are_places_in_them() -> None:
    request, values = build_sweep(event_driven(), {"direction": ["SHORT", "BOTH", "LONG"]})
    assert values[:, 0].tolist() == [list(Direction).index(Direction(name)) for name in ("SHORT", "BOTH", "LONG")]
    assert_rows_agree(request, values, BARS)


def test_pinned_warm_up_is_read_by_each_row() -> None:
    backtest = replace(make_request(), pinned_warm_up_bars=25)
    request, values = build_sweep(backtest, MEANS)
    history = random_bars(60, seed=8, interval="1h")
    step = BARS.interval.milliseconds
    history = replace(history, open_time_ms=BARS.open_time_ms[0] + step * np.arange(-60, 0, dtype=np.int64))
    found = assert_rows_agree(request, values, BARS, history=history)
    without = Evaluator(SweepInputs(request=request, bars=BARS)).evaluate(values, first=0, total=len(values))
    assert (found.rows.figures != without.rows.figures).any()


def test_fallback_is_traded_where_no_signal_comes() -> None:
    backtest = replace(make_request(strategy=DonchianParams()), use_fallback=True)
    request, values = build_sweep(backtest, {"entry_length": [20, 699, 699], "exit_length": [10, 699, 699]})
    found = assert_rows_agree(request, values[1:], BARS.slice(0, 650))
    assert found.descriptions[0].name == "Up/Down Day"


def test_impossible_pairs_are_rows_without_figures() -> None:
    request, values = build_sweep(make_request(), {"fast": [5, 20, 30, 5], "slow": [20, 20, 20, 40]})
    found = Evaluator(SweepInputs(request=request, bars=BARS)).evaluate(values, first=0, total=4)
    assert np.isnan(found.rows.figures).all(axis=1).tolist() == [False, True, True, False]
    assert found.total.moves.tolist() == found.active.moves.tolist() == [True, False, False, True]
    assert np.isnan(found.lowest_growth).tolist() == [False, True, True, False]
    assert sum(found.failures.values()) == 2 and all("must be less than" in text for text in found.failures)


def test_impossible_strategy_of_other_kernels_is_counted() -> None:
    request, values = build_sweep(make_request(strategy=RsiParams()), {"low": [30.0, 80.0], "length": [5, 5]})
    found = Evaluator(SweepInputs(request=request, bars=BARS)).evaluate(values, first=0, total=2)
    assert np.isnan(found.rows.figures).all(axis=1).tolist() == [False, True]
    assert list(found.failures.values()) == [1]


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.5, -1.0, 0.0])
def test_value_that_no_parameter_takes_is_counted(value: float) -> None:
    request, values = build_sweep(make_request(), MEANS)
    values[2, 1] = value
    found = Evaluator(SweepInputs(request=request, bars=BARS)).evaluate(values, first=0, total=len(values))
    assert np.flatnonzero(np.isnan(found.rows.figures).all(axis=1)).tolist() == [2]
    [text] = found.failures
    assert "slow" in text


def test_mean_longer_than_all_bars_gives_no_trade() -> None:
    request, values = build_sweep(make_request(), {"fast": [5, 699, 700, 701, 2**30], "slow": [2**40] * 5})
    found = assert_rows_agree(request, values, BARS)
    assert not found.rows.figures[:, ROW_METRICS.index("total_trades")].any()


def test_rules_that_no_request_allows_are_counted() -> None:
    request, values = build_sweep(event_driven(), {"fees": [0.001, 0.002], "take_profit": [0.01, 0.02]})
    values[1] = [0.001, -1.0]
    found = Evaluator(SweepInputs(request=request, bars=BARS)).evaluate(values, first=0, total=2)
    assert np.isnan(found.rows.figures).all(axis=1).tolist() == [False, True]
    assert ["takeProfit" in text for text in found.failures] == [True]


@pytest.mark.parametrize("exits", [Exits(), Exits(stop_loss_rate=0.9999)])
def test_unbounded_equity_is_a_row_without_figures(exits: Exits) -> None:
    bars = bars_of_closes([1e-7, 2e-7, 1e7, 5e6] * 20)
    backtest = event_driven(fill=FillTiming.SAME_CLOSE, exits=exits)
    request, values = build_sweep(
        replace(backtest, strategy=CrossoverParams(fast=1, slow=2)), {"slow": [2, 200], "slippage": [0.0, 0.0]}
    )
    evaluator = Evaluator(SweepInputs(request=request, bars=bars))
    found = evaluator.evaluate(values, first=0, total=2)
    assert np.isnan(found.rows.figures[0]).all() and not found.total.moves[0]
    assert [count for text, count in found.failures.items() if "grows beyond" in text] == [1]
    assert not evaluator.returns(values)[:, 0].any()


def test_threshold_outside_a_probability_is_counted() -> None:
    predictions = Predictions(values=np.linspace(0, 1, len(BARS)), kind=OutputKind.PROBABILITY)
    request, values = build_sweep(make_request(strategy=ModelParams(reference="m.onnx")), {"threshold": [0.5, 1.5]})
    evaluator = Evaluator(SweepInputs(request=request, bars=BARS, predictions=predictions))
    found = evaluator.evaluate(values, first=0, total=2)
    assert np.isnan(found.rows.figures).all(axis=1).tolist() == [False, True]
    assert "threshold" in next(iter(found.failures))


def test_predictions_of_another_kind_are_refused() -> None:
    predictions = Predictions(values=np.full(len(BARS), 7.0), kind=OutputKind.PROBABILITY)
    request, _ = build_sweep(make_request(strategy=ModelParams(reference="m.onnx")), {"threshold": [0.5]})
    with pytest.raises(InvalidInput, match="predicted 7"):
        Evaluator(SweepInputs(request=request, bars=BARS, predictions=predictions))


def test_blocks_are_kept_of_sampled_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "SAMPLED_ROWS", 4)
    request, values = build_sweep(make_request(), MEANS, search=Search(seed=SEARCH_SEED))
    evaluator = Evaluator(SweepInputs(request=request, bars=BARS))
    expected = rows.sampled_rows(SEARCH_SEED, len(values))
    found = evaluator.evaluate(values, first=0, total=len(values))
    assert found.rows.blocks_of.tolist() == expected.tolist()
    assert found.rows.block_sums.shape == (4, DEFAULT_BLOCKS) and found.rows.block_squares.any()
    part = evaluator.evaluate(values[3:], first=3, total=len(values))
    assert part.rows.blocks_of.tolist() == [row for row in expected.tolist() if row >= 3]
    np.testing.assert_array_equal(part.rows.block_sums, found.rows.block_sums[expected >= 3])


@pytest.mark.parametrize("bars", [1, 2, 11, 29])
def test_few_bars_give_rows(bars: int) -> None:
    request, values = build_sweep(make_request(), MEANS)
    assert_rows_agree(request, values, BARS.slice(0, bars))


def test_row_without_a_trade_has_its_cash() -> None:
    request, values = build_sweep(make_request(), {"fast": [300], "slow": [690]})
    found = Evaluator(SweepInputs(request=request, bars=bars_of_closes(np.full(700, 5.0)))).evaluate(
        values, first=0, total=1
    )
    figures = dict(zip(ROW_METRICS, found.rows.figures[0].tolist(), strict=True))
    assert figures["final_equity"] == 10_000 and figures["total_trades"] == 0
    assert np.isnan([figures["sharpe_ratio"], figures["profit_factor"], figures["calmar_ratio"]]).all()


def test_chunk_has_few_bytes_of_trials() -> None:
    request, _ = build_sweep(make_request(), MEANS)
    hours, days = (
        Evaluator(SweepInputs(request=request, bars=random_bars(2000, interval=name))) for name in ("1h", "1d")
    )
    assert days.chunk_rows * days.slots.size * 16 <= evaluation.CHUNK_BYTES
    assert days.chunk_rows < hours.chunk_rows == evaluation.MAX_CHUNK_ROWS
