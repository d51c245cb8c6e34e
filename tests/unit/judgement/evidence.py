"""Evidence for verdicts that nothing objects to, and its parts to change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from src.domain.bar_quality import Gap
from src.domain.benchmarks import Benchmarks, BestTrades, BuyAndHold, TimingTest
from src.domain.confidence import Confidence, Deflation, Interval
from src.domain.intervals import DAY_MS
from src.domain.judgement import FillBand, SweepChoice
from src.domain.leaks import Leaks, OverlapSigns, RowAudit, SignalChanges, TrainingOverlap
from src.domain.order_rules import Exits, Margin
from src.domain.trading import Direction, FillTiming, TradingRules
from src.judgement.evidence import Evidence
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
        "reduced_entries": 0, "dropped_entries": 0, "has_model": False, "not_checked": (),
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


def model(**changes: Any) -> dict[str, Any]:
    return {"has_model": True, "leaks": replace(LEAKS, **changes)}


def rows(**changes: Any) -> dict[str, Any]:
    return model(rows=replace(ROWS, differing=7, is_repeatable=True, **changes))


def trained(bars_seen: int) -> TrainingOverlap:
    return replace(TRAINING, bars_seen=bars_seen, share_seen=bars_seen / 1_000, bars_after=1_000 - bars_seen)


def before_training(bars: int) -> TrainingOverlap:
    """Return a training window that begins after so many of the bars, and holds none of them."""
    return replace(TRAINING, trained_from_ms=1_704_067_200_000, bars_before=bars, bars_seen=0, bars_after=0)


def signals(**changes: Any) -> SignalChanges:
    return replace(CHANGES, **changes)


def held(total_return: float) -> BuyAndHold:
    return BuyAndHold(total_return=total_return, sharpe_ratio=None, max_drawdown=20.0)


def band(pessimistic: float, optimistic: float, bars: int = 1) -> FillBand:
    return FillBand(pessimistic_return=pessimistic, optimistic_return=optimistic, ambiguous_bars=bars)


def leveraged(leverage: float, *, stop: float | None) -> TradingRules:
    return replace(RULES, margin=Margin(leverage=leverage), exits=Exits(stop_loss_rate=stop))


def without_best(value: float | None) -> BestTrades:
    return BestTrades(share_of_best=None, share_of_best5=None, return_without_best=value, return_without_best5=None)


def power(edge: float, smallest: float | None, bars_needed: int | None = 2_560) -> dict[str, Any]:
    """The figures of the single test would object to nothing: those among all trials decide."""
    timing = replace(TIMING, edge=edge, smallest_visible_edge=1e-9, bars_needed=1)
    return {"timing": timing, "smallest_visible_edge_deflated": smallest, "bars_needed_deflated": bars_needed}


FREE = replace(RULES, fee_rate=0.0)


def choice(
    overfitting_probability: float | None, superiority_p_value: float | None, timing_p_value: float | None = None
) -> SweepChoice:
    return SweepChoice(
        overfitting_probability=overfitting_probability,
        superiority_p_value=superiority_p_value,
        timing_p_value=timing_p_value,
    )
