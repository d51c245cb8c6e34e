"""Each check of the verdict, on both sides of its limit, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.judgement import Interval, NotChecked, Reason, VerdictLevel
from src.domain.market import Gap
from src.domain.trading import FillTiming, TradingRules
from src.judgement.verdict import ALWAYS_UNCHECKED, Evidence, reach_verdict
from tests.factories import make_metrics
from tests.judgements import (
    BAND,
    BARS,
    BENCHMARKS,
    CHANGES,
    CONFIDENCE,
    DEFLATION,
    LEAKS,
    OVERLAP,
    ROWS,
    TIMING,
    TRAINING,
    make_evidence,
)

HOUR_MS = 3_600_000


def rows(**changes: Any) -> dict[str, Any]:
    return {"has_model": True, "leaks": replace(LEAKS, rows=replace(ROWS, **changes))}


def changed(**changes: Any) -> dict[str, Any]:
    return rows(differing=400, is_repeatable=True, signals=replace(CHANGES, **changes))


def overlap(training: Any = None, **changes: Any) -> dict[str, Any]:
    return {"has_model": True, "leaks": replace(LEAKS, training=training, overlap=replace(OVERLAP, **changes))}


def trained(seen: int) -> dict[str, Any]:
    share = seen / BARS
    return {"has_model": True, "leaks": replace(LEAKS, training=replace(TRAINING, bars_seen=seen, share_seen=share))}


def amount(**changes: Any) -> dict[str, Any]:
    return {"metrics": make_metrics(**{"bars": BARS, "total_trades": 40, "total_return": 30.0} | changes)}


def deflated(**changes: Any) -> dict[str, Any]:
    return {"deflation": replace(DEFLATION, **changes)}


def benchmarks(**changes: Any) -> dict[str, Any]:
    return {"benchmarks": replace(BENCHMARKS, **changes)}


def costs(fee: float, break_even: float | None) -> dict[str, Any]:
    return {"rules": TradingRules(fill=FillTiming.NEXT_OPEN, fee_rate=fee), **benchmarks(break_even_fee=break_even)}


def band(low: float, high: float, bars: int = 6) -> dict[str, Any]:
    return {"fill_band": replace(BAND, pessimistic_return=low, optimistic_return=high, ambiguous_bars=bars)}


def confidence(**changes: Any) -> dict[str, Any]:
    return {"confidence": replace(CONFIDENCE, **changes)}


def best(without: float | None, total: float = 30.0) -> dict[str, Any]:
    trades = replace(BENCHMARKS.best_trades, return_without_best=without)
    return {**benchmarks(best_trades=trades), **amount(total_return=total)}


def gaps(*missing: int) -> dict[str, Any]:
    found = (Gap(after_ms=0, next_ms=(bars + 1) * HOUR_MS, missing_bars=bars) for bars in missing)
    return {"gaps_traded": tuple(found)}


UNSEEN = replace(TIMING, edge=14.0)
WEAK = {"dsr_dependent": 0.9}

TABLE: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "nothing": ({}, "NO_OBJECTION", []),
    "equal rows": (rows(), "NO_OBJECTION", []),
    "another answer": (rows(differing=1, is_repeatable=False), "DISPROVED", ["NOT_REPEATABLE"]),
    "one per cent of signals": (changed(changed=10), "DOUBTFUL", ["DEPENDS_ON_OTHER_ROWS"]),
    "over one per cent": (changed(changed=11), "DISPROVED", ["LOOKS_AHEAD"]),
    "another sign": (changed(changed=1, changes_sign=True), "DISPROVED", ["LOOKS_AHEAD"]),
    "prefixes not asked": (rows(differing=3), "DOUBTFUL", ["DEPENDS_ON_OTHER_ROWS"]),
    "trained on all": (trained(BARS), "DISPROVED", ["TRAINED_ON_THIS_WINDOW"]),
    "trained on all but one": (trained(BARS - 1), "DOUBTFUL", ["TRAINED_ON_PART_OF_THIS_WINDOW"]),
    "trained before": (trained(0), "NO_OBJECTION", []),
    "training unknown": (overlap(), "NO_OBJECTION", ["TRAINING_WINDOW_UNKNOWN"]),
    "hits": (overlap(hit_rate=0.6, has_high_hit_rate=True), "DOUBTFUL", ["HIGH_HIT_RATE", "TRAINING_WINDOW_UNKNOWN"]),
    "crowded hits": (overlap(TRAINING, has_wide_kuiper_range=True), "DOUBTFUL", ["UNEVEN_HIT_RATE"]),
    "late": (overlap(TRAINING, has_high_lag_z=True), "DOUBTFUL", ["LOSES_WHEN_DELAYED"]),
    "signs in known window": (
        overlap(replace(TRAINING, bars_seen=5, share_seen=0.005), has_high_hit_rate=True),
        "DOUBTFUL",
        ["TRAINED_ON_PART_OF_THIS_WINDOW"],
    ),
    "20 trades": (amount(total_trades=20), "NO_OBJECTION", []),
    "19 trades": (amount(total_trades=19), "TOO_LITTLE_DATA", ["FEW_TRADES"]),
    "250 bars": (amount(bars=250), "NO_OBJECTION", []),
    "249 bars": (amount(bars=249), "TOO_LITTLE_DATA", ["FEW_BARS"]),
    "dsr at its limit": (deflated(dsr=0.95, dsr_dependent=0.95), "NO_OBJECTION", []),
    "dsr low": (deflated(dsr=0.9499), "DOUBTFUL", ["LOW_DEFLATED_SHARPE"]),
    "dsr of blocks low": (deflated(dsr_dependent=0.9499), "DOUBTFUL", ["LOW_DEFLATED_SHARPE"]),
    "one dsr": (deflated(dsr=None, dsr_dependent=0.5), "DOUBTFUL", ["LOW_DEFLATED_SHARPE"]),
    "without dsr": (deflated(dsr=None, dsr_dependent=None), "NO_OBJECTION", []),
    "timing at its limit": (benchmarks(timing_deflated=0.05), "NO_OBJECTION", []),
    "timing": (benchmarks(timing_deflated=0.0501), "DOUBTFUL", ["TIMING_NOT_FOUND"]),
    "no timing": (benchmarks(timing=None, timing_deflated=None), "DOUBTFUL", ["TIMING_NOT_TESTABLE"]),
    "unseen timing": (
        benchmarks(timing=UNSEEN, timing_deflated=0.2), "UNDERPOWERED", ["UNDERPOWERED", "TIMING_NOT_FOUND"],
    ),
    "unseen Sharpe ratio": (
        {**benchmarks(timing=UNSEEN), **deflated(**WEAK)}, "UNDERPOWERED", ["UNDERPOWERED", "LOW_DEFLATED_SHARPE"],
    ),
    "unseen, without objection": (benchmarks(timing=UNSEEN), "NO_OBJECTION", []),
    "edge as small as seen": (
        benchmarks(timing=replace(UNSEEN, edge=15.0), timing_deflated=0.2), "DOUBTFUL", ["TIMING_NOT_FOUND"],
    ),
    "edge of nothing": (
        benchmarks(timing=replace(UNSEEN, edge=0.0), timing_deflated=0.2), "DOUBTFUL", ["TIMING_NOT_FOUND"],
    ),
    "unseen, and dear": (
        {**costs(0.006, 0.01), **benchmarks(timing=UNSEEN, timing_deflated=0.2, break_even_fee=0.01)},
        "DOUBTFUL",
        ["TIMING_NOT_FOUND", "THIN_COST_MARGIN"],
    ),
    "unseen, and few": (
        {**benchmarks(timing=UNSEEN, timing_deflated=0.2), **amount(total_trades=19)},
        "TOO_LITTLE_DATA",
        ["FEW_TRADES", "TIMING_NOT_FOUND"],
    ),
    "overfit": ({"overfitting_probability": 0.71}, "DOUBTFUL", ["LIKELY_OVERFIT"]),
    "noise": ({"overfitting_probability": 0.7}, "NO_OBJECTION", []),
    "not superior": ({"superiority_p_value": 0.051}, "DOUBTFUL", ["NOT_SUPERIOR"]),
    "superior": ({"superiority_p_value": 0.05}, "NO_OBJECTION", []),
    "twice the fee": (costs(0.005, 0.01), "NO_OBJECTION", []),
    "under twice the fee": (costs(0.0051, 0.01), "DOUBTFUL", ["THIN_COST_MARGIN"]),
    "without fees": (costs(0.0, 0.0001), "NO_OBJECTION", []),
    "loses without fees": (costs(0.0, 0.0), "DOUBTFUL", ["THIN_COST_MARGIN"]),
    "fee unknown": (costs(0.01, None), "NO_OBJECTION", []),
    "band over zero": (band(0.0, 12.0), "NO_OBJECTION", ["AMBIGUOUS_BARS"]),
    "band around zero": (band(-0.1, 12.0), "DOUBTFUL", ["FILL_BAND_CHANGES_SIGN"]),
    "band turned round": (band(1.0, -2.0), "DOUBTFUL", ["FILL_BAND_CHANGES_SIGN"]),
    "band of a few bars": ({**band(1.0, 2.0, 4), **amount(total_trades=401)}, "NO_OBJECTION", []),
    "band of five bars": ({**band(1.0, 2.0, 5), **amount(total_trades=9_000)}, "NO_OBJECTION", ["AMBIGUOUS_BARS"]),
    "band of a share": ({**band(1.0, 2.0, 4), **amount(total_trades=400)}, "NO_OBJECTION", ["AMBIGUOUS_BARS"]),
    "gaps": (gaps(12), "DOUBTFUL", ["GAPS_TRADED_ACROSS"]),
    "engines agree": ({"engines_differ": 0}, "NO_OBJECTION", []),
    "engines differ": ({"engines_differ": 1}, "DOUBTFUL", ["ENGINES_DIFFER"]),
    "simulated": ({"is_simulated": True}, "NO_OBJECTION", ["SIMULATED_PRICES"]),
    "zero in the interval": (
        confidence(sharpe_ratio=Interval(low=0.0, high=1.0)), "NO_OBJECTION", ["SHARPE_MAY_BE_ZERO"],
    ),
    "a loss for certain": (confidence(sharpe_ratio=Interval(low=-2.0, high=-0.1)), "NO_OBJECTION", []),
    "without interval": (confidence(sharpe_ratio=None), "NO_OBJECTION", []),
    "one trade's profit": (best(0.0), "NO_OBJECTION", ["PROFIT_NEEDS_BEST_TRADE"]),
    "many trades' profit": (best(0.1), "NO_OBJECTION", []),
    "no profit": (best(-5.0, total=0.0), "NO_OBJECTION", []),
    "too few for the best": (best(None), "NO_OBJECTION", []),
    "the only trial": (deflated(trials=1), "NO_OBJECTION", ["ONLY_TRIAL_SEEN"]),
    "two trials": (deflated(trials=2), "NO_OBJECTION", []),
    "autocorrelated": (confidence(are_trades_autocorrelated=True), "NO_OBJECTION", ["TRADES_AUTOCORRELATED"]),
    "entries cut": ({"reduced_entries": 1}, "NO_OBJECTION", ["ENTRIES_REDUCED"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_check_objects_beyond_its_limit_only(case: str) -> None:
    changes, level, codes = TABLE[case]
    verdict = reach_verdict(make_evidence(**changes))
    assert (verdict.level, [reason.code for reason in verdict.reasons]) == (level, codes)


def test_gravest_reason_comes_first_and_gives_level() -> None:
    evidence = make_evidence(
        **{**trained(BARS), **amount(total_trades=1), **benchmarks(timing=None, timing_deflated=None), **gaps(20)},
        is_simulated=True,
    )
    verdict = reach_verdict(evidence)
    assert verdict.level == "DISPROVED"
    assert [reason.code for reason in verdict.reasons] == [
        "TRAINED_ON_THIS_WINDOW", "FEW_TRADES", "TIMING_NOT_TESTABLE", "GAPS_TRADED_ACROSS", "SIMULATED_PRICES",
    ]  # fmt: skip


SENTENCES = {
    "another answer": "The model gives other predictions when it is asked again for the same rows: no run of it can be "
    "repeated.",
    "over one per cent": "The model uses later bars: without them 11 of 1,000 signals change, the first at bar 77.",
    "another sign": "The model uses later bars: without them 1 of 1,000 signals change, the first at bar 77. The net "
    "return changes its sign.",
    "one per cent of signals": "The model's prediction for a bar depends on which other bars are predicted with it: "
    "400 of 980 predictions differ; without later bars 10 of 1,000 signals change.",
    "trained on all": "The model was trained on bars until 2020-01-01T23:59:59.999Z, which are all bars of this "
    "backtest: it was asked for what it had been told.",
    "trained on all but one": "The model was trained on bars until 2020-01-01T23:59:59.999Z, which are 999 of these "
    "1,000 bars. Only the figures out of sample, after them, count.",
    "training unknown": "It is not known which bars the model was trained on; on those its figures mean nothing. "
    "Declare when its training ended to see the figures after it.",
    "hits": "The next bar moved the position's way in 60.0% of 500 bars, over 57%: as if the model had been trained on "
    "these bars.",
    "crowded hits": "The hits crowd into a part of the bars (Kuiper range 1.10, over 2.0): as if the model had been "
    "trained on these bars in part.",
    "late": "One bar later the same signals earn less by 0.5 standard errors, over 3.0: as if the model had been "
    "trained on these bars.",
    "19 trades": "19 closed trades cannot tell skill from luck: at least 20 are needed.",
    "249 bars": "249 bars cannot tell skill from luck: at least 250 are needed.",
    "dsr low": "The Sharpe ratio is truly better than what the best of 9 trials (4.2 in effect) has by luck with a "
    "probability of 0.95; 0.95 is asked for.",
    "timing": "The same trades at other times earn as much in 5% of cases after 4.5 trials in effect, over 5%. The "
    "Sharpe ratio is over its hurdle with a probability of 0.97 all the same: the run earned because the market moved "
    "its way, not because of when it bought and sold.",
    "no timing": "Whether the timing of the trades mattered cannot be tested: the run has under 10 trades or too few "
    "bars, or is never in or never out of the market.",
    "unseen timing": "An edge of 14.0 % a year was measured, and only one of 15.0 % could have been told from luck on "
    "1,000 bars. About 800 bars would show it.",
    "overfit": "The best row of the sweep falls into the worse half on other bars with a probability of 0.71, over "
    "0.70.",
    "not superior": "The best row of the sweep does not beat buying and holding: p is 0.05, over 0.05.",
    "under twice the fee": "Nothing is left at a fee of 1.000% a side; the run pays 0.510%, and 2 times that is asked "
    "for as a margin.",
    "loses without fees": "The run loses even without fees.",
    "band over zero": "6 bars do not tell whether the stop or the target came first: the return is +0.00 % or "
    "+12.00 %.",
    "band around zero": "6 bars do not tell whether the stop or the target came first: the return is -0.10 % or "
    "+12.00 %, a loss or a gain.",
    "gaps": "Trades were held through 1 long gap in the bars (12 bars between 1970-01-01 and 1970-01-01T13:00Z): what "
    "stops and signals would have done there is not known.",
    "engines differ": "Both engines differ in 1 fill: report this as a fault of the service.",
    "simulated": "The bars are simulated: no market ever printed these prices.",
    "zero in the interval": "The true Sharpe ratio may be zero: its 95% interval is 0.00 to 1.00.",
    "one trade's profit": "Without its best trade the run returns +0.00 % in place of +30.00 %.",
    "the only trial": "This is the only trial on this market that the service has seen of this user: searches made "
    "elsewhere are not counted, and make every figure look better.",
    "autocorrelated": "Trades follow from those before them (autocorrelation +0.12): win rate and profit factor are "
    "less certain than their intervals say.",
    "entries cut": "1 entry cost more than the cash that was left, and was cut to it.",
}


def first_reason(case: str) -> Reason:
    return reach_verdict(make_evidence(**TABLE[case][0])).reasons[0]


@pytest.mark.parametrize("case", SENTENCES)
def test_reason_is_sentence_with_figure_and_limit(case: str) -> None:
    assert first_reason(case).text == SENTENCES[case]


def test_every_reason_has_a_tested_sentence() -> None:
    assert {code for _, _, codes in TABLE.values() for code in codes} == {first_reason(case).code for case in SENTENCES}


def test_reason_carries_figure_limit_and_unit() -> None:
    reason = first_reason("over one per cent")
    assert (reason.value, reason.threshold, reason.unit) == (0.011, 0.01, "fraction of signals")
    assert first_reason("timing").false_alarm_rate == 0.05


def test_only_trial_is_compared_with_zero() -> None:
    text = reach_verdict(make_evidence(**deflated(trials=1, dsr=0.5))).reasons[0].text
    assert text == "The Sharpe ratio is truly better than zero with a probability of 0.50; 0.95 is asked for."


def test_timing_of_weak_sharpe_ratio_explains_no_difference() -> None:
    evidence = make_evidence(**deflated(**WEAK), **benchmarks(timing_deflated=0.5, active_trials_effective=1.0))
    assert reach_verdict(evidence).reasons[1].text == (
        "The same trades at other times earn as much in 50% of cases, over 5%."
    )


def test_three_longest_gaps_are_named() -> None:
    text = reach_verdict(make_evidence(**gaps(40, 30, 20, 12, 11))).reasons[0].text
    assert "through 5 long gaps in the bars (40 bars between" in text
    assert "; and 2 shorter ones)" in text


def test_failed_checks_come_before_those_never_made() -> None:
    failed = NotChecked(code="ROW_AUDIT", why="The model crashed.")
    assert reach_verdict(make_evidence(not_checked=(failed,))).not_checked == (failed, *ALWAYS_UNCHECKED)


@given(st.lists(st.sampled_from(sorted(TABLE)), max_size=6))
def test_level_is_that_of_the_gravest_reason(cases: list[str]) -> None:
    changes: dict[str, Any] = {}
    for case in cases:
        changes |= TABLE[case][0]
    evidence: Evidence = make_evidence(**changes)
    verdict = reach_verdict(evidence)
    levels = [reason.level for reason in verdict.reasons if reason.level is not None]
    order = list(VerdictLevel)
    assert verdict.level == min(levels, key=order.index, default=VerdictLevel.NO_OBJECTION)
    codes = [reason.code for reason in verdict.reasons]
    assert len(codes) == len(set(codes))
    assert all(reason.text.endswith(".") for reason in verdict.reasons)
