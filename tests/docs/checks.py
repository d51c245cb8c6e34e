"""What each section of `docs/extending.md` claims: `python -m tests.docs.checks NAME`, in a tree with its diff."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.thoroughness import IS_THOROUGH


def schemas() -> tuple[str, str]:
    """Return the GraphQL schema and the OpenAPI document as text."""
    import json

    from src.api.graphql.limits import DocumentLimits
    from src.api.graphql.schema import build_schema
    from src.backtest_API import create_app
    from src.settings import Settings

    limits = DocumentLimits(max_depth=12, max_aliases=100, max_tokens=4000)
    return str(build_schema(limits)), json.dumps(create_app(Settings(_env_file=None)).openapi())


def reference(name: str) -> str:
    from tests.architecture.reference_pages import TABLES

    return TABLES[name]()


def request_of(strategy: Mapping[str, Any] | None = None, **given: Any) -> Any:
    from src.api.requests.backtests import build_request

    name, params = next(iter((strategy or {"ma_crossover": {}}).items()))
    return build_request({"user_id": "me", "symbol": "BTCUSDT", **given}, name, params, max_bars=1000)


def stored_and_read(value: Any, *, without: str = "") -> Any:
    """Return a domain value as a store would read it again; `without` leaves out a field that older documents lack."""
    from src.stores.plain import from_plain, to_plain

    columns: dict[str, Any] = {}
    plain = to_plain(value, columns)

    def drop(item: Any) -> Any:
        return {key: drop(below) for key, below in item.items() if key != without} if isinstance(item, dict) else item

    return from_plain(type(value), drop(plain), columns)


def check_strategy() -> None:
    # First, because pytest warns of plugins that were imported before it.
    assert pytest.main(["-q", "-p", "no:cacheprovider", "tests/contracts/test_strategies.py", "-k", "momentum"]) == 0
    from src.api.requests.backtests import echo_strategy
    from src.strategies.catalog import build_catalog

    graphql, openapi = schemas()
    assert "momentum: MomentumParams" in graphql
    assert "input MomentumParams" in graphql
    assert "How far back the earlier close lies" in openapi
    assert "## Strategy `momentum`" in reference("parameters")
    assert "momentum" in {item.name for item in build_catalog().strategies}
    request = request_of({"momentum": {"lookback": 12}})
    assert echo_strategy(request.strategy) == {"lookback": 12}
    assert stored_and_read(request) == request


def check_indicator() -> None:
    from src.domain.strategy import StrategyInputs
    from src.strategies.catalog import build_catalog
    from src.strategies.rules.strategy import Rules, RulesParams
    from tests.market import random_bars

    suites = ("tests/contracts/test_indicators.py", "tests/unit/indicators", "tests/docs/test_rules_page.py")
    chosen = "midpoint or registry or every"
    assert pytest.main(["-q", "-p", "no:cacheprovider", *suites, "-k", chosen]) == 0
    assert "midpoint" in {item.name for item in build_catalog().indicators}
    assert "`midpoint`" in reference("indicators")
    params = RulesParams(buy="close > midpoint(20)", sell="midpoint(rsi(14), 20) < 50")
    assert params.lookback_bars == 33
    assert Rules(params).signals(StrategyInputs(bars=random_bars(300, seed=2))).action.any()


def check_function() -> None:
    from src.domain.errors import InvalidRule
    from src.strategies.rules.compiling import Compiler
    from src.strategies.rules.evaluation import RuleInputs, evaluate
    from src.strategies.rules.parsing import parse
    from tests.market import random_bars
    from tests.unit.strategies.rules.reference import Reference

    page = "tests/docs/test_rules_page.py::test_page_lists_every_column_function_and_indicator"
    assert pytest.main(["-q", "-p", "no:cacheprovider", page]) == 0
    bars = random_bars(300, seed=3)
    for text in ("sign(close - open) > 0", "sign(close - close[1]) == sign(-2)"):
        compiler = Compiler({})
        compiler.add_rule(text, "buy")
        found = evaluate(compiler.build(), RuleInputs(bars=bars))["buy"].tolist()
        assert found == Reference(bars).condition(parse(text, "buy"))
        assert any(found)
    with pytest.raises(InvalidRule, match=r"sign has 2 arguments\. Write sign\(x\)\."):
        Compiler({}).add_rule("sign(close, open) > 0", "buy")


def check_metric() -> None:
    from src.domain.signals import Signals, StrategyDescription
    from src.domain.trading import FillTiming, TradingRules
    from src.engines.vectorized import VectorizedEngine
    from src.metrics.summary import measure
    from tests.market import bars_of_closes

    graphql, openapi = schemas()
    assert "recoveryFactor: Float" in graphql
    assert "recovery_factor" in openapi
    assert "| `recovery_factor` | ratio | total_return ÷ max_drawdown. |" in reference("metrics")
    bars = bars_of_closes([100, 100, 90, 130])
    signals = Signals(action=np.array([1, 0, 0, 0], dtype=np.int8), strategy=StrategyDescription(name="hold"))
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, fee_rate=0.0, slippage_rate=0.0)
    metrics = measure(
        VectorizedEngine().run(bars, signals, rules), bars, initial_cash=rules.initial_cash, strategy_name="hold"
    )
    # 30 % gained after a fall of 10 %.
    assert metrics.recovery_factor == pytest.approx(3.0)
    assert stored_and_read(metrics, without="recovery_factor") == replace(metrics, recovery_factor=None)


def check_trading_rule() -> None:
    from src.api.requests.backtests import echo_settings
    from src.domain.errors import InvalidInput
    from src.domain.signals import Signals, StrategyDescription
    from src.engines.event_driven import EventDrivenEngine
    from src.strategies.crossover import CrossoverParams
    from tests.market import bars_of_closes, random_bars
    from tests.sweep_agreement import assert_rows_agree, build_sweep

    graphql, openapi = schemas()
    assert "minHoldBars: Int" in graphql
    assert "min_hold_bars" in openapi
    assert "| `min_hold_bars` | bars | 0 ≤ x" in reference("parameters")
    request = request_of(engine="EVENT_DRIVEN", fill="SAME_CLOSE", min_hold_bars=2)
    assert echo_settings(request)["min_hold_bars"] == 2
    assert stored_and_read(request) == request
    assert stored_and_read(request, without="min_hold_bars").rules.exits.min_hold_bars == 0
    with pytest.raises(InvalidInput, match=r"(?i)min_?hold_?bars"):
        request_of(min_hold_bars=2)
    if not IS_THOROUGH:
        return  # a longer plan has the engine and the sweep's kernels compiled anew: 35 s of one core, for a moment
    # Bought at bar 0: the signals at the closes of bars 0 and 1 do not close, that at bar 2 does.
    bars = bars_of_closes([100.0] * 6)
    action = np.array([1, -1, -1, 0, 0, 0], dtype=np.int8)
    signals = Signals(action=action, strategy=StrategyDescription(name="drawn"))
    fills = EventDrivenEngine().run(bars, signals, request.rules).fills
    assert fills["bar"].tolist() == [0, 2]
    rules = replace(request.rules, exits=replace(request.rules.exits, min_hold_bars=0))
    assert EventDrivenEngine().run(bars, signals, rules).fills["bar"].tolist() == [0, 1]
    sweep, values = build_sweep(replace(request, strategy=CrossoverParams(fast=2, slow=5)), {"min_hold_bars": [0, 3]})
    assert_rows_agree(sweep, values, random_bars(80, seed=3))


def check_model_format() -> None:
    import lightgbm

    from src.domain.errors import ModelRejected, UnsupportedFormat
    from src.domain.model_files import MODEL_EXTENSIONS
    from src.domain.signals import OutputKind
    from src.model_formats.registry import FORMAT_NAMES, FORMATS, load_model
    from src.stores.model_content import check_content

    assert tuple(FORMATS) == MODEL_EXTENSIONS
    rows = np.random.default_rng(1).normal(size=(200, 5))
    options = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(rows, label=rows[:, 3] > 0), num_boost_round=3)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.lgb"
        booster.save_model(file)
        check_content(".lgb", file.read_bytes()[:4096])
        predictor = load_model(file, ".lgb")
        values, kind = predictor.predict(rows, ("Open", "High", "Low", "Close", "Volume"))
        file.write_bytes(b"tree\nnonsense")
        with pytest.raises(ModelRejected, match="not a LightGBM model"):
            load_model(file, ".lgb")
    np.testing.assert_allclose(values, booster.predict(rows), rtol=1e-12)
    assert kind is OutputKind.PROBABILITY
    assert predictor.description.format in FORMAT_NAMES
    with pytest.raises(UnsupportedFormat, match="a LightGBM model as text"):
        check_content(".lgb", b"\x80\x04")
    assert ".lgb" in schemas()[1]


def check_source() -> None:
    from src.domain.intervals import INTERVALS
    from src.domain.market import MarketRequest
    from src.settings import Settings
    from src.wiring import adapters
    from src.wiring.services import build_services
    from tests.clocks import FixedClock

    inverted_source: Any = vars(adapters)["InvertedSource"]
    simulated: Any = vars(adapters)["SimulatedSource"](clock=FixedClock(1_700_000_000_000))
    market = MarketRequest(symbol="BTCUSDT", interval=INTERVALS["1h"], limit=50)

    async def fetch() -> tuple[Any, Any]:
        return await simulated.fetch(market), await inverted_source(simulated).fetch(market)

    original, turned = asyncio.run(fetch())
    for name, other in (("open", "open"), ("high", "low"), ("low", "high"), ("close", "close")):
        np.testing.assert_allclose(getattr(turned.bars, name) * getattr(original.bars, other), 1.0)
    np.testing.assert_allclose(turned.bars.volume, original.bars.volume * original.bars.close)
    assert turned.origin == f"{original.origin}, inverted"
    with tempfile.TemporaryDirectory() as folder:
        services = build_services(Settings(_env_file=None, storage_dir=Path(folder)))
        assert "inverted" in services.backtests.sources.names
    assert "inverted" in reference("parameters")
    assert "binance, inverted, simulated" in schemas()[0]


def check_setting() -> None:
    from src.settings import Settings, SettingsError, read_settings
    from src.wiring import stores
    from tests.architecture.settings_page import settings_page

    assert "#RESULT_RESERVE_MB=8" in settings_page()
    assert "| `RESULT_RESERVE_MB` | `8` |" in reference("settings")
    given: dict[str, Any] = {}
    stores.SqliteDatabase = lambda *_, **options: given.update(options)
    stores.SqliteStore = lambda *_, **_options: None
    stores.build_stores(Settings(_env_file=None, result_reserve_mb=3))
    assert given["reserve_bytes"] == 3 * 1024 * 1024
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULT_RESERVE_MB", "0")
        with pytest.raises(SettingsError, match="RESULT_RESERVE_MB"):
            read_settings()


CHECKS: Mapping[str, Callable[[], None]] = {
    "a-strategy": check_strategy,
    "an-indicator": check_indicator,
    "a-function-of-rules": check_function,
    "a-metric": check_metric,
    "a-trading-rule": check_trading_rule,
    "a-model-format": check_model_format,
    "a-source-of-bars": check_source,
    "a-setting": check_setting,
}

if __name__ == "__main__":
    CHECKS[sys.argv[1]]()
