"""Plan the folds of a walk-forward, cut the inputs that each may see, and compare tests with training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import PRICE_COLUMNS, Bars
from src.domain.errors import InvalidInput
from src.domain.signals import Predictions
from src.domain.walk_forward import MAX_FOLDS, Fold, FoldBars, WalkForwardRequest, WindowKind


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowInputs:
    """All that a window may know: its bars, the bars before it, and the predictions of its bars.

    The arrays are copies, so that no later bar can be reached through them.
    """

    bars: Bars
    history: Bars | None
    predictions: Predictions | None


def plan_folds(request: WalkForwardRequest, bars: int) -> tuple[FoldBars, ...]:
    """Return the folds that fit into `bars` bars, each with a whole test; left-over bars at the end are not used.

    Raises InvalidInput if not one fits, or there are more than `MAX_FOLDS`.
    """
    needed, count = check_fold_fits(request, bars), count_folds(request, bars)
    before = request.train_bars + request.embargo_bars
    if count > MAX_FOLDS:
        raise InvalidInput(
            "{field}: {bars:,} bars give {count:,} folds. Maximum: {most:,}, with a step of {least:,} bars or more.",
            field="stepBars", bars=bars, count=count, most=MAX_FOLDS, least=(bars - needed) // MAX_FOLDS + 1,
        )  # fmt: skip
    return tuple(_plan_fold(request, number * request.step, before) for number in range(count))


def count_folds(request: WalkForwardRequest, bars: int) -> int:
    """Return how many folds fit into `bars` bars; raises InvalidInput if none fits."""
    return (bars - check_fold_fits(request, bars)) // request.step + 1


def check_rows_of_all_folds(request: WalkForwardRequest, combinations: int, *, most: int) -> None:
    """Raise InvalidInput if all folds together have more than `most` rows; fewer bars give fewer folds."""
    folds = min(count_folds(request, request.sweep.backtest.market.limit), MAX_FOLDS)
    if combinations * folds > most:
        raise InvalidInput(
            "{field}: {combinations:,} combinations in each of {folds:,} folds are {total:,}. Maximum: {most:,} "
            "(MAX_SWEEP_COMBINATIONS). Sweep fewer values, or move on by more bars ({@stepBars}).",
            field="parameters", combinations=combinations, folds=folds, total=combinations * folds, most=most,
        )  # fmt: skip


def check_fold_fits(request: WalkForwardRequest, bars: int) -> int:
    """Return how many bars one fold needs; raises InvalidInput if there are at most `bars`, and it needs more."""
    needed = request.train_bars + request.embargo_bars + request.test_bars
    if bars < needed:
        raise InvalidInput(
            "{field}: there are {bars:,} bars, and one fold needs {needed:,}: {train:,} to train ({@trainBars}), "
            "{embargo:,} between ({@embargoBars}) and {test:,} to test ({@testBars}).",
            field="trainBars", bars=bars, needed=needed, train=request.train_bars, embargo=request.embargo_bars,
            test=request.test_bars,
        )  # fmt: skip
    return needed


def _plan_fold(request: WalkForwardRequest, first: int, before: int) -> FoldBars:
    test_start = first + before
    return FoldBars(
        train_start=0 if request.window is WindowKind.ANCHORED else first,
        train_end=first + request.train_bars - request.purge_bars,
        test_start=test_start,
        test_end=test_start + request.test_bars,
    )


def cut_window(
    bars: Bars,
    start: int,
    end: int,
    *,
    warm_up: int,
    history: Bars | None = None,
    predictions: Predictions | None = None,
) -> WindowInputs:
    """Return the inputs that may be known of the bars from `start` to before `end`.

    Parameters
    ----------
    warm_up
        How many bars before the window to include, if there are as many.
    history
        Bars before the first one of `bars`.
    predictions
        Of `bars`, each from bars up to its own.
    """
    earlier = _copy(bars, max(0, start - warm_up), start)
    missing = warm_up - len(earlier)
    if history is not None and missing > 0:
        before = _copy(history, max(0, len(history) - missing), len(history))
        earlier = earlier.after(before) if len(earlier) else before
    return WindowInputs(
        bars=_copy(bars, start, end),
        history=earlier if len(earlier) else None,
        predictions=None
        if predictions is None
        else replace(predictions, values=predictions.values[start:end].copy(), among_others=None),
    )


def efficiency(folds: Sequence[Fold], spans: Sequence[FoldBars]) -> float | None:
    """Return the tests' compound growth per bar ÷ that of the training windows; None unless these gained.

    Pardo, The Evaluation and Optimization of Trading Strategies, 2008, compares annualized returns; growth per bar
    compounds. Folds that chose no row count on neither side.
    """
    chosen = [(fold, span) for fold, span in zip(folds, spans, strict=True) if fold.row is not None]
    inside = _growth_per_bar(
        [fold.return_in_sample for fold, _ in chosen], sum(span.train_end - span.train_start for _, span in chosen)
    )
    outside = _growth_per_bar(
        [fold.return_out_of_sample for fold, _ in chosen], sum(span.test_end - span.test_start for _, span in chosen)
    )
    return None if inside is None or outside is None or inside <= 0 else outside / inside


def _growth_per_bar(returns_pct: Sequence[float | None], bars: int) -> float | None:
    """Return (Π (1 + r))^(1 ÷ bars) − 1; None without bars, or if a return is not known."""
    known = [value for value in returns_pct if value is not None]
    if not bars or len(known) < len(returns_pct):
        return None
    if min(known) <= -100:
        return -1.0
    return math.expm1(math.fsum(math.log1p(value / 100) for value in known) / bars)


def _copy(bars: Bars, start: int, end: int) -> Bars:
    columns: dict[str, NDArray[np.float64]] = {
        name: getattr(bars, name)[start:end].copy() for name in ("open_time_ms", *PRICE_COLUMNS, "volume")
    }
    return Bars(symbol=bars.symbol, interval=bars.interval, **columns)  # type: ignore[arg-type]
