"""The evidence that the verdict reads, and the functions that make reasons of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from src.domain.bar_quality import Gap
from src.domain.benchmarks import Benchmarks
from src.domain.confidence import Confidence, Deflation
from src.domain.judgement import FillBand, SweepChoice
from src.domain.leaks import Leaks
from src.domain.performance import Metrics
from src.domain.trading import TradingRules
from src.domain.verdict import NotChecked, Reason, ReasonCode, VerdictLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the verdict reads.

    `gaps_traded` are the long gaps that a trade was held through, `engines_differ` the number of fills in which the
    other engine differs (None if it did not run), `reduced_entries` the entries cut to what cash or volume allowed,
    `dropped_entries` those that were not made, and `not_checked` the checks that the caller could not make. `choice` is
    what a sweep showed about it, None outside of one.
    """

    metrics: Metrics
    rules: TradingRules
    confidence: Confidence
    deflation: Deflation
    leaks: Leaks | None
    benchmarks: Benchmarks
    fill_band: FillBand | None
    gaps_traded: tuple[Gap, ...]
    engines_differ: int | None
    is_simulated: bool
    reduced_entries: int
    dropped_entries: int
    has_model: bool
    not_checked: tuple[NotChecked, ...]
    choice: SweepChoice | None = None


def make_objection(
    level: VerdictLevel,
    code: ReasonCode,
    text: str,
    *,
    value: float | None = None,
    threshold: float | None = None,
    unit: str = "",
    false_alarm_rate: float | None = None,
) -> Reason:
    """Return a reason that has a level, and so counts in the verdict."""
    return Reason(
        code=code,
        level=level,
        value=value,
        threshold=threshold,
        unit=unit,
        text=text,
        false_alarm_rate=false_alarm_rate,
    )


def make_note(
    code: ReasonCode, text: str, *, value: float | None = None, threshold: float | None = None, unit: str = ""
) -> Reason:
    """Return a reason without a level."""
    return Reason(code=code, level=None, value=value, threshold=threshold, unit=unit, text=text, false_alarm_rate=None)


def format_figure(value: float, threshold: float | None = None) -> str:
    """Return a figure with 3 digits, or with as many as it takes to tell it from its threshold.

    A probability of 0.9499 is not written as 0.950 beside a limit of 0.95.
    """
    for digits in range(3, 18):
        text = _with_digits(value, digits)
        if threshold is None or value == threshold or float(text.replace(",", "")) != threshold:
            return text
    return repr(value)


def _with_digits(value: float, digits: int) -> str:
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{min(decimals, 340)}f}"
    if decimals > 6 and digits == 3:
        return f"{value:.{digits}g}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count_noun(count: int, noun: str) -> str:
    """Return "1 bar", "2 bars", "1,000 bars"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
