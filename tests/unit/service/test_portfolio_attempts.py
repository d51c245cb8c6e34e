"""Portfolios whose process dies at each of their writes, also between two symbols: the next attempt ends alike."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from src.domain.errors import Conflict, InvalidInput
from src.domain.exchange_rules import ExchangeRules, Filters
from src.domain.jobs import JobOutcome, StageName
from src.domain.market import Listing, SymbolWarning
from src.domain.portfolio import PortfolioConclusion
from src.service import portfolio_task
from src.service.portfolio_runs import PortfolioTables, from_bytes
from src.service.portfolio_task import PortfolioTask
from tests.equality import assert_identical
from tests.job_attempts import Killed, StoredJob
from tests.ledgers import MemoryLedger
from tests.portfolios import BARS, SYMBOLS, SeveralBars, make_portfolio
from tests.unit.service.known_bars import make_service

KNOWN = 400
GROWTH = 7


@dataclass(kw_only=True)
class World:
    """Everything that outlives an attempt."""

    stored: StoredJob
    source: SeveralBars
    ledger: MemoryLedger
    task: PortfolioTask

    @classmethod
    def of(cls, **changes: Any) -> World:
        source, ledger = SeveralBars(known=KNOWN, bars=KNOWN + 20 * GROWTH), MemoryLedger()
        backtests = replace(make_service(source), ledger=ledger)  # type: ignore[arg-type]
        task = PortfolioTask(backtests=backtests, ledger=ledger)
        return cls(stored=StoredJob.of(make_portfolio(**changes)), source=source, ledger=ledger, task=task)

    async def run(self) -> JobOutcome:
        return await self.task.run(self.stored.begin())

    def tables(self) -> PortfolioTables:
        [(_, content)] = self.stored.chunks.values()
        return from_bytes(content)

    def counted(self) -> object:
        [state] = self.ledger.states.values()
        return state.runs, state.total.to_bytes(), state.active.to_bytes(), sorted(self.ledger.keys)


@pytest.mark.parametrize("is_written", [False, True], ids=["before the write", "after it"])
async def test_attempt_killed_at_any_write_changes_nothing(is_written: bool) -> None:
    whole = World.of()
    expected = await whole.run()
    assert set(whole.stored.parts) == {f"bars-{number}" for number in range(len(SYMBOLS))}
    for number in range(1, whole.stored.writes + 1):
        world = World.of()
        world.stored.kill = lambda at, written, number=number: (at, written) == (number, is_written)
        with pytest.raises(Killed):
            await world.run()
        world.stored.kill = lambda at, written: False
        if len(world.stored.parts) == len(SYMBOLS):
            world.source.grow(GROWTH)  # before that, the newer bars of the others are as good
        assert_identical(await world.run(), expected)
        assert_identical(tuple(world.tables()), tuple(whole.tables()))
        assert world.counted() == whole.counted(), number


async def test_pinned_bars_survive_a_kill_between_symbols() -> None:
    world = World.of()
    world.stored.kill = lambda at, written: world.stored.parts.keys() == {"bars-0"}
    with pytest.raises(Killed):
        await world.run()
    world.stored.kill = lambda at, written: False
    world.source.grow(GROWTH)
    found = await world.run()
    assert isinstance(found.conclusion, PortfolioConclusion)
    first, second, _ = found.conclusion.symbols
    times = world.source.series[SYMBOLS[0]].bars.open_time_ms
    assert (first.bars, first.end_ms) == (BARS, int(times[KNOWN - 1]))
    assert (second.bars, second.end_ms) == (BARS, int(times[KNOWN + GROWTH - 1]))


async def test_corrected_bar_of_one_symbol_is_a_conflict() -> None:
    world = World.of()
    world.stored.kill = lambda at, written: len(world.stored.parts) == 2
    with pytest.raises(Killed):
        await world.run()
    world.stored.kill = lambda at, written: False
    world.source.series[SYMBOLS[1]].change_close(KNOWN - 5)
    with pytest.raises(Conflict):
        await world.run()


async def test_stages_count_symbols_then_steps_of_trading() -> None:
    world = World.of()
    await world.run()
    assert [(stage.name, stage.done) for stage in world.stored.stages] == [
        *((StageName.BARS, number) for number in range(len(SYMBOLS))),
        *((StageName.TRADE, step) for step in range(3)),
    ]


async def test_symbols_with_too_many_bars_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portfolio_task, "MAX_SYMBOL_BARS", 2 * BARS)
    with pytest.raises(InvalidInput, match="The symbols have more than 520 bars together"):
        await World.of().run()


async def test_warnings_name_their_symbols_once() -> None:
    world = World.of()
    for symbol, own in world.source.series.items():
        own.warnings = ("a hole", f"{symbol} has a hole.")
    found = await world.run()
    said = [text for text in found.warnings if "hole" in text]
    assert said == [f"{', '.join(SYMBOLS)}: a hole", *(f"{symbol} has a hole." for symbol in SYMBOLS)]


async def test_second_attempt_groups_warnings_alike() -> None:
    world, expected = World.of(), World.of()
    for source in (world.source, expected.source):
        for symbol, own in source.series.items():
            own.warnings = (SymbolWarning(f"{symbol} has a hole.", "hole"),)
    world.stored.kill = lambda at, written: len(world.stored.parts) == len(SYMBOLS)
    with pytest.raises(Killed):
        await world.run()
    [kinds] = {tuple(json.loads(part)["kinds"]) for part in world.stored.parts.values()}
    assert kinds == ("hole",)
    world.stored.kill = lambda at, written: False
    assert (await world.run()).warnings == (await expected.run()).warnings


@dataclass
class ExchangeSteps:
    """The filters of an exchange, which change between attempts."""

    step: float

    async def listings(self) -> tuple[Listing, ...]:
        filters = ExchangeRules(step_size=self.step, tick_size=self.step / 10)
        return tuple(Listing(symbol=symbol, base="", quote="USDT", filters=filters) for symbol in SYMBOLS)


def with_steps(world: World, steps: ExchangeSteps) -> None:
    world.source.listings = steps.listings  # type: ignore[method-assign]
    backtest = make_portfolio().backtest
    rules = replace(backtest.rules, exchange=ExchangeRules(filters=Filters.EXCHANGE, min_notional=5.0))
    world.stored = StoredJob.of(make_portfolio(backtest=replace(backtest, rules=rules)))


async def test_second_attempt_keeps_the_steps_that_were_read() -> None:
    world, steps = World.of(), ExchangeSteps(0.5)
    with_steps(world, steps)
    world.stored.kill = lambda at, written: len(world.stored.parts) == len(SYMBOLS)
    with pytest.raises(Killed):
        await world.run()
    world.stored.kill = lambda at, written: False
    steps.step = 0.25
    found = await world.run()
    assert isinstance(found.conclusion, PortfolioConclusion)
    for own in found.conclusion.symbols:
        assert (own.tick_size, own.step_size, own.min_notional) == (0.05, 0.5, 5.0)
    assert np.all(world.tables().fills["quantity"] % 0.5 == 0)


async def test_portfolio_with_other_steps_is_another_trial() -> None:
    world, steps = World.of(), ExchangeSteps(0.5)
    with_steps(world, steps)
    await world.run()
    steps.step = 0.25
    with_steps(world, steps)
    await world.run()
    assert len(world.ledger.keys) == 2


async def test_second_equal_portfolio_is_no_new_trial() -> None:
    world = World.of()
    await world.run()
    before = world.counted()
    world.stored = StoredJob.of(make_portfolio())
    await world.run()
    assert world.counted() == before
    world.stored = StoredJob.of(make_portfolio(max_open=1))
    await world.run()
    assert world.counted() != before
