"""Targets of parts and additions: what is allowed, how errors name a rung, how lists are read and written."""

from __future__ import annotations

from typing import Any

import pytest

from src.domain.errors import InvalidInput
from src.domain.ladders import MAX_RUNGS, AddEntry, TakeProfit
from src.domain.order_rules import EntryOrder, Exits
from src.domain.parameters import build, parameters_of

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"take_profits": [{"rate": 0.1}, {"rate": 0.2, "portion": 1.5}]},
        "takeProfits[1].portion",
        "takeProfits[1].portion is 1.5. Allowed: 0 < x ≤ 1 (fraction).",
    ),
    (
        {"take_profits": [{"rate": 0.1, "portion": 0.0}]},
        "takeProfits[0].portion",
        "takeProfits[0].portion is 0.0. Allowed: 0 < x ≤ 1 (fraction).",
    ),
    (
        {"take_profits": [{"rate": -1.5, "after_bars": 2}]},
        "takeProfits[0].rate",
        "takeProfits[0].rate is -1.5. Allowed: -1 ≤ x ≤ 1000000000000 (fraction of the mean entry price).",
    ),
    (
        {"take_profits": [{"rate": 0.1, "after_bars": -1}]},
        "takeProfits[0].afterBars",
        "takeProfits[0].afterBars is -1. Allowed: 0 ≤ x ≤ 2147483647 (bars).",
    ),
    (
        {"take_profits": [{"rate": 0.0}]},
        "takeProfits[0].rate",
        "takeProfits[0].rate is 0.0, and would close a position as it opens. Allowed: more than 0, or afterBars of at "
        "least 1.",
    ),
    (
        {"take_profits": [{"rate": 0.1, "portion": 0.6}, {"rate": 0.2, "portion": 0.5}]},
        "takeProfits[1].portion",
        "takeProfits[1].portion is 0.5, which makes 1.1 of the position with the rungs before it. Allowed: at most 1 "
        "for each afterBars.",
    ),
    (
        {"take_profits": [{"rate": 0.1, "portion": 0.6}, {"rate": 0.1}]},
        "takeProfits[1].rate",
        "takeProfits[1].rate is 0.1, as that of another rung with the same afterBars. Allowed: one rung for each rate "
        "and age.",
    ),
    ({"take_profits": [{"portion": 0.1}]}, "takeProfits[0].rate", "takeProfits[0].rate is required."),
    ({"take_profits": [0.1]}, "takeProfits", "takeProfits is [0.1]. Allowed: a list of objects."),
    ({"take_profits": {"rate": 0.1}}, "takeProfits", "takeProfits is {'rate': 0.1}. Allowed: a list of objects."),
    (
        {"take_profits": [{"rate": 0.1}] * (MAX_RUNGS + 1)},
        "takeProfits",
        "takeProfits has 17 rungs. Maximum: 16.",
    ),
    (
        {"take_profits": [{"rate": 0.1}], "take_profit": 0.2},
        "takeProfit",
        "takeProfit and takeProfits are both given. Allowed: one of them.",
    ),
    (
        {"add_entries": [{"move": -1.0}]},
        "addEntries[0].move",
        "addEntries[0].move is -1.0. Allowed: -1 < x ≤ 1000000000000 (fraction of the mean entry price).",
    ),
    (
        {"add_entries": [{"move": 0.1}, {"move": 0.0}]},
        "addEntries[1].move",
        "addEntries[1].move is 0.0. Allowed: a number below or above 0.",
    ),
    (
        {"add_entries": [{"move": 0.1, "size": 0}]},
        "addEntries[0].size",
        "addEntries[0].size is 0. Allowed: 0 < x ≤ 1000 (ratio).",
    ),
    (
        {"add_entries": [{"move": 0.1, "size": 1001}]},
        "addEntries[0].size",
        "addEntries[0].size is 1001. Allowed: 0 < x ≤ 1000 (ratio).",
    ),
]


@pytest.mark.parametrize(("given", "field", "message"), REFUSED, ids=lambda value: str(value)[:50])
def test_refused_rungs_are_named(given: dict[str, Any], field: str, message: str) -> None:
    kind = EntryOrder if "add_entries" in given else Exits
    with pytest.raises(InvalidInput) as caught:
        build(kind, given)
    assert (caught.value.field, caught.value.message) == (field, message)


def test_rungs_are_read_and_written() -> None:
    ladder = [{"rate": 0.1, "portion": 0.5, "after_bars": 0}, {"rate": -1.0, "portion": None, "after_bars": 9}]
    exits = build(Exits, {"take_profits": [ladder[0], {"rate": -1.0, "after_bars": 9}]})
    assert exits.take_profits == (TakeProfit(rate=0.1, portion=0.5), TakeProfit(rate=-1.0, after_bars=9))
    [targets] = [item for item in parameters_of(Exits) if item.parameter.name == "take_profits"]
    assert targets.write(exits.take_profits) == ladder
    assert build(EntryOrder, {"add_entries": [{"move": 0.1}]}).additions == (AddEntry(move=0.1, size=1.0),)


def test_tenths_of_a_position_are_its_whole() -> None:
    rungs = [{"rate": 0.01 * (place + 1), "portion": 0.1} for place in range(10)]
    assert len(build(Exits, {"take_profits": rungs}).take_profits) == 10


def test_each_age_has_a_whole_of_its_own() -> None:
    rungs = [{"rate": 0.1, "portion": 0.8}, {"rate": 0.1, "portion": 0.8, "after_bars": 5}]
    assert len(build(Exits, {"take_profits": rungs}).take_profits) == 2


def test_empty_ladders_are_none() -> None:
    assert build(Exits, {"take_profits": []}) == Exits()
    assert build(EntryOrder, {"add_entries": []}) == EntryOrder()
