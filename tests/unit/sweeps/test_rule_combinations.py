"""Combinations of trading rules: exactly those that single requests allow, whatever the order of values or the seed."""

from __future__ import annotations

import itertools
import time
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.errors import InvalidInput
from src.domain.order_rules import Margin
from src.domain.sweeps import SearchKind, SweepRequest
from src.sweeps.combinations import apply_values, build_combinations, sweepable
from src.sweeps.parameters import Sweepable, ValueKind
from tests.thoroughness import examples
from tests.unit.sweeps.requests import event_driven, sweep, swept

MANY: Final = 10**6
BACKTEST: Final = event_driven()
NUMBERS: Final = (0, 0.004, 0.05, 0.3, 0.5, 0.9, 1, 2, 3, 20, 50, 125)
RULES: Final = {name: item for name, item in sweepable(BACKTEST).items() if item.path[0] == "rules"}


def is_allowed(values: dict[str, Any]) -> bool:
    try:
        apply_values(BACKTEST, values)
    except InvalidInput:
        return False
    return True


def rows_of(request: SweepRequest) -> list[dict[str, Any]]:
    found = build_combinations(request, max_combinations=MANY)
    return [found.plain(row) for row in range(len(found))]


@pytest.mark.parametrize("leverages", list(itertools.permutations([1, 2, 50])))
@pytest.mark.parametrize("margins", [[0.05], [0, 0.05], [0.05, 0]])
@pytest.mark.parametrize("kind", [SearchKind.GRID, SearchKind.LIST])
def test_order_of_values_excludes_nothing_else(
    leverages: tuple[int, ...], margins: list[float], kind: SearchKind
) -> None:
    pairs = list(itertools.product(leverages, margins))
    columns = zip(*pairs, strict=True) if kind is SearchKind.LIST else (leverages, margins)
    names = [swept(name, *column) for name, column in zip(("leverage", "maintenanceMargin"), columns, strict=True)]
    found = build_combinations(sweep(*names, backtest=BACKTEST, kind=kind), max_combinations=MANY)
    # 1 borrows nothing; 50 × 0.05 is over 1, and 50 × 0 is not.
    expected = [(leverage, margin) for leverage, margin in pairs if leverage == 1 or leverage * margin < 1]
    assert [tuple(found.plain(row).values()) for row in range(len(found))] == expected
    assert found.excluded == len(pairs) - len(expected)


def test_audited_grid_has_ten_of_twelve() -> None:
    names = swept("direction", "LONG", "BOTH"), swept("leverage", 50, 1, 2), swept("maintenance_margin", 0.05, 0)
    found = build_combinations(sweep(*names, backtest=BACKTEST), max_combinations=MANY)
    assert (len(found), found.excluded) == (10, 2)


@pytest.mark.parametrize("kind", [SearchKind.GRID, SearchKind.LIST])
@pytest.mark.parametrize("shares", [(0.5, 1.0), (1.0, 0.5)])
def test_impact_that_leaves_no_price_is_left_out(kind: SearchKind, shares: tuple[float, ...]) -> None:
    pairs = list(itertools.product((0, 0.5, 1, 3, 4), shares))
    columns = zip(*pairs, strict=True) if kind is SearchKind.LIST else ((0, 0.5, 1, 3, 4), shares)
    names = [swept(name, *column) for name, column in zip(("volumeImpact", "maxVolumeShare"), columns, strict=True)]
    found = build_combinations(sweep(*names, backtest=BACKTEST, kind=kind), max_combinations=MANY)
    # The slippage of 0.1 % and the impact on half of the volume, a quarter, are less than 1.
    expected = [(impact, share) for impact, share in pairs if impact * share**2 < 0.999]
    assert [tuple(found.plain(row).values()) for row in range(len(found))] == expected
    assert 0 < found.excluded == len(pairs) - len(expected)


def test_impact_without_a_share_is_that_of_the_whole_volume() -> None:
    rows = rows_of(sweep(swept("volume_impact", 0.9, 0.9985, 1.1), backtest=BACKTEST))
    assert [row["volume_impact"] for row in rows] == [0.9, 0.9985]


@pytest.mark.parametrize("seed", range(6))
def test_any_seed_draws_allowed_leverages(seed: int) -> None:
    names = swept("leverage", start=1, end=30), swept("maintenance_margin", start=0.001, end=0.06)
    rows = rows_of(sweep(*names, backtest=BACKTEST, kind=SearchKind.RANDOM, max_trials=40, seed=seed))
    assert len(rows) == 40
    assert all(map(is_allowed, rows))


@pytest.mark.parametrize("name", ["leverage", "maintenance_margin"])
def test_number_that_is_not_swept_counts(name: str) -> None:
    base = event_driven(margin=Margin(leverage=10, maintenance_rate=0.02))
    values = {"leverage": (50, 49, 2), "maintenance_margin": (0.1, 0.09, 0.02)}[name]
    rows = rows_of(sweep(swept(name, *values), backtest=base))
    assert [row[name] for row in rows] == list(values[1:])


def test_first_combination_explains_itself() -> None:
    names = swept("leverage", 50, 100), swept("maintenance_margin", 0.05, 0.5)
    with pytest.raises(InvalidInput) as caught:
        build_combinations(sweep(*names, backtest=BACKTEST), max_combinations=MANY)
    assert "all 4 combinations are excluded. The first of them: maintenanceMargin is 0.05. Allowed: less than 1 ÷ " in (
        caught.value.message
    )


def test_million_distinct_margins_are_checked_at_once() -> None:
    names = swept("leverage", start=1, end=125), swept("maintenance_margin", start=0, end=0.02)
    request = sweep(*names, backtest=BACKTEST, kind=SearchKind.RANDOM, max_trials=MANY)
    begin = time.process_time()
    found = build_combinations(request, max_combinations=MANY)
    # One million constructions of the rules would take a minute.
    assert time.process_time() - begin < 15
    assert len(found) == MANY


def values_of(item: Sweepable) -> st.SearchStrategy[list[Any]]:
    allowed: list[Any] = (
        [member.value for member in item.choices]
        if item.kind is ValueKind.CHOICE
        else [number for number in NUMBERS if item.allows(number)]
    )
    return st.lists(st.sampled_from(allowed), min_size=1, max_size=3, unique=True)


@st.composite
def grids(draw: st.DrawFn) -> dict[str, list[Any]]:
    names = draw(st.lists(st.sampled_from(sorted(RULES)), min_size=2, max_size=4, unique=True))
    return {name: draw(values_of(RULES[name])) for name in names}


@given(grid=grids())
@settings(max_examples=examples(300), deadline=None)
def test_any_rules_have_exactly_what_requests_allow(grid: dict[str, list[Any]]) -> None:
    rows = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    expected = [row for row in rows if is_allowed(row)]
    request = sweep(*(swept(name, *values) for name, values in grid.items()), backtest=BACKTEST)
    if not expected:
        with pytest.raises(InvalidInput, match="leaves nothing to try"):
            rows_of(request)
        return
    assert rows_of(request) == expected
