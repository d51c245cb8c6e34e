"""The verdict on a portfolio: what objects, and what is said not to be checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.domain.confidence import Deflation
from src.domain.judgement import FillBand
from src.domain.order_rules import Margin
from src.domain.performance import Metrics
from src.domain.simulation import FILL_DTYPE, TRADE_DTYPE, Simulation
from src.domain.verdict import ReasonCode, Verdict, VerdictLevel
from src.domain.volume_rules import VolumeRules
from src.judgement.portfolio import judge_portfolio
from src.judgement.verdict import reach_verdict
from tests.unit.judgement.evidence import RULES, make_evidence

EVIDENCE = make_evidence()
GOOD: Metrics = replace(EVIDENCE.metrics, total_trades=200, bars=2_000, total_return=80.0, sharpe_ratio=1.5)
SURE: Deflation = replace(EVIDENCE.deflation, trials=5, dsr=0.99, dsr_dependent=0.98, psr=0.999, psr_dependent=0.999)


def judge(metrics: Metrics = GOOD, deflation: Deflation = SURE, *, reduced: int = 0, dropped: int = 0,
          **changes: Any) -> Verdict:  # fmt: skip
    empty = np.empty(0)
    simulation = Simulation(
        equity=empty, cash=empty, position=empty, fills=np.empty(0, FILL_DTYPE), trades=np.empty(0, TRADE_DTYPE),
        reduced_entries=reduced, dropped_entries=dropped,
    )  # fmt: skip
    given = {"dearer_return": 40.0, "fill_band": None, "has_model": False, "is_simulated": False, "rules": RULES}
    return judge_portfolio(metrics, deflation, simulation=simulation, **(given | changes))


def codes(*parts: Any, **changes: Any) -> list[ReasonCode]:
    return [reason.code for reason in judge(*parts, **changes).reasons]


def test_portfolio_without_objection_has_no_level_against_it() -> None:
    found = judge()
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
    found = judge(metrics)
    assert found.level is VerdictLevel.TOO_LITTLE_DATA
    assert [reason.code for reason in found.reasons] == [ReasonCode.FEW_TRADES, ReasonCode.FEW_BARS]


def test_best_of_many_trials_is_doubtful() -> None:
    assert codes(deflation=replace(SURE, trials=90, dsr=0.4)) == [ReasonCode.LOW_DEFLATED_SHARPE]


@pytest.mark.parametrize(("dearer", "expected"), [(0.0, [ReasonCode.THIN_COST_MARGIN]), (0.1, []), (None, [])])
def test_profit_that_twice_the_costs_take_is_doubtful(dearer: float | None, expected: list[ReasonCode]) -> None:
    assert codes(dearer_return=dearer) == expected


def test_costs_that_fail_and_leaks_are_not_checked() -> None:
    found = judge(dearer_return=None, has_model=True)
    assert {"COST_MARGIN", "LEAK_AUDIT"} <= {item.code for item in found.not_checked}


def test_costs_without_a_price_are_not_checked() -> None:
    rules = replace(RULES, volume=VolumeRules(impact=0.1), margin=Margin(leverage=3.0, maintenance_rate=0.01))
    found = judge(rules=rules)
    unmade = {item.code for item in found.not_checked}
    assert "FUNDING" in unmade
    assert "MARKET_IMPACT" not in unmade


def test_simulated_bars_are_noted_without_a_level() -> None:
    found = judge(is_simulated=True)
    assert [reason.code for reason in found.reasons] == [ReasonCode.SIMULATED_PRICES]
    assert found.level is VerdictLevel.NO_OBJECTION


def test_portfolio_that_never_traded_pays_no_costs() -> None:
    assert ReasonCode.THIN_COST_MARGIN not in codes(replace(GOOD, total_trades=0, open_trades=0), dearer_return=0.0)


def test_cut_and_dropped_entries_are_noted() -> None:
    own, single = judge(reduced=16, dropped=31), reach_verdict(make_evidence(reduced_entries=16, dropped_entries=31))
    assert [reason.code for reason in own.reasons] == [ReasonCode.ENTRIES_REDUCED, ReasonCode.ENTRIES_DROPPED]
    assert own.reasons == single.reasons
    assert own.level is VerdictLevel.NO_OBJECTION


@pytest.mark.parametrize(
    ("pessimistic", "level", "code"),
    [
        (4.6, VerdictLevel.NO_OBJECTION, ReasonCode.AMBIGUOUS_BARS),
        (-12.3, VerdictLevel.DOUBTFUL, ReasonCode.FILL_BAND_CHANGES_SIGN),
    ],
)
def test_ambiguous_bars_are_judged_as_in_one_symbol(pessimistic: float, level: VerdictLevel, code: ReasonCode) -> None:
    band = FillBand(pessimistic_return=pessimistic, optimistic_return=12.0, ambiguous_bars=30)
    own = judge(fill_band=band)
    assert (own.level, [reason.code for reason in own.reasons]) == (level, [code])
    assert own.reasons == reach_verdict(make_evidence(fill_band=band)).reasons
