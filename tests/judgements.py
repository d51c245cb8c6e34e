"""Judgements and their evidence, made by hand: every field is filled, and no check objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from src.domain.benchmarks import Benchmarks, BestTrades, BuyAndHold, CostCase, PartResult, TimingTest
from src.domain.confidence import Confidence, Deflation, DrawdownRange, Interval, RangeOfNextPath
from src.domain.judgement import FillBand, Judgement, SweepChoice
from src.domain.leaks import Leaks, OverlapSigns, RowAudit, SignalChanges, TrainingOverlap
from src.domain.trading import FillTiming, TradingRules
from src.judgement.evidence import Evidence
from src.judgement.verdict import reach_verdict
from tests.factories import make_metrics

BARS = 1_000
TRAINED_TO_MS = 1_577_923_199_999  # 2020-01-01, the whole day

CONFIDENCE = Confidence(
    level=0.95,
    method="circular block bootstrap",
    block_length=10,
    resamples=1000,
    seed="00000000000000ff",
    sharpe_ratio=Interval(low=0.25, high=2.5),
    sharpe_error=0.02,
    win_rate=Interval(low=40.0, high=60.0),
    profit_factor=Interval(low=1.1, high=2.0),
    range_of_next_path=RangeOfNextPath(
        total_return=Interval(low=-10.0, high=90.0),
        cagr=Interval(low=-5.0, high=40.0),
        max_drawdown=DrawdownRange(median=15.0, high95=30.0),
    ),
    trade_autocorrelation=0.125,
    are_trades_autocorrelated=False,
)
DEFLATION = Deflation(
    trials=9,
    trials_effective=4.25,
    average_correlation=0.6,
    trial_sharpe_variance=0.25,
    sharpe_hurdle=0.4,
    psr=0.999,
    psr_dependent=0.998,
    dsr=0.98,
    dsr_dependent=0.97,
    min_track_record_bars=400,
    luck_equivalent_trials=250.0,
    min_backtest_bars=300,
    active_trials_effective=4.5,
    timing_deflated=0.04,
    ledger_scope="Trials that this service has seen.",
)
ROWS = RowAudit(rows=980, differing=0, largest_difference=0.01, is_repeatable=None, signals=None)
CHANGES = SignalChanges(
    prefixes=8,
    compared=1_000,
    changed=10,
    first_bar=77,
    changes_sign=False,
    differs_at_end_only=False,
    differs_like_rounding=False,
    differing=30,
    failed=1,
)
OVERLAP = OverlapSigns(
    hit_bars=500,
    hit_rate=0.52,
    kuiper_range=1.1,
    lag_z=0.5,
    has_high_hit_rate=False,
    has_wide_kuiper_range=False,
    has_high_lag_z=False,
)
TRAINING = TrainingOverlap(
    trained_from_ms=1_546_300_800_000,
    trained_to_ms=TRAINED_TO_MS,
    label_horizon=1,
    bars_seen=0,
    share_seen=0.0,
    bars_before=0,
    bars_after=500,
)
LEAKS = Leaks(rows=ROWS, overlap=OVERLAP, training=TRAINING)
TIMING = TimingTest(p_value=0.01, shifts=900, edge=20.0, smallest_visible_edge=15.0, bars_needed=800, deviation=6.0)
BENCHMARKS = Benchmarks(
    jumps_left_out=1,
    buy_and_hold=BuyAndHold(total_return=50.0, sharpe_ratio=0.8, max_drawdown=40.0),
    timing=TIMING,
    timing_deflated=0.04,
    active_trials_effective=4.5,
    smallest_visible_edge_deflated=18.5,
    bars_needed_deflated=860,
    break_even_fee=0.01,
    cost_cases=(CostCase(cost_factor=1.0, delay_bars=0, total_return=30.0, sharpe_ratio=1.2),),
    years=(PartResult(name="2020", total_return=30.0, sharpe_ratio=1.2, bars=BARS, trades=40),),
    trends=(PartResult(name="rising", total_return=20.0, sharpe_ratio=1.0, bars=500, trades=20),),
    best_trades=BestTrades(share_of_best=20.0, share_of_best5=60.0, return_without_best=10.0, return_without_best5=1.0),
    bars_below_peak=12,
    missing_crises=("COVID crash (2020-03-08 to 2020-03-12)",),
)
BAND = FillBand(pessimistic_return=5.0, optimistic_return=12.0, ambiguous_bars=6)


def make_evidence(**changes: Any) -> Evidence:
    """Return evidence of a strategy without a model that no check objects to, with these changes."""
    metrics = make_metrics(bars=BARS, total_trades=40, total_return=30.0)
    return Evidence(
        **{
            "metrics": metrics,
            "rules": TradingRules(fill=FillTiming.NEXT_OPEN),
            "confidence": CONFIDENCE,
            "deflation": DEFLATION,
            "leaks": None,
            "benchmarks": BENCHMARKS,
            "fill_band": None,
            "gaps_traded": (),
            "engines_differ": None,
            "is_simulated": False,
            "reduced_entries": 0,
            "dropped_entries": 0,
            "has_model": False,
            "not_checked": (),
        }
        | changes
    )


CHOICE = SweepChoice(overfitting_probability=0.75, superiority_p_value=0.02, timing_p_value=0.03)


def make_judgement(**changes: Any) -> Judgement:
    """Return the judgement of a model whose every part is filled; `changes` are those of its evidence."""
    signals = replace(CHANGES, changed=300)
    leaks = replace(LEAKS, rows=replace(ROWS, differing=400, is_repeatable=True, signals=signals))
    given = {"leaks": leaks, "has_model": True, "fill_band": BAND, "choice": CHOICE}
    evidence = make_evidence(**given | changes)
    return Judgement(
        verdict=reach_verdict(evidence),
        confidence=evidence.confidence,
        deflation=evidence.deflation,
        leaks=evidence.leaks,
        benchmarks=evidence.benchmarks,
        fill_band=evidence.fill_band,
        choice=evidence.choice,
    )
