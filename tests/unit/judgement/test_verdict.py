"""The verdict: levels and codes on both sides of each threshold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.confidence import Interval
from src.domain.leaks import Leaks
from src.domain.verdict import NotChecked, ReasonCode, Verdict, VerdictLevel
from src.judgement.evidence import format_figure
from src.judgement.verdict import LEAK_AUDIT, reach_verdict
from tests.thoroughness import examples
from tests.unit.judgement.evidence import (
    FREE,
    GAP,
    OVERLAP,
    ROWS,
    SEEN,
    SHORT,
    TIMING,
    band,
    before_training,
    choice,
    held,
    leveraged,
    make_evidence,
    model,
    power,
    rows,
    signals,
    trained,
    without_best,
)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code.value for reason in verdict.reasons]


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
    (model(training=before_training(1_000)), "NO_OBJECTION", "TRAINED_LATER"),
    (model(training=before_training(999)), "NO_OBJECTION", ""),
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
    ({"reduced_trials": 1}, "NO_OBJECTION", "TRIALS_REDUCED"),
    ({"missing_trials": 1}, "NO_OBJECTION", "TRIALS_MAY_BE_MISSING"),
    ({"trials": 1, "reduced_trials": 1, "missing_trials": 4}, "NO_OBJECTION", "TRIALS_REDUCED TRIALS_MAY_BE_MISSING"),
    ({"timing_deflated": 0.0501}, "DOUBTFUL", "TIMING_NOT_FOUND"),
    ({"timing_deflated": None}, "DOUBTFUL", "TIMING_NOT_TESTABLE"),
    ({"timing": None}, "DOUBTFUL", "TIMING_NOT_TESTABLE"),
    ({"choice": choice(0.7, 0.05)}, "NO_OBJECTION", ""),
    ({"choice": choice(0.7001, None)}, "DOUBTFUL", "LIKELY_OVERFIT"),
    ({"choice": choice(None, 0.0501)}, "DOUBTFUL", "NOT_SUPERIOR"),
    ({"choice": choice(None, None, 0.05)}, "NO_OBJECTION", ""),
    ({"choice": choice(None, None, 0.0501)}, "DOUBTFUL", "TIMING_NOT_FOUND"),
    ({"choice": choice(None, None, 0.04), "timing_deflated": 0.0501}, "DOUBTFUL", "TIMING_NOT_FOUND"),
    ({"choice": choice(None, None, 0.3), "timing_deflated": None}, "DOUBTFUL", "TIMING_NOT_TESTABLE"),
    ({"choice": choice(None, None, 0.3), **power(20, 40)}, "UNDERPOWERED", "UNDERPOWERED TIMING_NOT_FOUND"),
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
    ({"max_drawdown": 99.0}, "DOUBTFUL", "RUINED"),
    ({"max_drawdown": 98.99}, "NO_OBJECTION", ""),
    # notes
    ({"rules": leveraged(10, stop=0.097)}, "NO_OBJECTION", "STOP_BEYOND_LIQUIDATION"),
    ({"rules": leveraged(10, stop=0.096)}, "NO_OBJECTION", ""),
    ({"rules": leveraged(10, stop=None)}, "NO_OBJECTION", ""),
    ({"rules": leveraged(1, stop=0.99)}, "NO_OBJECTION", ""),
    ({"fill_band": band(1, 2, 0), "total_trades": 30}, "NO_OBJECTION", ""),
    ({"fill_band": band(1, 2, 1), "total_trades": 100}, "NO_OBJECTION", "AMBIGUOUS_BARS"),
    ({"fill_band": band(1, 2, 1), "total_trades": 101}, "NO_OBJECTION", ""),
    ({"fill_band": band(1, 2, 4), "total_trades": 1_000}, "NO_OBJECTION", ""),
    ({"fill_band": band(1, 2, 5), "total_trades": 1_000}, "NO_OBJECTION", "AMBIGUOUS_BARS"),
    ({"is_simulated": True, "reduced_entries": 1}, "NO_OBJECTION", "SIMULATED_PRICES ENTRIES_REDUCED"),
    ({"dropped_entries": 1}, "NO_OBJECTION", "ENTRIES_DROPPED"),
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
        "dropped_entries": st.integers(0, 3),
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
        "choice": st.none() | st.builds(choice, *[st.none() | st.floats(0, 1)] * 3),
    },
)  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
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


@pytest.mark.parametrize("ends", [(-38.0, 42.0), (42.0, -38.0)])
def test_fill_band_value_is_lower_end(ends: tuple[float, float]) -> None:
    assert reach_verdict(make_evidence(fill_band=band(*ends))).reasons[0].value == -38.0


def test_fill_band_from_below_to_zero_keeps_sign() -> None:
    assert codes(reach_verdict(make_evidence(fill_band=band(-1.0, 0.0)))) == ["AMBIGUOUS_BARS"]


def test_band_without_ambiguous_bars_gives_no_note() -> None:
    assert codes(reach_verdict(make_evidence(fill_band=band(1.0, 2.0, 0), total_trades=0))) == ["FEW_TRADES"]
