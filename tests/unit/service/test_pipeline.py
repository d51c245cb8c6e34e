"""A reader is told what happened in a simulation."""

from __future__ import annotations

from dataclasses import replace

from src.domain.trading import EngineName
from src.service.pipeline import simulation_warnings
from tests.factories import make_request, make_result


def test_liquidation_is_warned_of() -> None:
    request, simulation = make_request(engine=EngineName.EVENT_DRIVEN), make_result().simulation
    assert simulation_warnings(request, simulation) == ()
    assert simulation_warnings(request, replace(simulation, is_liquidated=True)) == (
        "Equity reached zero: the position was liquidated and trading stopped there.",
    )
