"""Check bars and amounts at the ends of what is allowed: nothing overflows, and both engines still agree."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.domain.bars import MAX_PRICE, MAX_VOLUME, MIN_PRICE, MIN_VOLUME, Bars
from src.domain.errors import InvalidInput
from src.domain.intervals import DAY_MS, INTERVALS
from src.domain.order_rules import MAX_AMOUNT, MAX_TAKE_PROFIT, MIN_CASH, MIN_SIZE, EntryOrder, EntryType, Exits, Sizing
from src.domain.performance import Metrics
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import MAX_EQUITY, Simulation
from src.domain.trading import Direction, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from src.features.ohlcv import build_features
from src.metrics.summary import measure
from tests.thoroughness import examples

EXAMPLES = settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def magnitudes(smallest: float, largest: float) -> st.SearchStrategy[float]:
    """Numbers of every size from `smallest` to `largest`, the ends themselves among them."""
    exponents = st.floats(math.log10(smallest), math.log10(largest))
    inside = exponents.map(lambda exponent: min(largest, max(smallest, 10.0**exponent)))
    return st.one_of(st.sampled_from([smallest, largest]), inside)


PRICES = magnitudes(MIN_PRICE, MAX_PRICE)
MARKETS = st.one_of(
    st.lists(PRICES, min_size=2, max_size=30),
    # Prices of one size, however small or large.
    st.builds(
        lambda middle, steps: [min(MAX_PRICE, max(MIN_PRICE, middle * step)) for step in steps],
        PRICES,
        st.lists(st.floats(0.5, 2.0), min_size=2, max_size=30),
    ),
)
VOLUMES = st.one_of(st.just(0.0), magnitudes(MIN_VOLUME, MAX_VOLUME))
SIZINGS = st.one_of(
    st.just(Sizing()),
    st.builds(Sizing, fixed_units=magnitudes(MIN_SIZE, MAX_AMOUNT)),
    st.builds(Sizing, equity_fraction=magnitudes(1e-12, 1.0)),
)
RATES = st.sampled_from([0.0, 0.001, 1 - 1e-9])
RULES = st.builds(
    TradingRules,
    fill=st.sampled_from(FillTiming),
    initial_cash=magnitudes(MIN_CASH, MAX_AMOUNT),
    fee_rate=RATES,
    slippage_rate=RATES,
    sizing=SIZINGS,
)
EXITS = st.builds(
    Exits,
    stop_loss_rate=st.sampled_from([None, 1e-9, 0.5, 1 - 1e-9]),
    take_profit_rate=st.sampled_from([None, 1e-9, 1.0, MAX_TAKE_PROFIT]),
    trailing_stop_rate=st.sampled_from([None, 1e-9, 1 - 1e-9]),
)
ENTRIES = st.builds(
    EntryOrder,
    type=st.sampled_from([EntryType.LIMIT, EntryType.STOP]),
    offset_rate=st.sampled_from([0.0, 0.5, 1 - 1e-9]),
    life_bars=st.integers(1, 3),
)


@st.composite
def markets(draw: st.DrawFn) -> tuple[Bars, Signals]:
    """Bars whose prices go through a list of prices: each bar opens at one of them and closes at the next."""
    path = np.array(draw(MARKETS))
    n = len(path) - 1
    bars = Bars(
        symbol="EXTREME",
        interval=INTERVALS["1d"],
        open_time_ms=np.arange(n, dtype=np.int64) * DAY_MS,
        open=path[:-1],
        high=np.maximum(path[:-1], path[1:]),
        low=np.minimum(path[:-1], path[1:]),
        close=path[1:],
        volume=np.array(draw(st.lists(VOLUMES, min_size=n, max_size=n))),
    )
    action = np.array(draw(st.lists(st.integers(-1, 1), min_size=n, max_size=n)), dtype=np.int8)
    return bars, Signals(action=action, strategy=StrategyDescription(name="any"))


def assert_finite(simulation: Simulation) -> None:
    for name in ("equity", "cash", "position"):
        assert np.isfinite(getattr(simulation, name)).all(), name
    for table in (simulation.fills, simulation.trades):
        for column in table.dtype.names or ():
            assert np.isfinite(table[column]).all(), column
    assert (simulation.equity >= 0).all()


def assert_measurable(simulation: Simulation, bars: Bars, rules: TradingRules) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        metrics = measure(simulation, bars, initial_cash=rules.initial_cash, strategy_name="any")
    for field in dataclasses.fields(Metrics):
        value = getattr(metrics, field.name)
        assert value is None or isinstance(value, str) or math.isfinite(value), field.name


@given(markets(), RULES)
@EXAMPLES
def test_engines_agree_at_the_bounds(market: tuple[Bars, Signals], rules: TradingRules) -> None:
    outcomes: list[Simulation | str] = []
    for engine in (EventDrivenEngine(), VectorizedEngine()):
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            try:
                outcomes.append(engine.run(*market, rules))
            except InvalidInput as error:
                outcomes.append(error.message)
    ours, theirs = outcomes
    if isinstance(ours, str) or isinstance(theirs, str):
        assert ours == theirs
        assert f"{MAX_EQUITY:g}" in str(ours)
        return
    assert_finite(ours)
    assert_measurable(ours, market[0], rules)
    np.testing.assert_allclose(ours.equity, theirs.equity, rtol=1e-9)
    assert len(ours.fills) == len(theirs.fills)
    for column in ("bar", "side", "quantity", "price", "fee"):
        np.testing.assert_allclose(ours.fills[column], theirs.fills[column], rtol=1e-9, err_msg=column)


@given(markets(), RULES, EXITS, st.one_of(st.just(EntryOrder()), ENTRIES), st.sampled_from(Direction))
@EXAMPLES
def test_order_settings_at_the_bounds_stay_finite(
    market: tuple[Bars, Signals], rules: TradingRules, exits: Exits, entry: EntryOrder, direction: Direction
) -> None:
    rules = dataclasses.replace(rules, exits=exits, entry=entry, direction=direction)
    try:
        simulation = EventDrivenEngine().run(*market, rules)
    except InvalidInput as error:
        assert f"{MAX_EQUITY:g}" in error.message
        return
    assert_finite(simulation)
    assert_measurable(simulation, market[0], rules)


@given(markets())
@EXAMPLES
def test_features_at_the_bounds_are_numbers_or_missing(market: tuple[Bars, Signals]) -> None:
    assert not np.isinf(build_features(market[0]).values).any()
