"""Folds of a walk-forward: where they lie, what they may see, and their tests as one run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.bars import Bars
from src.domain.errors import InvalidInput
from src.domain.signals import OutputKind, Predictions
from src.domain.trading import FillTiming, TradingRules
from src.domain.walk_forward import MAX_FOLDS, Fold, FoldBars, WalkForwardRequest, WindowKind
from src.sweeps.folds import check_fold_fits, check_rows_of_all_folds, cut_window, efficiency, plan_folds
from tests.market import random_bars
from tests.unit.sweeps.requests import sweep, swept

RULES = TradingRules(fill=FillTiming.NEXT_OPEN)


def asked(train: int = 50, test: int = 10, **others: Any) -> WalkForwardRequest:
    return WalkForwardRequest(sweep=sweep(swept("fast", 5)), train_bars=train, test_bars=test, **others)


def test_rolling_windows_move_by_the_test() -> None:
    assert plan_folds(asked(), 75) == (
        FoldBars(train_start=0, train_end=50, test_start=50, test_end=60),
        FoldBars(train_start=10, train_end=60, test_start=60, test_end=70),
    )


def test_one_fold_needs_its_windows_and_the_gap() -> None:
    request_ = asked(embargo_bars=2)
    needed = request_.train_bars + 2 + request_.test_bars
    assert check_fold_fits(request_, needed) == needed
    with pytest.raises(InvalidInput, match="one fold needs") as refused:
        check_fold_fits(request_, needed - 1)
    assert refused.value.field == "trainBars"


def test_anchored_windows_begin_at_the_first_bar() -> None:
    found = plan_folds(asked(window=WindowKind.ANCHORED, purge_bars=3, embargo_bars=2, step_bars=12), 74)
    assert found == (
        FoldBars(train_start=0, train_end=47, test_start=52, test_end=62),
        FoldBars(train_start=0, train_end=59, test_start=64, test_end=74),
    )


@st.composite
def requests(draw: st.DrawFn) -> WalkForwardRequest:
    train, test = draw(st.integers(2, 40)), draw(st.integers(2, 20))
    return asked(
        train,
        test,
        window=draw(st.sampled_from(WindowKind)),
        step_bars=draw(st.one_of(st.none(), st.integers(test, 30))),
        purge_bars=draw(st.integers(0, train - 2)),
        embargo_bars=draw(st.integers(0, 9)),
    )


@given(requests(), st.integers(1, 600))
def test_no_bar_is_tested_twice_or_seen_early(request_: WalkForwardRequest, bars: int) -> None:
    needed = request_.train_bars + request_.embargo_bars + request_.test_bars
    if bars < needed:
        with pytest.raises(InvalidInput):
            plan_folds(request_, bars)
        return
    folds = plan_folds(request_, bars)
    tested = np.zeros(bars, np.int64)
    for number, fold in enumerate(folds):
        assert fold.test_end - fold.test_start == request_.test_bars
        tested[fold.test_start : fold.test_end] += 1
        assert fold.train_end + request_.purge_bars + request_.embargo_bars == fold.test_start
        is_anchored = request_.window is WindowKind.ANCHORED
        assert fold.train_start == (0 if is_anchored else number * request_.step)
        kept = request_.train_bars - request_.purge_bars
        assert fold.train_end - fold.train_start == kept + (number * request_.step if is_anchored else 0)
    assert tested.max() == 1
    assert folds[-1].test_end <= bars < folds[-1].test_end + request_.step


def test_too_few_bars_are_counted_beside_the_needed() -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_folds(asked(1000, 200, embargo_bars=5), 1_204)
    assert caught.value.message == (
        "trainBars: there are 1,204 bars, and one fold needs 1,205: 1,000 to train (trainBars), 5 between "
        "(embargoBars) and 200 to test (testBars)."
    )


def test_too_many_folds_are_refused_with_a_step() -> None:
    bars = 60 + 10 * MAX_FOLDS
    with pytest.raises(InvalidInput) as caught:
        plan_folds(asked(), bars)
    assert caught.value.message == (
        "stepBars: 10,060 bars give 1,001 folds. Maximum: 1,000, with a step of 11 bars or more."
    )
    assert len(plan_folds(asked(step_bars=11), bars)) == 910
    assert len(plan_folds(asked(), bars - 1)) == MAX_FOLDS


def test_window_has_the_bars_before_it_as_history() -> None:
    bars, before = random_bars(40).slice(10, 40), random_bars(40).slice(0, 10)
    inside = cut_window(bars, 12, 20, warm_up=5)
    assert inside.bars == bars.slice(12, 20)
    assert inside.history == bars.slice(7, 12)
    reaching = cut_window(bars, 3, 20, warm_up=5, history=before)
    assert reaching.history == random_bars(40).slice(8, 13)
    assert cut_window(bars, 0, 20, warm_up=5, history=before).history == before.slice(5, 10)
    assert cut_window(bars, 3, 20, warm_up=99, history=before).history == random_bars(40).slice(0, 13)
    assert cut_window(bars, 0, 20, warm_up=5).history is None
    assert cut_window(bars, 5, 20, warm_up=0, history=before).history is None


def test_window_has_the_predictions_of_its_bars() -> None:
    values = np.arange(30.0)
    predicted = Predictions(values=values, kind=OutputKind.VALUE, among_others=values)
    found = cut_window(random_bars(30), 4, 9, warm_up=2, predictions=predicted).predictions
    assert found is not None
    assert found.values.tolist() == [4, 5, 6, 7, 8]
    assert found.among_others is None


def best_peek(bars: Bars) -> tuple[int, float]:
    """Choose what a strategy that looks as far ahead as it can would: it reads the last bar that it can reach.

    It also tries to reach beyond its bars, through the memory that they may share.
    """
    reached = bars.close
    while isinstance(reached.base, np.ndarray):
        reached = reached.base
    gains = reached[-1] / bars.close - 1
    return int(np.argmax(gains)), float(gains.max())


@pytest.mark.parametrize("window", WindowKind)
def test_later_bars_cannot_change_a_choice(window: WindowKind) -> None:
    bars = random_bars(200, seed=1)
    for fold in plan_folds(asked(window=window, purge_bars=4, embargo_bars=3), len(bars)):
        other = random_bars(200, seed=2)
        end = fold.train_end
        changed = replace(
            bars, **{name: np.concatenate((getattr(bars, name)[:end], getattr(other, name)[end:])) for name in
                     ("open", "high", "low", "close", "volume")},
        )  # fmt: skip
        chosen = [best_peek(cut_window(given_, fold.train_start, end, warm_up=5).bars) for given_ in (bars, changed)]
        assert chosen[0] == chosen[1]
        # The same strategy finds the later bars if it gets a mere slice.
        assert best_peek(bars.slice(fold.train_start, end)) != best_peek(changed.slice(fold.train_start, end))


def fold_of(inside: float | None, outside: float | None, row: int | None = 0) -> Fold:
    return Fold(
        number=0, train_start_ms=0, train_end_ms=1, test_start_ms=2, test_end_ms=3, row=row, values={},
        objective_in_sample=1.0, objective_out_of_sample=1.0, return_in_sample=inside, return_out_of_sample=outside,
        trades_out_of_sample=1,
    )  # fmt: skip


SPANS = [FoldBars(train_start=0, train_end=100, test_start=100, test_end=125)] * 2


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        # Per bar 1.21^(1/100) and 1.05^(1/25), twice.
        ([(21.0, 5.0), (21.0, 5.0)], (1.05 ** (1 / 25) - 1) / (1.21 ** (1 / 100) - 1)),
        ([(10.0, 0.0), (30.0, -8.0)], (0.92 ** (1 / 50) - 1) / (1.43 ** (1 / 200) - 1)),
        ([(21.0, 5.0), (21.0, -100.0)], -1 / (1.21 ** (1 / 100) - 1)),
        ([(-5.0, 5.0), (5.0, 5.0)], None),
        ([(0.0, 5.0), (0.0, 5.0)], None),
        ([(5.0, None), (5.0, 5.0)], None),
    ],
)
def test_efficiency_compares_growth_per_bar(returns: list[tuple[Any, Any]], expected: float | None) -> None:
    found = efficiency([fold_of(*pair) for pair in returns], SPANS)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-12))


def test_folds_without_a_choice_have_no_efficiency() -> None:
    assert efficiency([fold_of(None, 0.0, row=None)] * 2, SPANS) is None
    mixed = efficiency([fold_of(None, 0.0, row=None), fold_of(21.0, 5.0)], SPANS)
    assert mixed == pytest.approx((1.05 ** (1 / 25) - 1) / (1.21 ** (1 / 100) - 1), rel=1e-12)


def test_rows_of_all_folds_are_bounded() -> None:
    request = asked(100, 10)
    bars = request.sweep.backtest.market.limit
    folds = (bars - 110) // 10 + 1
    check_rows_of_all_folds(request, 100, most=100 * folds)
    with pytest.raises(InvalidInput) as caught:
        check_rows_of_all_folds(request, 101, most=100 * folds)
    assert caught.value.message == (
        f"parameters: 101 combinations in each of {folds} folds are {101 * folds:,}. Maximum: {100 * folds:,} "
        "(MAX_SWEEP_COMBINATIONS). Sweep fewer values, or move on by more bars (stepBars)."
    )
