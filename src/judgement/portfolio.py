"""Reach the verdict on a portfolio with the checks that do not need the bars of a single symbol."""

from __future__ import annotations

from collections.abc import Iterator

from src.domain.confidence import Deflation
from src.domain.judgement import FillBand
from src.domain.performance import Metrics
from src.domain.simulation import Simulation
from src.domain.trading import TradingRules
from src.domain.verdict import NotChecked, Reason, ReasonCode, Verdict, VerdictLevel
from src.judgement.evidence import format_figure, make_objection
from src.judgement.notes import note_ambiguous_bars, note_changed_entries, note_simulated_prices, note_unreachable_stop
from src.judgement.reasons import (
    MIN_COST_MARGIN,
    data_objections,
    deflated_sharpe,
    fill_band_objections,
    ruin_objections,
    sharpe_objections,
)
from src.judgement.unpriced import find_unpriced_costs
from src.judgement.verdict import LEAK_AUDIT, rank_reason


def judge_portfolio(
    metrics: Metrics,
    deflation: Deflation,
    *,
    rules: TradingRules,
    simulation: Simulation,
    dearer_return: float | None,
    fill_band: FillBand | None,
    has_model: bool,
    is_simulated: bool,
) -> Verdict:
    """Return the level, the reasons (the gravest first, notes last) and the checks that were not made.

    `simulation` is the portfolio as one run. `dearer_return` is the total return, in per cent, at `MIN_COST_MARGIN`
    times the fees and slippage; None if that run failed. `fill_band` is None if no bar was ambiguous.
    """
    found = [*data_objections(metrics), *ruin_objections(metrics), *sharpe_objections(metrics, deflation)]
    has_traded = metrics.total_trades + metrics.open_trades > 0
    if has_traded and dearer_return is not None and dearer_return <= 0:
        found.append(_thin_cost_margin(metrics, dearer_return))
    found += fill_band_objections(fill_band)
    found += note_changed_entries(rules, reduced=simulation.reduced_entries, dropped=simulation.dropped_entries)
    found += note_ambiguous_bars(fill_band, metrics.total_trades)
    if is_simulated:
        found.append(note_simulated_prices())
    found += note_unreachable_stop(rules)
    reasons = sorted(found, key=rank_reason)
    return Verdict(
        level=next((reason.level for reason in reasons if reason.level is not None), VerdictLevel.NO_OBJECTION),
        reasons=tuple(reasons),
        not_checked=tuple(_list_not_checked(deflation, rules, dearer_return, has_model)),
    )


def _thin_cost_margin(metrics: Metrics, dearer_return: float) -> Reason:
    meaning = "It earns nothing at the costs charged" if metrics.total_return <= 0 else "Higher costs take the profit"
    return make_objection(
        VerdictLevel.DOUBTFUL,
        ReasonCode.THIN_COST_MARGIN,
        f"{meaning}: at {MIN_COST_MARGIN:g} times the fees and slippage the total return is "
        f"{format_figure(dearer_return, 0.0)} %, where more than 0 % is needed.",
        value=dearer_return,
        threshold=0.0,
        unit="per cent",
    )


def _list_not_checked(
    deflation: Deflation, rules: TradingRules, dearer_return: float | None, has_model: bool
) -> Iterator[NotChecked]:
    if has_model:
        yield NotChecked(code=LEAK_AUDIT, why="Whether the model looks ahead is examined in runs of one symbol only.")
    if deflated_sharpe(deflation) is None:
        yield NotChecked(
            code="DEFLATED_SHARPE", why="The returns have no variance, or are too few for a standard error."
        )
    if dearer_return is None:
        yield NotChecked(code="COST_MARGIN", why="The run at higher costs failed.")
    yield NotChecked(code="TIMING", why="Whether it matters when it is in the market is tested in runs of one symbol.")
    yield NotChecked(code="NEARBY_PARAMETERS", why="Nearby parameters are tried in runs of one symbol only.")
    yield NotChecked(
        code="SURVIVORSHIP",
        why="The symbols are those that were asked for: markets that failed or were closed may be missing.",
    )
    for code, why in find_unpriced_costs(rules):
        yield NotChecked(code=code, why=why)
    yield NotChecked(code="TRIALS_ELSEWHERE", why="Trials that were made outside of this service are not counted.")
