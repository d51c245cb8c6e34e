"""The verdict: levels and codes on both sides of each threshold, and the sentences that traders read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.bar_quality import Gap
from src.domain.benchmarks import Benchmarks, BestTrades, BuyAndHold, TimingTest
from src.domain.confidence import Confidence, Deflation, Interval
from src.domain.intervals import DAY_MS
from src.domain.judgement import FillBand
from src.domain.leaks import Leaks, OverlapSigns, RowAudit, SignalChanges, TrainingOverlap
from src.domain.trading import Direction, FillTiming, Sizing, TradingRules
from src.domain.verdict import NotChecked, ReasonCode, Verdict, VerdictLevel
from src.judgement.evidence import format_figure
from src.judgement.verdict import LEAK_AUDIT, Evidence, reach_verdict
from tests.factories import make_metrics

RULES = TradingRules(fill=FillTiming.NEXT_OPEN, fee_rate=0.001)
SHORT = replace(RULES, direction=Direction.SHORT)
TIMING = TimingTest(p_value=0.01, shifts=900, edge=50.0, smallest_visible_edge=40.0, bars_needed=640, deviation=16.0)
ROWS = RowAudit(rows=1_000, differing=0, largest_difference=0.1, is_repeatable=None, signals=None)
CHANGES = SignalChanges(
    prefixes=8,
    compared=1_000,
    changed=10,
    first_bar=70,
    changes_sign=False,
    differs_at_end_only=False,
    differs_like_rounding=False,
    differing=30,
    failed=0,
)
OVERLAP = OverlapSigns(
    hit_bars=800, hit_rate=0.57, kuiper_range=2.0, lag_z=3.0,
    has_high_hit_rate=False, has_wide_kuiper_range=False, has_high_lag_z=False,
)  # fmt: skip
SEEN = OverlapSigns(
    hit_bars=800, hit_rate=0.613, kuiper_range=2.41, lag_z=3.7,
    has_high_hit_rate=True, has_wide_kuiper_range=True, has_high_lag_z=True,
)  # fmt: skip
TRAINING = TrainingOverlap(
    trained_from_ms=None, trained_to_ms=0, label_horizon=1, bars_seen=0, share_seen=0.0, bars_before=0, bars_after=1_000
)
LEAKS = Leaks(rows=ROWS, overlap=OVERLAP, training=TRAINING)
GAP = Gap(after_ms=0, next_ms=2 * DAY_MS, missing_bars=47)


def make_evidence(**changes: Any) -> Evidence:
    """Evidence that nothing objects to; each change is a field of it, or of one of its parts."""
    parts: dict[str, Any] = {
        "metrics": make_metrics(bars=1_000, total_trades=50, total_return=30.0, buy_and_hold_return=20.0),
        "rules": RULES,
        "confidence": Confidence(
            level=0.95, method="blocks", block_length=10, resamples=1_000, seed="00",
            sharpe_ratio=Interval(low=0.2, high=2.0), sharpe_error=0.1, win_rate=None, profit_factor=None,
            range_of_next_path=None,
            trade_autocorrelation=0.3, are_trades_autocorrelated=False,
        ),
        "deflation": Deflation(
            trials=2, trials_effective=1.5, average_correlation=0.5, trial_sharpe_variance=1.0, sharpe_hurdle=0.1,
            psr=0.99, psr_dependent=0.99, dsr=0.95, dsr_dependent=0.95, min_track_record_bars=300,
            luck_equivalent_trials=30.0,
            min_backtest_bars=200, active_trials_effective=1.5, timing_deflated=0.05, ledger_scope="all",
        ),
        "benchmarks": Benchmarks(
            jumps_left_out=0, buy_and_hold=None,
            timing=TIMING, timing_deflated=0.05, active_trials_effective=1.5, break_even_fee=0.002,
            smallest_visible_edge_deflated=45.0, bars_needed_deflated=810,
            cost_cases=(), years=(), trends=(), bars_below_peak=0, missing_crises=(),
            best_trades=BestTrades(
                share_of_best=10.0, share_of_best5=40.0, return_without_best=20.0, return_without_best5=5.0
            ),
        ),
    }  # fmt: skip
    whole: dict[str, Any] = {
        "leaks": None, "fill_band": None, "gaps_traded": (), "engines_differ": 0, "is_simulated": False,
        "reduced_entries": 0, "has_model": False, "not_checked": (),
    }  # fmt: skip
    for name, value in changes.items():
        owners = [key for key, part in parts.items() if name in part.__dataclass_fields__]
        if name in parts:
            parts[name] = value
        elif not owners:
            whole[name] = value
        else:
            parts |= {owner: replace(parts[owner], **{name: value}) for owner in owners}
    return Evidence(**parts, **whole)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code.value for reason in verdict.reasons]


def model(**changes: Any) -> dict[str, Any]:
    return {"has_model": True, "leaks": replace(LEAKS, **changes)}


def rows(**changes: Any) -> dict[str, Any]:
    return model(rows=replace(ROWS, differing=7, is_repeatable=True, **changes))


def trained(bars_seen: int) -> TrainingOverlap:
    return replace(TRAINING, bars_seen=bars_seen, share_seen=bars_seen / 1_000, bars_after=1_000 - bars_seen)


def signals(**changes: Any) -> SignalChanges:
    return replace(CHANGES, **changes)


def held(total_return: float) -> BuyAndHold:
    return BuyAndHold(total_return=total_return, sharpe_ratio=None, max_drawdown=20.0)


def band(pessimistic: float, optimistic: float, bars: int = 1) -> FillBand:
    return FillBand(pessimistic_return=pessimistic, optimistic_return=optimistic, ambiguous_bars=bars)


def without_best(value: float | None) -> BestTrades:
    return BestTrades(share_of_best=None, share_of_best5=None, return_without_best=value, return_without_best5=None)


def power(edge: float, smallest: float | None, bars_needed: int | None = 2_560) -> dict[str, Any]:
    """The figures of the single test would object to nothing: those among all trials decide."""
    timing = replace(TIMING, edge=edge, smallest_visible_edge=1e-9, bars_needed=1)
    return {"timing": timing, "smallest_visible_edge_deflated": smallest, "bars_needed_deflated": bars_needed}


FREE = replace(RULES, fee_rate=0.0)
TABLE: list[tuple[dict[str, Any], str, str]] = [
    # changes | level | codes
    ({}, "NO_OBJECTION", ""),
    # leaks
    (model(), "NO_OBJECTION", ""),
    (rows(), "DOUBTFUL", "DEPENDS_ON_OTHER_ROWS"),
    (model(rows=None), "NO_OBJECTION", ""),
    (rows(signals=signals(changed=10)), "DOUBTFUL", "DEPENDS_ON_OTHER_ROWS"),
    (rows(signals=signals(changed=11)), "DISPROVED", "LOOKS_AHEAD"),
    (rows(signals=signals(changed=0, compared=0)), "DOUBTFUL", "DEPENDS_ON_OTHER_ROWS"),
    (rows(signals=signals(changed=1, changes_sign=True)), "DISPROVED", "LOOKS_AHEAD"),
    (rows(signals=signals(changed=0, differs_at_end_only=True)), "DISPROVED", "LOOKS_AHEAD"),
    (
        rows(signals=signals(changed=500, changes_sign=True, differs_like_rounding=True)),
        "DOUBTFUL",
        "DEPENDS_ON_OTHER_ROWS",
    ),
    (rows(signals=signals(differs_at_end_only=True, differs_like_rounding=True)), "DISPROVED", "LOOKS_AHEAD"),
    (rows(signals=signals(changed=11, differs_like_rounding=None)), "DISPROVED", "LOOKS_AHEAD"),
    (rows(signals=signals(changed=0, differing=0)), "NO_OBJECTION", "READS_EARLIER_ROWS"),
    (rows(signals=signals(changed=0, differing=1)), "DOUBTFUL", "DEPENDS_ON_OTHER_ROWS"),
    (rows(signals=signals(changed=0, differing=0, failed=1)), "DOUBTFUL", "DEPENDS_ON_OTHER_ROWS"),
    (rows(signals=signals(changed=0, differing=0, prefixes=0)), "DOUBTFUL", "DEPENDS_ON_OTHER_ROWS"),
    (rows(signals=signals(changed=0, differing=None, failed=None)), "DOUBTFUL", "DEPENDS_ON_OTHER_ROWS"),
    (model(rows=replace(ROWS, differing=7, is_repeatable=False)), "DISPROVED", "NOT_REPEATABLE"),
    (model(training=trained(1)), "DOUBTFUL", "TRAINED_ON_PART_OF_THIS_WINDOW"),
    (model(training=trained(999)), "DOUBTFUL", "TRAINED_ON_PART_OF_THIS_WINDOW"),
    (model(training=trained(1_000)), "DISPROVED", "TRAINED_ON_THIS_WINDOW"),
    (model(training=None), "NO_OBJECTION", "TRAINING_WINDOW_UNKNOWN"),
    ({"has_model": True}, "NO_OBJECTION", "TRAINING_WINDOW_UNKNOWN"),
    (model(overlap=SEEN), "DOUBTFUL", "HIGH_HIT_RATE UNEVEN_HIT_RATE LOSES_WHEN_DELAYED"),
    (model(overlap=replace(OVERLAP, has_high_hit_rate=True)), "DOUBTFUL", "HIGH_HIT_RATE"),
    (model(overlap=replace(OVERLAP, has_wide_kuiper_range=True)), "DOUBTFUL", "UNEVEN_HIT_RATE"),
    (model(overlap=replace(OVERLAP, has_high_lag_z=True)), "DOUBTFUL", "LOSES_WHEN_DELAYED"),
    (model(overlap=SEEN, training=trained(1)), "DOUBTFUL", "TRAINED_ON_PART_OF_THIS_WINDOW"),
    (
        model(overlap=SEEN, training=None),
        "DOUBTFUL",
        "HIGH_HIT_RATE UNEVEN_HIT_RATE LOSES_WHEN_DELAYED TRAINING_WINDOW_UNKNOWN",
    ),
    # data
    ({"total_trades": 20}, "NO_OBJECTION", ""),
    ({"total_trades": 19}, "TOO_LITTLE_DATA", "FEW_TRADES"),
    ({"bars": 250}, "NO_OBJECTION", ""),
    ({"bars": 249}, "TOO_LITTLE_DATA", "FEW_BARS"),
    ({"bars": 1, "total_trades": 0}, "TOO_LITTLE_DATA", "FEW_TRADES FEW_BARS"),
    # luck
    ({"dsr": 0.9499}, "DOUBTFUL", "LOW_DEFLATED_SHARPE"),
    ({"dsr_dependent": 0.9499}, "DOUBTFUL", "LOW_DEFLATED_SHARPE"),
    ({"dsr": None, "dsr_dependent": 0.9}, "DOUBTFUL", "LOW_DEFLATED_SHARPE"),
    ({"dsr": 0.9, "dsr_dependent": None}, "DOUBTFUL", "LOW_DEFLATED_SHARPE"),
    ({"dsr": None, "dsr_dependent": None}, "NO_OBJECTION", ""),
    ({"psr": 0.5, "psr_dependent": 0.5}, "NO_OBJECTION", ""),
    ({"trials": 1, "psr": 0.94}, "DOUBTFUL", "LOW_DEFLATED_SHARPE ONLY_TRIAL_SEEN"),
    ({"trials": 1, "psr_dependent": 0.94}, "DOUBTFUL", "LOW_DEFLATED_SHARPE ONLY_TRIAL_SEEN"),
    ({"trials": 1}, "NO_OBJECTION", "ONLY_TRIAL_SEEN"),
    ({"trials": 0}, "NO_OBJECTION", "ONLY_TRIAL_SEEN"),
    ({"timing_deflated": 0.0501}, "DOUBTFUL", "TIMING_NOT_FOUND"),
    ({"timing_deflated": None}, "DOUBTFUL", "TIMING_NOT_TESTABLE"),
    ({"timing": None}, "DOUBTFUL", "TIMING_NOT_TESTABLE"),
    ({"overfitting_probability": 0.7, "superiority_p_value": 0.05}, "NO_OBJECTION", ""),
    ({"overfitting_probability": 0.7001}, "DOUBTFUL", "LIKELY_OVERFIT"),
    ({"superiority_p_value": 0.0501}, "DOUBTFUL", "NOT_SUPERIOR"),
    # power
    ({"dsr": 0.9, **power(20, 40)}, "UNDERPOWERED", "UNDERPOWERED LOW_DEFLATED_SHARPE"),
    ({"timing_deflated": 0.2, **power(20, 40)}, "UNDERPOWERED", "UNDERPOWERED TIMING_NOT_FOUND"),
    (
        {"dsr": 0.9, "timing_deflated": 0.2, **power(39.99, 40)},
        "UNDERPOWERED",
        "UNDERPOWERED LOW_DEFLATED_SHARPE TIMING_NOT_FOUND",
    ),
    ({"dsr": 0.9, **power(40, 40)}, "DOUBTFUL", "LOW_DEFLATED_SHARPE"),
    ({"dsr": 0.9, **power(40, None)}, "UNDERPOWERED", "UNDERPOWERED LOW_DEFLATED_SHARPE"),
    ({"dsr": 0.9, **power(-1, None)}, "DOUBTFUL", "LOW_DEFLATED_SHARPE"),
    ({"dsr": 0.9, **power(0, 40)}, "DOUBTFUL", "LOW_DEFLATED_SHARPE"),
    ({"dsr": 0.9, **power(-1, 40)}, "DOUBTFUL", "LOW_DEFLATED_SHARPE"),
    ({"dsr": 0.9, "timing": None}, "DOUBTFUL", "LOW_DEFLATED_SHARPE TIMING_NOT_TESTABLE"),
    ({**power(20, 40)}, "NO_OBJECTION", ""),
    ({"dsr": 0.9, "engines_differ": 1, **power(20, 40)}, "DOUBTFUL", "LOW_DEFLATED_SHARPE ENGINES_DIFFER"),
    ({"dsr": 0.9, "bars": 249, **power(20, 40)}, "TOO_LITTLE_DATA", "FEW_BARS LOW_DEFLATED_SHARPE"),
    (
        {"dsr": 0.9, "is_simulated": True, **power(20, 40)},
        "UNDERPOWERED",
        "UNDERPOWERED LOW_DEFLATED_SHARPE SIMULATED_PRICES",
    ),
    # costs and fills
    ({"break_even_fee": 0.00199}, "DOUBTFUL", "THIN_COST_MARGIN"),
    ({"break_even_fee": None}, "NO_OBJECTION", ""),
    ({"break_even_fee": None, "total_return": -5.0}, "DOUBTFUL", "THIN_COST_MARGIN"),
    (
        {"break_even_fee": None, "total_return": -5.0, "dsr": 0.9, **power(20, 40)},
        "DOUBTFUL",
        "LOW_DEFLATED_SHARPE THIN_COST_MARGIN",
    ),
    ({"total_return": 0.0, "dsr": 0.9, **power(20, 40)}, "DOUBTFUL", "LOW_DEFLATED_SHARPE"),
    ({"rules": FREE, "break_even_fee": 0.00001}, "NO_OBJECTION", ""),
    ({"rules": FREE, "break_even_fee": 0.0}, "DOUBTFUL", "THIN_COST_MARGIN"),
    ({"break_even_fee": -0.001}, "DOUBTFUL", "THIN_COST_MARGIN"),
    ({"break_even_fee": 0.001}, "DOUBTFUL", "THIN_COST_MARGIN"),
    ({"rules": FREE, "break_even_fee": -0.001}, "DOUBTFUL", "THIN_COST_MARGIN"),
    ({"fill_band": band(-1.0, 1.0)}, "DOUBTFUL", "FILL_BAND_CHANGES_SIGN"),
    ({"fill_band": band(1.0, -1.0)}, "DOUBTFUL", "FILL_BAND_CHANGES_SIGN"),
    ({"fill_band": band(0.0, 1.0)}, "DOUBTFUL", "FILL_BAND_CHANGES_SIGN"),
    ({"fill_band": band(0.1, 1.0)}, "NO_OBJECTION", "AMBIGUOUS_BARS"),
    ({"fill_band": band(-1.0, -0.1)}, "NO_OBJECTION", "AMBIGUOUS_BARS"),
    ({"gaps_traded": (GAP,)}, "DOUBTFUL", "GAPS_TRADED_ACROSS"),
    ({"engines_differ": 1}, "DOUBTFUL", "ENGINES_DIFFER"),
    ({"engines_differ": None}, "NO_OBJECTION", ""),
    # notes
    ({"fill_band": band(1, 2, 0), "total_trades": 30}, "NO_OBJECTION", ""),
    ({"fill_band": band(1, 2, 1), "total_trades": 100}, "NO_OBJECTION", "AMBIGUOUS_BARS"),
    ({"fill_band": band(1, 2, 1), "total_trades": 101}, "NO_OBJECTION", ""),
    ({"fill_band": band(1, 2, 4), "total_trades": 1_000}, "NO_OBJECTION", ""),
    ({"fill_band": band(1, 2, 5), "total_trades": 1_000}, "NO_OBJECTION", "AMBIGUOUS_BARS"),
    ({"is_simulated": True, "reduced_entries": 1}, "NO_OBJECTION", "SIMULATED_PRICES ENTRIES_REDUCED"),
    ({"best_trades": without_best(0.0)}, "NO_OBJECTION", "PROFIT_NEEDS_BEST_TRADE"),
    ({"best_trades": without_best(0.1)}, "NO_OBJECTION", ""),
    ({"best_trades": without_best(None)}, "NO_OBJECTION", ""),
    ({"best_trades": without_best(-5.0), "total_return": 0.0}, "NO_OBJECTION", ""),
    ({"are_trades_autocorrelated": True}, "NO_OBJECTION", "TRADES_AUTOCORRELATED"),
    ({"buy_and_hold": held(30.1)}, "NO_OBJECTION", "BELOW_BUY_AND_HOLD"),
    ({"buy_and_hold": held(30.0)}, "NO_OBJECTION", ""),
    # Both engines round the same run apart.
    ({"buy_and_hold": held(30.0 + 1e-8)}, "NO_OBJECTION", ""),
    ({"buy_and_hold": held(29.9)}, "NO_OBJECTION", ""),
    ({"buy_and_hold": held(-50.0)}, "NO_OBJECTION", ""),
    ({"buy_and_hold": held(-5.0), "total_return": -10.0}, "NO_OBJECTION", "BELOW_BUY_AND_HOLD"),
    ({"buy_and_hold": held(40.0), "rules": SHORT}, "NO_OBJECTION", "BELOW_BUY_AND_HOLD"),
    ({"buy_and_hold": held(-60.0), "rules": SHORT}, "NO_OBJECTION", ""),
    # the gravest first
    (
        {**rows(signals=signals(changed=11)), "dsr": 0.9, "bars": 249, "is_simulated": True},
        "DISPROVED",
        "LOOKS_AHEAD FEW_BARS LOW_DEFLATED_SHARPE SIMULATED_PRICES",
    ),
]


@pytest.mark.parametrize(("changes", "level", "expected"), TABLE)
def test_evidence_gives_level_and_codes(changes: dict[str, Any], level: str, expected: str) -> None:
    verdict = reach_verdict(make_evidence(**changes))
    assert (verdict.level.value, " ".join(codes(verdict))) == (level, expected)


@pytest.mark.parametrize(
    ("low", "high", "is_noted"), [(0, 1, True), (-1, 0, True), (0.01, 1, False), (-1, -0.01, False)]
)
def test_sharpe_interval_holding_zero_is_noted(low: float, high: float, is_noted: bool) -> None:
    confidence = replace(make_evidence().confidence, sharpe_ratio=Interval(low=low, high=high))
    assert codes(reach_verdict(make_evidence(confidence=confidence))) == ["SHARPE_MAY_BE_ZERO"] * is_noted


def test_missing_sharpe_interval_gives_no_note() -> None:
    confidence = replace(make_evidence().confidence, sharpe_ratio=None)
    assert codes(reach_verdict(make_evidence(confidence=confidence))) == []


def test_every_reason_is_reached_by_table() -> None:
    reached = {code for changes, _, _ in TABLE for code in codes(reach_verdict(make_evidence(**changes)))}
    assert reached | {"SHARPE_MAY_BE_ZERO"} == {code.value for code in ReasonCode}


evidences = st.fixed_dictionaries(
    {},
    optional={
        "total_trades": st.integers(0, 200),
        "bars": st.integers(1, 2_000),
        "dsr": st.none() | st.floats(0, 1),
        "psr": st.none() | st.floats(0, 1),
        "trials": st.integers(0, 200),
        "timing": st.none() | st.builds(replace, st.just(TIMING), edge=st.floats(-1e3, 1e3)),
        "smallest_visible_edge_deflated": st.none() | st.floats(1e-3, 1e3),
        "bars_needed_deflated": st.none() | st.integers(1),
        "timing_deflated": st.none() | st.floats(0, 1),
        "break_even_fee": st.none() | st.floats(-1, 1),
        "fill_band": st.none() | st.builds(band, st.floats(-100, 1e6), st.floats(-100, 1e6), st.integers(1, 50)),
        "gaps_traded": st.lists(st.just(GAP), max_size=5).map(tuple),
        "engines_differ": st.none() | st.integers(0, 3_000),
        "reduced_entries": st.integers(0, 3),
        "buy_and_hold": st.none() | st.floats(-100, 1e6).map(held),
        "best_trades": st.none().map(without_best) | st.floats(-100, 1e6).map(without_best),
        "leaks": st.none()
        | st.builds(
            Leaks,
            rows=st.none()
            | st.builds(
                replace, st.just(ROWS), differing=st.integers(0, 1_000), is_repeatable=st.none() | st.booleans(),
                signals=st.none() | st.builds(signals, changed=st.integers(0, 1_000), changes_sign=st.booleans()),
            ),
            overlap=st.sampled_from([None, OVERLAP, SEEN]),
            training=st.none() | st.integers(0, 2_000).map(trained),
        ),
        "has_model": st.booleans(),
        "is_simulated": st.booleans(),
        "overfitting_probability": st.none() | st.floats(0, 1),
        "superiority_p_value": st.none() | st.floats(0, 1),
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(evidences)
def test_verdict_is_gravest_of_reasons_with_figures(changes: dict[str, Any]) -> None:
    verdict = reach_verdict(make_evidence(**changes))
    order = list(VerdictLevel)
    levels = [reason.level for reason in verdict.reasons]
    given_levels = [level for level in levels if level is not None]
    assert verdict.level is min(given_levels, key=order.index, default=VerdictLevel.NO_OBJECTION)
    ranks = [
        (len(order) if reason.level is None else order.index(reason.level), list(ReasonCode).index(reason.code))
        for reason in verdict.reasons
    ]
    assert ranks == sorted(ranks)
    assert len(set(codes(verdict))) == len(verdict.reasons)
    for reason in verdict.reasons:
        assert reason.text.endswith(".")
        assert "_" not in reason.text
        if reason.value is not None:
            figures = {
                format_figure(reason.value, reason.threshold),
                f"{reason.value:,.0f}",
                format_figure(reason.value),
            }
            assert any(figure in reason.text for figure in figures), (figures, reason.text)
    assert len({item.code for item in verdict.not_checked}) == len(verdict.not_checked)
    assert all(item.why.endswith(".") for item in verdict.not_checked)


@pytest.mark.parametrize(
    ("value", "threshold", "text"),
    [
        (0.9499, 0.95, "0.9499"), (0.62, 0.95, "0.62"), (0.05004, 0.05, "0.05004"), (1234567.8, None, "1,234,568"),
        (0.95, 0.95, "0.95"), (0.0, None, "0"), (-12.345, 0.0, "-12.3"), (20.0, None, "20"), (1e-9, None, "1e-09"),
        (100.0, None, "100"),
    ],
)  # fmt: skip
def test_figure_is_told_from_its_threshold(value: float, threshold: float | None, text: str) -> None:
    assert format_figure(value, threshold) == text


def not_checked(**changes: Any) -> list[str]:
    return [item.code for item in reach_verdict(make_evidence(**changes)).not_checked]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, []),
        (model(), []),
        (model(rows=None), ["LEAK_AUDIT"]),
        ({"has_model": True}, ["LEAK_AUDIT"]),
        ({"dsr": None, "dsr_dependent": None}, ["DEFLATED_SHARPE"]),
        ({"break_even_fee": None}, ["COST_MARGIN"]),
        ({"engines_differ": None}, ["OTHER_ENGINE"]),
        ({"rules": replace(RULES, direction=Direction.SHORT)}, ["FUNDING"]),
        ({"rules": replace(RULES, direction=Direction.BOTH)}, ["FUNDING"]),
    ],
)
def test_unmade_checks_are_listed(changes: dict[str, Any], first: list[str]) -> None:
    assert not_checked(**changes) == [*first, "MARKET_IMPACT", "TRIALS_ELSEWHERE"]


def test_failure_reported_by_caller_is_not_listed_twice() -> None:
    failure = NotChecked(code=LEAK_AUDIT, why="The model did not answer in time.")
    found = reach_verdict(make_evidence(**model(rows=None), not_checked=(failure,))).not_checked
    assert [item for item in found if item.code == LEAK_AUDIT] == [failure]


def test_only_measured_false_alarm_rates_are_given() -> None:
    rates = {
        reason.code.value: reason.false_alarm_rate
        for changes, _, _ in TABLE
        for reason in reach_verdict(make_evidence(**changes)).reasons
    }
    assert {code for code, rate in rates.items() if rate == 0.03} == {
        "LOOKS_AHEAD", "NOT_REPEATABLE", "HIGH_HIT_RATE", "UNEVEN_HIT_RATE", "LOSES_WHEN_DELAYED"
    }  # fmt: skip
    assert {rate for rate in rates.values() if rate != 0.03} == {None}


TEXTS: list[tuple[dict[str, Any], str]] = [
    (
        rows(),
        "The prediction of a bar depends on the bars that are predicted with it: 7 of 1,000 rows differ "
        "among other rows, where 0 should. In live trading its signals may differ.",
    ),
    (
        rows(signals=signals(changed=11, differs_like_rounding=True)),
        "The prediction of a bar depends on the bars that are predicted with it: 7 of 1,000 rows differ "
        "among other rows, where 0 should. The differences look like rounding, small and without pattern, as in "
        "a dynamically quantized network. In live trading its signals may differ.",
    ),
    (
        rows(signals=signals(changed=3, differs_at_end_only=True)),
        "The model looks ahead: if the bars are cut off, its predictions for the last bars before the cut change, and "
        "no others do. In 8 such tries 30 predictions changed, where 0 should. 3 signals changed with them, the first "
        "at bar 70.",
    ),
    (
        rows(signals=signals(changed=0, differing=2, differs_at_end_only=True)),
        "The model looks ahead: if the bars are cut off, its predictions for the last bars before the cut change, and "
        "no others do. In 8 such tries 2 predictions changed, where 0 should. No signal changed in these tries, but "
        "each prediction of the backtest was made with bars that do not exist yet in live trading.",
    ),
    (
        rows(signals=signals(changed=0, differing=0, prefixes=20)),
        "The prediction of a bar depends on the bars before it, or on how many they are. It did not change in any of "
        "20 tries without the later bars, or with others in their place, so no later bar was read there. In live "
        "trading give the model the same earlier bars, from the same first one on.",
    ),
    (
        rows(signals=signals(changed=11)),
        "The model looks ahead: without the later bars 11 of 1,000 signals change (1.1 %; at most 1 % are"
        " allowed), the first at bar 70.",
    ),
    (
        rows(signals=signals(changed=1, changes_sign=True, first_bar=None)),
        "The model looks ahead: without the later bars 1 of 1,000 signals change (0.1 %; at most 1 % are "
        "allowed). The net return has another sign without the later bars.",
    ),
    (
        model(rows=replace(ROWS, differing=7, is_repeatable=False)),
        "The model predicts something else when it is asked for the same rows again, so this result "
        "cannot be repeated.",
    ),
    (
        model(training=trained(400)),
        "The model was trained on 400 of these 1,000 bars, where 0 should be: read the out-of-sample part"
        " instead, which trades only the bars after the training.",
    ),
    (
        model(training=trained(1_000)),
        "The model was trained on all of these bars (1,000 of 1,000): it knew how they end, and no bar is"
        " left to test it on.",
    ),
    (
        model(training=None),
        "It is not known which bars the model was trained on. If these are among them, the result proves "
        "nothing. Declare the training window, and the bars after it are tested on their own.",
    ),
    (
        model(overlap=replace(SEEN, has_wide_kuiper_range=False, has_high_lag_z=False)),
        "The next bar went the position's way in 61.3 % of 800 bars; over 57 % is rarely seen on bars "
        "that a model was not trained on.",
    ),
    (
        model(overlap=replace(SEEN, has_high_hit_rate=False, has_high_lag_z=False)),
        "The model is right far more often in one part of the bars than in the rest, as if it was trained"
        " on that part: the hits' unevenness is 2.41, the limit 2.",
    ),
    (
        model(overlap=replace(SEEN, has_high_hit_rate=False, has_wide_kuiper_range=False)),
        "The profit depends on acting at the very bar of the signal, as if the model knew the next one: "
        "one bar later the loss is 3.7 standard errors, the limit 3.",
    ),
    (
        {"total_trades": 1},
        "Too few trades to tell skill from luck: 1 closed, where 20 are needed.",
    ),
    (
        {"bars": 1},
        "Too short to tell skill from luck: 1 bar, where 250 are needed.",
    ),
    (
        {"trials": 90, "dsr": 0.621},
        "Luck may explain the Sharpe ratio: the probability that the true one is over what luck alone "
        "gives the best of 90 trials is 0.621, where at least 0.95 is needed.",
    ),
    (
        {"timing_deflated": 0.2618, "active_trials_effective": 24.31},
        "The chance that the best of about 24 such runs, traded at other times, would earn as much is 0.262; at "
        "most 0.05 is allowed. The Sharpe ratio is high enough even so: "
        "holding while the market rose can explain it, and that it matters when it bought is not shown.",
    ),
    (
        {"timing_deflated": 0.2618, "active_trials_effective": 1.0, "dsr": None, "dsr_dependent": None},
        "The same trades at other times would earn as much with a probability of 0.262; at most 0.05 is allowed.",
    ),
    (
        {"timing_deflated": 0.3, "buy_and_hold_return": -5.0},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: holding "
        "positions at all can explain it, and that it matters when it bought and sold is not shown.",
    ),
    (
        {"timing_deflated": 0.3, "buy_and_hold_return": None},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: holding "
        "positions at all can explain it, and that it matters when it bought and sold is not shown.",
    ),
    (
        {"timing_deflated": 0.3, "buy_and_hold_return": -5.0, "rules": replace(RULES, direction=Direction.SHORT)},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: being "
        "short while the market fell can explain it, and that it matters when it sold is not shown.",
    ),
    (
        {"timing_deflated": 0.3, "buy_and_hold_return": 5.0, "rules": replace(RULES, direction=Direction.SHORT)},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: holding "
        "positions at all can explain it, and that it matters when it bought and sold is not shown.",
    ),
    (
        {"timing_deflated": 0.3, "rules": replace(RULES, direction=Direction.BOTH)},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: holding "
        "positions at all can explain it, and that it matters when it bought and sold is not shown.",
    ),
    (
        {"timing": None},
        "It cannot be tested whether it matters when the strategy is in the market. The test needs at "
        "least 10 positions one after another, times without a position, and enough bars to move them by "
        "100 different distances.",
    ),
    (
        {"overfitting_probability": 0.82},
        "Parameters that are best on one half of the bars are below the median on the other with a "
        "probability of 0.82; at most 0.7 is allowed.",
    ),
    (
        {"superiority_p_value": 0.85},
        "The best parameters may beat buying and holding by luck only: with a probability of 0.85 luck "
        "gives as much, where at most 0.05 is allowed.",
    ),
    (
        {"break_even_fee": 0.00199},
        "Slightly higher costs take the profit: the return is 0 at a fee of 0.199 % a side, where at "
        "least 0.2 % is needed (2 times the fee charged).",
    ),
    (
        {"break_even_fee": 0.001},
        "Slightly higher costs take the profit: the return is 0 at a fee of 0.1 % a side, where at least "
        "0.2 % is needed (2 times the fee charged).",
    ),
    (
        {"break_even_fee": 0.0005},
        "It loses at the fee charged: the return is 0 at a fee of 0.05 % a side, where at least 0.2 % is "
        "needed (2 times the fee charged).",
    ),
    (
        {"break_even_fee": -0.001},
        "It earns nothing even without fees: the return is 0 at a fee of -0.1 % a side, where at least "
        "0.2 % is needed.",
    ),
    (
        {"rules": FREE, "break_even_fee": 0.0},
        "It earns nothing even without fees: the return is 0 at a fee of 0 % a side, where over 0 % is needed.",
    ),
    (
        {"fill_band": band(-38.2, 42.04, 7)},
        "Whether this earns depends on 7 bars that do not tell what was hit first: the total return is "
        "-38.2 % if it was the stop, 42 % if it was the target, one over 0 and the other not.",
    ),
    (
        {"fill_band": band(3.21, 4.5, 1)},
        "1 bar does not tell what was hit first: the total return is 3.21 % if it was the stop, 4.5 % if "
        "it was the target.",
    ),
    (
        {"fill_band": band(3.21, 4.5, 7)},
        "7 bars do not tell what was hit first: the total return is 3.21 % if it was the stop, 4.5 % if "
        "it was the target.",
    ),
    (
        {"gaps_traded": (GAP,)},
        "Trades were held through 1 long gap of 47 bars between 1970-01-01 and 1970-01-03. What stops and"
        " signals would have done there is not known; 0 such gaps are allowed.",
    ),
    (
        {"gaps_traded": (GAP, replace(GAP, missing_bars=50))},
        "Trades were held through 2 long gaps: 50 bars between 1970-01-01 and 1970-01-03, 47 bars between"
        " 1970-01-01 and 1970-01-03. What stops and signals would have done there is not known; 0 such "
        "gaps are allowed.",
    ),
    (
        {"gaps_traded": tuple(replace(GAP, missing_bars=n) for n in (11, 14, 12, 13))},
        "Trades were held through 4 long gaps; the longest: 14 bars between 1970-01-01 and 1970-01-03, 13"
        " bars between 1970-01-01 and 1970-01-03, 12 bars between 1970-01-01 and 1970-01-03. What stops "
        "and signals would have done there is not known; 0 such gaps are allowed.",
    ),
    (
        {"engines_differ": 1},
        "The two engines differ in 1 fill, where 0 should: one of them fills orders wrongly.",
    ),
    (
        {"engines_differ": 3},
        "The two engines differ in 3 fills, where 0 should: one of them fills orders wrongly.",
    ),
    (
        {"is_simulated": True},
        "The prices are simulated: these figures tell nothing about a real market.",
    ),
    (
        {"reduced_entries": 1, "rules": replace(RULES, sizing=Sizing(fixed_units=2.0))},
        "1 entry was cut to what the cash allowed: the fixed size of 2 costs more than there was.",
    ),
    (
        {"reduced_entries": 3},
        "3 entries were cut to what the cash allowed: the size asked for costs more than there was.",
    ),
    (
        {"best_trades": without_best(-3.2)},
        "The profit comes from one trade: without the best one the total return is -3.2 % instead of 30 "
        "%, which is not over 0.",
    ),
    (
        {"buy_and_hold": held(812.44)},
        "Buying and holding returned more over the same bars: 812 % after costs, the run 30 %.",
    ),
    (
        {"buy_and_hold": held(30.01)},
        "Buying and holding returned more over the same bars: 30.01 % after costs, the run 30 %.",
    ),
    (
        {"buy_and_hold": held(-5.0), "total_return": -12.5, "rules": SHORT},
        "Buying and holding returned more over the same bars: -5 % after costs, the run -12.5 %.",
    ),
    (
        {"buy_and_hold": held(31.0), "rules": SHORT},
        "Buying and holding returned more over the same bars: 31 % after costs, the run 30 %. A run that is only short "
        "has to expect that in a rising market.",
    ),
    (
        {"are_trades_autocorrelated": True},
        "Profits of neighboring trades are related (autocorrelation 0.3): win rate and profit factor are "
        "less certain than their intervals say.",
    ),
    (
        {"confidence": replace(make_evidence().confidence, sharpe_ratio=Interval(low=-0.31, high=1.2))},
        "The true Sharpe ratio may be 0: with a certainty of 95 % it lies between -0.31 and 1.2.",
    ),
    (
        {"trials": 1},
        "The service has seen no other trial of yours on this market. If you tried others elsewhere and "
        "chose this one, its figures look better than they are.",
    ),
]


@pytest.mark.parametrize(("changes", "text"), TEXTS)
def test_reason_is_said_in_sentence(changes: dict[str, Any], text: str) -> None:
    assert [reason.text for reason in reach_verdict(make_evidence(**changes)).reasons] == [text]


@pytest.mark.parametrize(("bars", "end"), [(1_234, "About 1,234 bars would do."), (None, "More bars are needed.")])
@pytest.mark.parametrize(
    ("smallest", "trials", "seen"),
    [
        (41.72, 1.0, "the smallest edge that can be found on them is 41.7 % a year"),
        (41.72, 29.6, "the smallest edge that can be found on them among about 30 independent trials is 41.7 % a year"),
        (None, 29.6, "no edge can be found on them among about 30 independent trials"),
    ],
)
def test_underpowered_reason_says_how_many_bars_would_do(
    bars: int | None, end: str, smallest: float | None, trials: float, seen: str
) -> None:
    changes = power(20.34, smallest, bars) | {"active_trials_effective": trials}
    found = reach_verdict(make_evidence(dsr=0.9, **changes)).reasons[0]
    assert found.text == f"These bars are too few to tell: the timing earned 20.3 % a year, but {seen}. {end}"
    assert (found.value, found.threshold) == (20.34, smallest)


def first_text(**changes: Any) -> str:
    return reach_verdict(make_evidence(**changes)).reasons[0].text


def test_hurdle_of_only_trial_is_zero_in_sentence() -> None:
    assert "the true one is over 0 is 0.9," in first_text(trials=1, dsr=0.9)


def test_short_run_on_flat_market_names_no_fall() -> None:
    short = replace(RULES, direction=Direction.SHORT)
    assert "while the market fell" not in first_text(timing_deflated=0.3, buy_and_hold_return=0.0, rules=short)


def test_profit_is_not_explained_by_jump_of_market() -> None:
    """The metric has the jump of a relisted symbol, and buying and holding has not."""
    with_jump = {"timing_deflated": 0.3, "buy_and_hold_return": 2e6}
    assert "while the market rose" in first_text(**with_jump)
    assert "while the market rose" not in first_text(**with_jump, buy_and_hold=held(-99.0))


@pytest.mark.parametrize(("gaps", "is_cut"), [(3, False), (4, True)])
def test_longest_gaps_are_named_if_others_are_not(gaps: int, is_cut: bool) -> None:
    assert ("; the longest: " in first_text(gaps_traded=(GAP,) * gaps)) is is_cut


@pytest.mark.parametrize("ends", [(-38.0, 42.0), (42.0, -38.0)])
def test_fill_band_value_is_lower_end(ends: tuple[float, float]) -> None:
    assert reach_verdict(make_evidence(fill_band=band(*ends))).reasons[0].value == -38.0


def test_fill_band_from_below_to_zero_keeps_sign() -> None:
    assert codes(reach_verdict(make_evidence(fill_band=band(-1.0, 0.0)))) == ["AMBIGUOUS_BARS"]


def test_band_without_ambiguous_bars_gives_no_note() -> None:
    assert codes(reach_verdict(make_evidence(fill_band=band(1.0, 2.0, 0), total_trades=0))) == ["FEW_TRADES"]
