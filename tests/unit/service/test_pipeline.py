"""What a reader is told before believing the figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.trading import EngineName, IntrabarPolicy
from src.service.pipeline import simulation_warnings
from tests.factories import make_metrics, make_request, make_result


@pytest.mark.parametrize(
    ("ambiguous", "trades", "is_told"),
    [(0, 0, False), (1, 0, True), (1, 100, True), (1, 101, False), (4, 401, False), (5, 10_000, True)],
)
@pytest.mark.parametrize("policy", IntrabarPolicy)
def test_bars_decided_by_intrabar_are_warned_of(
    ambiguous: int, trades: int, is_told: bool, policy: IntrabarPolicy
) -> None:
    request = make_request(engine=EngineName.EVENT_DRIVEN)
    request = replace(request, rules=replace(request.rules, intrabar=policy))
    simulation = replace(make_result().simulation, ambiguous_bars=ambiguous)
    told = [
        warning
        for warning in simulation_warnings(request, simulation, make_metrics(total_trades=trades))
        if "what was hit" in warning
    ]
    count = "1 bar does" if ambiguous == 1 else f"{ambiguous} bars do"
    sentence = (
        f"{count} not tell what was hit (intrabar {policy.value}): run again with the other policy to see how much "
        "depends on it."
    )
    assert told == ([sentence] if is_told else [])
