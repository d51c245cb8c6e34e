"""Walk-forward: choose parameters on some bars, trade them on the next ones, move on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from src.domain.errors import InvalidInput
from src.domain.parameters import MAX_COUNT, Bounds, check_parameters, parameter
from src.domain.reported import INSTANT, reported
from src.domain.signals import ParameterValue
from src.domain.sweeps import OBJECTIVE, SweepRequest
from src.domain.units import RATIO

MAX_FOLDS: Final = 1_000

_OF_A_SWEEP: Final = ("parameters", "search", "constraints", "objective", "keepBest")


@contextmanager
def inside_walk_forward() -> Iterator[None]:
    """Name a sweep's own fields in errors by their paths in a walk-forward: `sweep.search.kind`.

    Fields of its backtest have the same name in every request.
    """
    try:
        yield
    except InvalidInput as error:
        if error.field is not None and error.field.partition(".")[0] in _OF_A_SWEEP:
            error.move_into("sweep")
        raise


class WindowKind(StrEnum):
    ROLLING = "ROLLING"
    """The training window keeps its length and moves."""
    ANCHORED = "ANCHORED"
    """The training window always begins at the first bar, and grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardRequest:
    """A sweep that is repeated on one training window after the other; each choice trades the bars that follow.

    A fold trains on `train_bars` bars (ANCHORED: on all before, at least so many), of which the last `purge_bars` are
    left out, because their labels reach into the test; then come `embargo_bars` that are not used, and the test.
    """

    sweep: SweepRequest
    window: WindowKind = parameter(
        name="window",
        meaning="Whether the training window moves or grows: ROLLING or ANCHORED",
        default=WindowKind.ROLLING,
    )
    train_bars: int = parameter(
        name="train_bars",
        meaning="Length of the training window",
        unit="bars",
        bounds=Bounds(minimum=2, maximum=MAX_COUNT),
    )
    test_bars: int = parameter(
        name="test_bars",
        meaning="Length of the test that follows",
        unit="bars",
        bounds=Bounds(minimum=2, maximum=MAX_COUNT),
    )
    step_bars: int | None = parameter(
        name="step_bars",
        meaning="How far the next fold is; not less than test_bars, so that no bar is tested twice",
        default=None,
        unit="bars",
        bounds=Bounds(minimum=2, maximum=MAX_COUNT),
        default_meaning="testBars",
    )
    purge_bars: int = parameter(
        name="purge_bars",
        meaning="Last bars of the training window that are left out; for a model, as far as its labels look ahead",
        default=0,
        unit="bars",
        bounds=Bounds(minimum=0, maximum=MAX_COUNT),
    )
    embargo_bars: int = parameter(
        name="embargo_bars",
        meaning="Bars between the training window and the test that neither uses",
        default=0,
        unit="bars",
        bounds=Bounds(minimum=0, maximum=MAX_COUNT),
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.step_bars is not None and self.step_bars < self.test_bars:
            raise InvalidInput(
                "{field} ({got}) must not be less than {@testBars} ({other}).",
                field="stepBars", got=self.step_bars, other=self.test_bars,
            )  # fmt: skip
        if self.purge_bars > self.train_bars - 2:
            raise InvalidInput(
                "{field} ({got}) must leave two bars of {@trainBars} ({other}).",
                field="purgeBars", got=self.purge_bars, other=self.train_bars,
            )  # fmt: skip

    @property
    def user_id(self) -> str:
        return self.sweep.user_id

    @property
    def step(self) -> int:
        """Bars from the test of one fold to that of the next."""
        return self.test_bars if self.step_bars is None else self.step_bars


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldBars:
    """The bars of one fold, by number: training `train_start` to before `train_end`, test likewise."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One fold: what was chosen in its training window, and what that did in its test."""

    number: int = reported("Its number, from 0.", "count")
    train_start_ms: int = reported("Open time of the first bar of the training window.", INSTANT)
    train_end_ms: int = reported("Open time of its last bar.", INSTANT)
    test_start_ms: int = reported("Open time of the first bar of the test.", INSTANT)
    test_end_ms: int = reported("Open time of its last bar.", INSTANT)
    row: int | None = reported("The chosen row; null if none qualified, and the test stays flat.", "count")
    values: Mapping[str, ParameterValue] = reported("Values of the swept parameters, by name.")
    objective_in_sample: float | None = reported("The chosen row's objective in the training window.", OBJECTIVE)
    objective_out_of_sample: float | None = reported(
        "The same in the test; null if it does not exist there.", OBJECTIVE
    )
    return_in_sample: float | None = reported("Return of the training window.", "per cent")
    return_out_of_sample: float | None = reported("Return of the test.", "per cent")
    trades_out_of_sample: int = reported("Closed trades of the test.", "count")


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardConclusion:
    """What is known once all folds are traded.

    The efficiency is that of Pardo, The Evaluation and Optimization of Trading Strategies, 2008, as compound growth per
    bar.
    """

    bars_fingerprint: str = reported("SHA-256 of the bars, warm-up included.")
    folds: int = reported("Folds.", "count")
    result_id: str = reported("The id of the stored result of all tests, one after another.")
    efficiency: float | None = reported(
        "Return per bar of the tests ÷ that of the training windows; null unless these gained.", RATIO
    )
    profitable_folds: int = reported("Folds whose test gained.", "count")
    distinct_choices: int = reported("Different combinations that were chosen.", "count")
    is_stored: bool = reported(
        "Whether that result is still stored: its user may have deleted it, and a quota deletes the oldest.",
        default=True,
    )
    warnings: tuple[str, ...] = reported("Warnings, in full sentences.", default=())
