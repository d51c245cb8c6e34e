"""A later attempt of a job computes with the bars and filters of the first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.errors import Conflict
from src.domain.exchange_rules import ExchangeRules, Filters
from src.domain.jobs import JobRequest
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.service.walk_forward_folds import fold_from_bytes
from tests.job_attempts import Killed
from tests.unit.service.attempts import BARS, GROWTH, KNOWN, World, run_undisturbed, small_sweep, small_walk_forward

pytestmark = pytest.mark.usefixtures("unseen_steps")


@pytest.mark.usefixtures("small_chunks")
async def test_rows_of_a_resumed_sweep_are_of_the_same_bars() -> None:
    """Without pinned bars the rows of the second attempt would be of the newest bars, under one conclusion."""
    world = World.of(small_sweep())
    world.stored.kill = lambda at, written: (at, written) == (3, True)
    with pytest.raises(Killed):
        await world.run()
    assert 0 < len(world.stored.chunks) < 3
    world.source.known += GROWTH
    found = await world.run()
    alone, newest = await run_undisturbed(small_sweep()), World.of(small_sweep())
    newest.source.known += GROWTH
    await newest.run()
    assert found == alone[1]
    assert world.rows() != newest.rows()
    times = {(int(result.time_ms[0]), int(result.time_ms[-1])) for result in world.store.results.values()}
    first = world.source.bars.open_time_ms[KNOWN - BARS : KNOWN]
    assert times == {(int(first[0]), int(first[-1]))}


@pytest.mark.usefixtures("small_chunks")
async def test_rows_of_a_resumed_sweep_have_the_same_filters() -> None:
    """The exchange may change its steps between two attempts, and a best row is run after all rows."""
    rules = TradingRules(fill=FillTiming.NEXT_OPEN, exchange=ExchangeRules(filters=Filters.EXCHANGE))
    request = small_sweep()
    backtest = replace(request.backtest, rules=rules, engine=EngineName.EVENT_DRIVEN)
    world = World.of(replace(request, backtest=backtest))
    world.source.filters = ExchangeRules(step_size=0.5, min_notional=10.0)
    world.stored.kill = lambda at, written: (at, written) == (3, True)
    with pytest.raises(Killed):
        await world.run()
    world.source.filters = ExchangeRules(step_size=40.0, tick_size=1.0)
    await world.run()
    exchanges = {result.request.rules.exchange for result in world.store.results.values()}
    assert exchanges == {ExchangeRules(step_size=0.5, min_notional=10.0)}
    quantities = [result.simulation.fills["quantity"] for result in world.store.results.values()]
    assert all((2 * one % 1 == 0).all() for one in quantities)


async def test_warm_up_of_windows_is_pinned_with_their_bars() -> None:
    """Each training window reads as many bars before it as the slowest row needs, also in a later attempt."""
    whole, _ = await run_undisturbed(small_walk_forward())
    world = World.of(small_walk_forward())
    world.stored.kill = lambda at, written: (at, written) == (2, True)
    with pytest.raises(Killed):
        await world.run()
    world.source.known += GROWTH
    await world.run()
    folds = [
        [fold_from_bytes(content) for _, (_, content) in sorted(one.stored.chunks.items())] for one in (world, whole)
    ]
    assert folds[0] == folds[1]
    assert len(folds[0]) == (BARS - 120) // 60
    [result] = world.store.results.values()
    assert result.warm_up_bars == 20, "the slow mean's bars before the first test"
    assert result.request.pinned_warm_up_bars == 20


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("request_", [small_sweep(), small_walk_forward()], ids=["sweep", "walk-forward"])
async def test_changed_bars_refuse_to_continue(request_: JobRequest) -> None:
    world = World.of(request_)
    world.stored.kill = lambda at, written: (at, written) == (3, True)
    with pytest.raises(Killed):
        await world.run()
    world.source.change_close(KNOWN - 9)
    with pytest.raises(Conflict, match="have changed since it was begun"):
        await world.run()
