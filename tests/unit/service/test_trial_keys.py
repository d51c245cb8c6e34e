"""Which runs of a user are one trial: those whose returns are the same, whatever the request says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.domain.atr_exits import AtrDistances
from src.domain.exchange_rules import ExchangeRules
from src.domain.ladders import AddEntry, TakeProfit
from src.domain.order_rules import EntryOrder, EntryType, Exits, Sizing
from src.domain.runs import BacktestResult
from src.domain.trading import Direction, EngineName, FillTiming, IntrabarPolicy, TradingRules
from src.domain.volume_rules import VolumeRules
from src.judgement.trial_keys import decisive_rules, trial_key
from src.metrics.returns import simple_returns
from src.service.backtests import BacktestService
from src.service.judging import sweep_keys
from src.service.sources import SourceCatalog
from tests.ledgers import MemoryLedger
from tests.market import random_bars
from tests.unit.service.known_bars import KnownBars, crossover_request, make_service

HALF, ALL, FIXED = Sizing(equity_fraction=0.5), Sizing(equity_fraction=1.0), Sizing(fixed_units=0.1)
STOP = Exits(stop_loss_rate=0.02, take_profit_rate=0.02)
SHARE, IMPACT = VolumeRules(max_share=0.05), VolumeRules(impact=0.01)
STEPS, RANGES = ExchangeRules(step_size=0.1), Exits(atr=AtrDistances(stop_loss=2.0))
BOTH = Direction.BOTH
OPTIMISTIC = IntrabarPolicy.OPTIMISTIC


@pytest.fixture
def service() -> BacktestService:
    return make_service(KnownBars(random_bars(400, seed=4)), timeout_s=300.0)


async def run(service: BacktestService, **rules: Any) -> BacktestResult:
    """Run on the engine that knows all rules."""
    chosen = TradingRules(**{"fill": FillTiming.NEXT_OPEN} | rules)
    return await service.run(crossover_request(engine=EngineName.EVENT_DRIVEN, rules=chosen))


def keys_of(service: BacktestService) -> list[str]:
    assert isinstance(service.ledger, MemoryLedger)
    return sorted(key for _, _, key in service.ledger.keys)


def returns_of(result: BacktestResult) -> Any:
    return simple_returns(result.simulation.equity, result.request.rules.initial_cash)


@pytest.mark.parametrize(
    ("rules", "same"),
    [
        ({}, {"initial_cash": 77.0}),
        ({}, {"sizing": ALL}),
        ({"initial_cash": 1e9}, {"sizing": ALL, "initial_cash": 500.0}),
        ({"sizing": HALF}, {"sizing": HALF, "initial_cash": 25_000.0}),
        ({"direction": BOTH, "exits": STOP}, {"direction": BOTH, "exits": STOP, "initial_cash": 3.0, "sizing": ALL}),
        ({"sizing": FIXED}, {"sizing": Sizing(fixed_units=0.3), "initial_cash": 30_000.0}),
        ({}, {"entry": EntryOrder(life_bars=5)}),
        ({}, {"intrabar": OPTIMISTIC}),
        ({}, {"exits": Exits(atr=AtrDistances(bars=5))}),
        ({"exits": Exits(max_bars=7)}, {"exits": Exits(max_bars=7), "intrabar": OPTIMISTIC}),
    ],
)
@pytest.mark.parametrize("is_turned", [False, True])
async def test_runs_with_same_returns_are_one_trial(
    service: BacktestService, rules: dict[str, Any], same: dict[str, Any], is_turned: bool
) -> None:
    first, second = (same, rules) if is_turned else (rules, same)
    one, other = await run(service, **first), await run(service, **second)
    assert one.judgement is not None
    assert other.judgement is not None
    assert one.metrics.total_trades > 5
    np.testing.assert_allclose(returns_of(other), returns_of(one), rtol=0, atol=1e-9)
    assert other.judgement.deflation.trials == one.judgement.deflation.trials == 1
    assert len(keys_of(service)) == 1


@pytest.mark.parametrize(
    ("rules", "other"),
    [
        ({}, {"sizing": HALF}),
        ({"sizing": FIXED}, {"sizing": FIXED, "initial_cash": 30_000.0}),
        ({"exchange": STEPS}, {"exchange": STEPS, "initial_cash": 30_000.0}),
        ({"volume": SHARE}, {"volume": SHARE, "initial_cash": 30_000.0}),
        ({"volume": IMPACT}, {"volume": IMPACT, "initial_cash": 30_000.0}),
        ({"volume": IMPACT}, {}),
        ({"exits": RANGES}, {"exits": Exits(atr=AtrDistances(stop_loss=2.0, bars=5))}),
        ({"exits": RANGES}, {"exits": RANGES, "intrabar": OPTIMISTIC}),
        ({}, {"fee_rate": 0.002}),
        ({}, {"fill": FillTiming.SAME_CLOSE}),
        ({"exits": STOP}, {"exits": STOP, "intrabar": OPTIMISTIC}),
        ({"direction": BOTH}, {"direction": BOTH, "intrabar": OPTIMISTIC}),
        (
            {"entry": EntryOrder(type=EntryType.LIMIT, offset_rate=0.01)},
            {"entry": EntryOrder(type=EntryType.LIMIT, offset_rate=0.01, life_bars=5)},
        ),
    ],
)
async def test_rules_that_change_returns_are_another_trial(
    service: BacktestService, rules: dict[str, Any], other: dict[str, Any]
) -> None:
    await run(service, **rules)
    assert len({*keys_of(service)}) == 1
    await run(service, **other)
    assert len({*keys_of(service)}) == 2


async def test_cash_too_small_to_trade_hides_no_later_trial(service: BacktestService) -> None:
    """Were it the same trial, a run that could buy nothing would stand for every later one."""
    bars = random_bars(400, seed=4)
    prices = {name: getattr(bars, name) * 1e6 for name in ("open", "high", "low", "close")}
    service = replace(service, sources=SourceCatalog(sources={"known": KnownBars(replace(bars, **prices))}))
    for cash, trials in ((1e-6, 1), (10_000.0, 2), (1e-6, 2), (500.0, 2)):
        found = await run(service, initial_cash=cash)
        assert found.judgement is not None
        assert found.judgement.deflation.trials == trials
        assert bool(found.metrics.total_trades) == (cash > 1e-6)
    assert len(keys_of(service)) == 2


@pytest.mark.parametrize(
    ("rules", "written"),
    [
        ({}, {}),
        ({"sizing": FIXED}, {"fixed_size": 0.1}),
        ({"sizing": HALF, "fee_rate": 0.0}, {"percent_size": 0.5, "fees": 0.0}),
        ({"initial_cash": 1e-6, "sizing": FIXED}, {"init_cash": 1e-6, "fixed_size": 0.1}),
    ],
)
async def test_key_of_earlier_versions_still_counts(
    service: BacktestService, rules: dict[str, Any], written: dict[str, Any]
) -> None:
    """It has the rules that differ from the defaults, as ledgers hold it already."""
    result = await run(service, **rules)
    assert keys_of(service) == [
        trial_key(
            strategy=result.signals.strategy.name,
            parameters=result.signals.strategy.parameters,
            model_sha256=None,
            rules={"fill": "NEXT_OPEN", **written},
            symbol="TESTUSDT",
            interval="1d",
            window_ms=(int(result.time_ms[0]), int(result.time_ms[-1])),
            bars_fingerprint=result.fingerprints.bars,
        )
    ]


@pytest.mark.parametrize(
    "rules", [{}, {"initial_cash": 1e-6}, {"direction": BOTH, "exits": STOP, "initial_cash": 77.0}]
)
async def test_row_of_sweep_has_key_of_its_run(service: BacktestService, rules: dict[str, Any]) -> None:
    result = await run(service, **rules)
    series = await KnownBars(random_bars(400, seed=4)).fetch(result.request.market)
    equity, cash = result.simulation.equity, result.request.rules.initial_cash
    keys = sweep_keys(
        result.request,
        series,
        [result.signals.strategy],
        result.request.rules,
        [float(equity[equity > 0].min()) / cash],
    )
    assert list(keys) == keys_of(service)


@pytest.mark.parametrize(
    "changes",
    [
        {"entry": EntryOrder(additions=(AddEntry(move=-0.1),))},
        {"exits": Exits(take_profits=(TakeProfit(rate=0.1),))},
    ],
)
def test_ladders_and_their_policy_decide(changes: dict[str, Any]) -> None:
    rules = TradingRules(fill=FillTiming.NEXT_OPEN, intrabar=IntrabarPolicy.OPTIMISTIC, **changes)
    assert decisive_rules(rules, is_cash_kept=True) == rules
