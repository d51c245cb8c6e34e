"""Backtests as the service runs them: sources, results, warnings, rejections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.domain.bars import Bars
from src.domain.errors import (
    InvalidInput,
    SourceNotFound,
)
from src.domain.model_files import ModelFile
from src.domain.order_rules import Exits, Sizing
from src.domain.signals import Features, OutputKind, Predictions, Signals
from src.domain.simulation import Simulation
from src.domain.strategy import ModelParams
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from tests.factories import make_request
from tests.market import bars_of_closes, random_bars
from tests.unit.service.known_bars import FixedClock, KnownBars, crossover_request, make_service, sent_model


async def test_result_is_stored_with_its_origin() -> None:
    bars = random_bars(300, seed=4)
    service = make_service(KnownBars(bars, warnings=("a hole",)))
    result = await service.run(crossover_request())
    assert await service.store.get(result.id) is result
    assert result.created_ms == FixedClock().now_ms()
    assert result.origin == "made by hand"
    assert result.fingerprints.bars == bars.fingerprint()
    assert "a hole" in result.warnings
    assert set(result.timings_ms) == {"marketData", "signals", "engine", "metrics", "judgement"}
    assert result.metrics.total_trades == len(result.simulation.trades) - result.metrics.open_trades


@pytest.mark.parametrize("fill", FillTiming)
async def test_cross_check_of_equal_engines_finds_no_difference(fill: FillTiming) -> None:
    service = make_service(KnownBars(random_bars(400, seed=9)))
    rules = TradingRules(fill=fill, exits=Exits(stop_loss_rate=0.05))
    result = await service.run(crossover_request(engine=EngineName.EVENT_DRIVEN, rules=rules, cross_check=True))
    assert result.cross_check is not None
    assert result.cross_check.differences == ()
    assert result.cross_check.left_out == ("stopLoss",)
    assert result.cross_check.largest_equity_difference < 1e-9


async def test_cross_check_names_differing_fills() -> None:
    class HalfAsleep(EventDrivenEngine):
        def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
            late = np.roll(signals.action, 1)
            return super().run(bars, replace(signals, action=late), rules)

    engines = {EngineName.VECTORIZED: VectorizedEngine(), EngineName.EVENT_DRIVEN: HalfAsleep()}
    service = make_service(KnownBars(random_bars(300, seed=9)), engines=engines)
    result = await service.run(crossover_request(cross_check=True))
    assert result.cross_check is not None
    first = result.cross_check.differences[0]
    assert first.index == 0
    assert first.vectorized is not None
    assert first.vectorized.startswith("bar ")
    assert first.vectorized != first.event_driven


async def test_fallback_trades_only_if_requested_with_warning() -> None:
    service = make_service(KnownBars(bars_of_closes([5, 4, 6, 7, 5, 6])))
    silent = await service.run(crossover_request())
    assert not silent.signals.action.any()
    spoken = await service.run(crossover_request(use_fallback=True))
    assert spoken.signals.strategy.name == "Up/Down Day"
    assert spoken.metrics.strategy_name == "Up/Down Day"
    assert any("useFallback" in warning for warning in spoken.warnings)


@pytest.mark.parametrize(
    ("period", "is_warned"),
    [
        (None, False),
        ("1D", False),
        ("1d", False),
        ("24h", False),
        ("D", False),
        ("1H", True),
        ("1min", True),
        ("1W", True),
        ("1M", True),
    ],
)
async def test_contradicting_period_only_adds_warning(period: str | None, is_warned: bool) -> None:
    service = make_service(KnownBars(random_bars(300, seed=4)))
    result = await service.run(crossover_request(period=period))
    assert result.metrics.bars_per_year == 365
    warned = [warning for warning in result.warnings if warning.startswith("period")]
    assert bool(warned) is is_warned
    if warned:
        assert repr(period) in warned[0]
        assert "1d" in warned[0]


@pytest.mark.parametrize("period", ["soon", "", "-1D", "0D", "1Q", "999999999999D"])
async def test_invalid_period_is_rejected(period: str) -> None:
    service = make_service(KnownBars(random_bars(60)))
    with pytest.raises(InvalidInput) as caught:
        await service.run(crossover_request(period=period))
    assert caught.value.field == "period"


async def test_sentences_of_verdict_come_first_in_warnings() -> None:
    service = make_service(KnownBars(random_bars(300, seed=4), warnings=("a hole",)))
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, sizing=Sizing(fixed_units=1e6))
    result = await service.run(crossover_request(rules=rules))
    assert result.judgement is not None
    verdict = result.judgement.verdict
    assert result.verdict_level == verdict.level
    assert {"FEW_TRADES", "ENTRIES_REDUCED"} < {reason.code for reason in verdict.reasons}
    texts = [reason.text for reason in verdict.reasons]
    assert result.warnings == (*texts, "a hole")


async def test_unknown_source_lists_known_ones() -> None:
    service = make_service(KnownBars(random_bars(60)))
    request = make_request()
    with pytest.raises(SourceNotFound, match="Allowed: known"):
        await service.run(replace(request, market=replace(request.market, source="elsewhere")))


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ({"fee_rate": 0.1}, "fees is 0.1, which is 10 % of the value on each side. If you meant 0.1 %, send 0.001."),
        (
            {"slippage_rate": 0.02},
            "slippage is 0.02, which is 2 % of the value on each side. If you meant 0.02 %, send 0.0002.",
        ),
        ({"fee_rate": 0.01, "slippage_rate": 0.01}, None),
    ],
)
async def test_unusual_costs_are_warned_of(costs: dict[str, float], words: str | None) -> None:
    service = make_service(KnownBars(random_bars(300, seed=4)))
    result = await service.run(crossover_request(rules=TradingRules(fill=FillTiming.SAME_CLOSE, **costs)))
    assert [warning for warning in result.warnings if "on each side" in warning] == ([] if words is None else [words])


async def test_column_without_values_is_warned_of_in_result() -> None:
    class Volumes:
        async def predict(self, file: ModelFile, features: Features, *_: object, **__: object) -> Predictions:
            column = features.names.index("Volume_Ratio")
            return Predictions(
                values=features.values[:, column], kind=OutputKind.VALUE, feature_columns=("Volume_Ratio",)
            )

    bars = random_bars(60)
    service = make_service(KnownBars(replace(bars, volume=np.zeros(60))))
    service = replace(service, runner=Volumes())  # type: ignore[arg-type]
    result = await service.run(make_request(strategy=ModelParams()), sent_model("m.pkl"))
    assert any("missing there: Volume_Ratio on 60" in warning for warning in result.warnings)
