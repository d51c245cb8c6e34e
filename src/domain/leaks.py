"""Whether a model knew what it could not know: the rows predicted again, signs of overlap, the training window."""

from __future__ import annotations

from dataclasses import dataclass

from src.domain.reported import INSTANT, reported
from src.domain.units import BARS, COUNT, FRACTION, RATIO, ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalChanges:
    """How the signals change if the model sees the first bars only, over several prefixes of the bars.

    If nothing changes, the first half is also predicted with other bars after it.
    """

    prefixes: int = reported("Prefixes that were predicted, those before other bars included.", COUNT)
    compared: int = reported(
        "Signals compared, of all prefixes; without those chosen for their difference, unless only their ends differ.",
        COUNT,
    )
    changed: int = reported("Signals that differ although only later bars do.", COUNT)
    first_bar: int | None = reported("Index of the first bar whose signal differs; null if none does.")
    changes_sign: bool = reported("Whether the net return has another sign without the later bars.")
    differs_at_end_only: bool | None = reported(
        "Whether predictions differ near the prefixes' ends and nowhere else; null for results of earlier versions."
    )
    differs_like_rounding: bool | None = reported(
        "Whether predictions differ as by rounding: each its own way, by a part of their deviation, as those of "
        "dynamically quantized networks do; null for results of earlier versions."
    )
    differing: int | None = reported(
        "Predictions that differ although only later bars do; null for results of earlier versions.", COUNT
    )
    failed: int | None = reported(
        "Prefixes that the model failed to predict; null for results of earlier versions.", COUNT
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAudit:
    """Whether the model is a function of one row: the same rows were predicted again, shuffled, in four parts."""

    rows: int = reported("Rows compared.", ROWS)
    differing: int = reported("Rows whose prediction differs by more than is allowed.", ROWS)
    largest_difference: float | None = reported(
        "Largest difference in units of what is allowed: 1e-5 × |prediction| + 1e-3 × deviation, with rounding in "
        "place of 1e-5 if the signal turns; null if it is not finite.",
        RATIO,
    )
    is_repeatable: bool | None = reported(
        "Whether the same rows in the same order give the same predictions; null if that was not needed."
    )
    signals: SignalChanges | None = reported("What changes without the later bars; null if that was not needed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapSigns:
    """Signs that a model knew the bars. Without a sign it may still have been trained on them."""

    hit_bars: int = reported("Bars with a position and a move.", BARS)
    hit_rate: float | None = reported("Share of them whose move went the position's way; null under 200.", FRACTION)
    kuiper_range: float | None = reported(
        "Range of the hits' centered, scaled sum: how unevenly they fall; null under 200.",
        RATIO,
    )
    lag_z: float | None = reported("Mean loss per bar if signals come one bar later, in its standard errors.", RATIO)
    has_high_hit_rate: bool = reported("Whether the hit rate is over 0.57.")
    has_wide_kuiper_range: bool = reported("Whether the range is over 2.0.")
    has_high_lag_z: bool = reported("Whether the loss is over 3.0 standard errors.")

    @property
    def is_any_seen(self) -> bool:
        return self.has_high_hit_rate or self.has_wide_kuiper_range or self.has_high_lag_z


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOverlap:
    """How the declared training window lies in the bars of the backtest."""

    trained_from_ms: int | None = reported("First instant of the training window; null if not declared.", INSTANT)
    trained_to_ms: int = reported("Last instant of the training window.", INSTANT)
    label_horizon: int = reported("Bars that a label looks ahead; as many bars after the window are left out.", BARS)
    bars_seen: int = reported("Bars of the backtest inside the training window.", BARS)
    share_seen: float = reported("Their share of all bars.", FRACTION)
    bars_before: int | None = reported(
        "Bars of the backtest before the training window; null for results of earlier versions.", BARS
    )
    bars_after: int | None = reported(
        "Bars left after the window and the label horizon; null for results of earlier versions.", BARS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """Whether a model knew what it could not have known."""

    rows: RowAudit | None = reported("Comparison of predictions among other rows; null if it was not made.")
    overlap: OverlapSigns | None = reported(
        "Signs of training on the tested bars; null for strategies without a model."
    )
    training: TrainingOverlap | None = reported("The declared training window; null if none was declared.")
