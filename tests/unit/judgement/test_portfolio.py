"""The verdict on a portfolio: what objects, and what is said not to be checked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.confidence import Deflation
from src.domain.order_rules import Margin
from src.domain.performance import Metrics
from src.domain.verdict import ReasonCode, VerdictLevel
from src.domain.volume_rules import VolumeRules
from src.judgement.portfolio import judge_portfolio
from tests.unit.judgement.evidence import make_evidence

EVIDENCE = make_evidence()
RULES = EVIDENCE.rules
GOOD: Metrics = replace(EVIDENCE.metrics, total_trades=200, bars=2_000, total_return=80.0, sharpe_ratio=1.5)
SURE: Deflation = replace(EVIDENCE.deflation, trials=5, dsr=0.99, dsr_dependent=0.98, psr=0.999, psr_dependent=0.999)


def codes(metrics: Metrics = GOOD, deflation: Deflation = SURE, *, dearer: float | None = 40.0, has_model: bool = False,
          is_simulated: bool = False) -> list[ReasonCode]:  # fmt: skip
    found = judge_portfolio(
        metrics, deflation, RULES, dearer_return=dearer, has_model=has_model, is_simulated=is_simulated
    )
    return [reason.code for reason in found.reasons]


def test_portfolio_without_objection_has_no_level_against_it() -> None:
    found = judge_portfolio(GOOD, SURE, RULES, dearer_return=40.0, has_model=False, is_simulated=False)
    assert found.level is VerdictLevel.NO_OBJECTION
    assert not found.reasons
    assert [item.code for item in found.not_checked] == [
        "TIMING",
        "NEARBY_PARAMETERS",
        "SURVIVORSHIP",
        "MARKET_IMPACT",
        "TRIALS_ELSEWHERE",
    ]


def test_few_trades_and_bars_are_too_little_data() -> None:
    metrics = replace(GOOD, total_trades=19, bars=249)
    found = judge_portfolio(metrics, SURE, RULES, dearer_return=40.0, has_model=False, is_simulated=False)
    assert found.level is VerdictLevel.TOO_LITTLE_DATA
    assert [reason.code for reason in found.reasons] == [ReasonCode.FEW_TRADES, ReasonCode.FEW_BARS]


def test_best_of_many_trials_is_doubtful() -> None:
    assert codes(deflation=replace(SURE, trials=90, dsr=0.4)) == [ReasonCode.LOW_DEFLATED_SHARPE]


@pytest.mark.parametrize(("dearer", "expected"), [(0.0, [ReasonCode.THIN_COST_MARGIN]), (0.1, []), (None, [])])
def test_profit_that_twice_the_costs_take_is_doubtful(dearer: float | None, expected: list[ReasonCode]) -> None:
    assert codes(dearer=dearer) == expected


def test_costs_that_fail_and_leaks_are_not_checked() -> None:
    found = judge_portfolio(GOOD, SURE, RULES, dearer_return=None, has_model=True, is_simulated=False)
    assert {"COST_MARGIN", "LEAK_AUDIT"} <= {item.code for item in found.not_checked}


def test_costs_without_a_price_are_not_checked() -> None:
    rules = replace(RULES, volume=VolumeRules(impact=0.1), margin=Margin(leverage=3.0, maintenance_rate=0.01))
    found = judge_portfolio(GOOD, SURE, rules, dearer_return=40.0, has_model=False, is_simulated=False)
    codes = {item.code for item in found.not_checked}
    assert "FUNDING" in codes
    assert "MARKET_IMPACT" not in codes


def test_simulated_bars_are_noted_without_a_level() -> None:
    found = judge_portfolio(GOOD, SURE, RULES, dearer_return=40.0, has_model=False, is_simulated=True)
    assert [reason.code for reason in found.reasons] == [ReasonCode.SIMULATED_PRICES]
    assert found.level is VerdictLevel.NO_OBJECTION


def test_portfolio_that_never_traded_pays_no_costs() -> None:
    assert ReasonCode.THIN_COST_MARGIN not in codes(replace(GOOD, total_trades=0, open_trades=0), dearer=0.0)
