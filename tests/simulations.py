"""Draw bars, signals and trading rules for tests of the engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from src.domain.atr_exits import AtrDistances
from src.domain.bars import Bars
from src.domain.exchange_rules import ExchangeRules
from src.domain.exit_orders import ExitOrder, ExitType
from src.domain.funding import Funding, FundingKind
from src.domain.intervals import INTERVALS
from src.domain.ladders import AddEntry, TakeProfit
from src.domain.order_rules import EntryOrder, EntryType, Exits, Margin, Sizing
from src.domain.signals import Signals, StrategyDescription
from src.domain.trading import Direction, FillTiming, IntrabarPolicy, TradingRules
from src.domain.volume_rules import VolumeRules
from tests.market import random_bars

Market = tuple[Bars, Signals]

SIZINGS = st.one_of(
    st.just(Sizing()),
    st.builds(Sizing, fixed_units=st.sampled_from([0.5, 20.0, 1000.0])),
    st.builds(Sizing, equity_fraction=st.sampled_from([0.1, 0.5, 1.0])),
)
ENTRIES = st.one_of(
    st.just(EntryOrder()),
    st.builds(
        EntryOrder,
        type=st.sampled_from([EntryType.LIMIT, EntryType.STOP]),
        offset_rate=st.sampled_from([0.0, 0.005, 0.03]),
        life_bars=st.integers(1, 6),
        is_repriced=st.booleans(),
    ),
    st.builds(
        EntryOrder,
        type=st.just(EntryType.STOP_LIMIT),
        offset_rate=st.sampled_from([0.0, 0.005, 0.03]),
        life_bars=st.integers(1, 6),
        limit_offset_rate=st.sampled_from([0.0, 0.001, 0.02]),
        is_repriced=st.booleans(),
    ),
)
RATES = st.one_of(st.none(), st.sampled_from([0.004, 0.02, 0.1, 0.5]))
MULTIPLES = st.one_of(st.none(), st.sampled_from([0.5, 2.0, 40.0]))
GAINS = st.one_of(st.none(), st.sampled_from([0.002, 0.01, 0.05]))


def _targets(places: tuple[tuple[float, int], ...]) -> st.SearchStrategy[tuple[TakeProfit, ...]]:
    """Targets of these rates and ages, each of a part that all of one age leave some of, or of what is left."""
    portions = st.sampled_from([None, 0.1, 0.3])
    return st.tuples(
        *(
            portions.map(lambda portion, place=place: TakeProfit(rate=place[0], portion=portion, after_bars=place[1]))
            for place in places
        )
    )


LADDERS = st.one_of(
    st.just(()),
    st.lists(
        st.sampled_from([(0.002, 0), (0.01, 0), (0.05, 0), (0.003, 2), (0.02, 2), (0.0, 4), (-0.02, 6), (-1.0, 9)]),
        min_size=1,
        max_size=5,
        unique=True,
    ).flatmap(lambda places: _targets(tuple(places))),
)
ADDITIONS = st.one_of(
    st.just(()),
    st.lists(
        st.builds(
            AddEntry,
            move=st.sampled_from([-0.2, -0.03, -0.005, 0.004, 0.02, 0.1]),
            size=st.sampled_from([0.25, 1.0, 3.0]),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
)


EXIT_ORDERS = st.one_of(
    st.just(ExitOrder()),
    st.builds(ExitOrder, type=st.just(ExitType.LIMIT), offset_rate=st.sampled_from([0.0, 0.004, 0.05])),
)


@st.composite
def all_exits(draw: st.DrawFn) -> Exits:
    """All exits but that at the end, which a shorter run has elsewhere."""
    rates = {name: draw(RATES) for name in ("stop_loss", "take_profit", "trailing_stop")}
    ladder = draw(LADDERS)
    if ladder:
        rates["take_profit"] = None
    uses_atr = draw(st.sampled_from([False, False, True]))
    multiples = {name: draw(MULTIPLES) for name, rate in rates.items() if uses_atr and rate is None}
    if ladder:
        multiples.pop("take_profit", None)
    atr = AtrDistances(**multiples, bars=draw(st.sampled_from([1, 3, 14])))  # type: ignore[arg-type]
    has_trailing = rates["trailing_stop"] is not None or atr.trailing_stop is not None
    on_signal = draw(st.booleans())
    return Exits(
        **{f"{name}_rate": rate for name, rate in rates.items()},  # type: ignore[arg-type]
        atr=atr,
        take_profits=ladder,
        trailing_start_rate=draw(GAINS) if has_trailing else None,
        break_even_rate=draw(GAINS),
        max_bars=draw(st.one_of(st.none(), st.integers(1, 12))),
        on_signal=on_signal,
        order=draw(EXIT_ORDERS) if on_signal and not ladder else ExitOrder(),
        cooldown_bars=draw(st.sampled_from([0, 1, 5])),
    )


EXITS = all_exits()
EXCHANGES = st.one_of(
    st.just(ExchangeRules()),
    st.builds(
        ExchangeRules,
        tick_size=st.sampled_from([None, 0.01, 0.3, 7.0]),
        step_size=st.sampled_from([None, 0.001, 0.1, 3.0]),
        min_notional=st.sampled_from([None, 10.0, 3_000.0]),
    ),
)
VOLUMES = st.one_of(
    st.just(VolumeRules()),
    st.just(VolumeRules()),
    st.builds(
        VolumeRules, impact=st.sampled_from([0.0, 0.05, 0.9]), max_share=st.sampled_from([None, 0.003, 0.1, 1.0])
    ),
)
COSTS = st.sampled_from([0.0, 0.001, 0.02])
SHARED_RULES = st.builds(
    TradingRules, fill=st.sampled_from(FillTiming), fee_rate=COSTS, slippage_rate=COSTS, sizing=SIZINGS
)
"""Rules that every engine knows."""


@st.composite
def all_rules(draw: st.DrawFn) -> TradingRules:
    """Rules that the event-driven engine knows."""
    exits = draw(EXITS)
    may_add = exits.atr.take_profit is None and exits.order.type is ExitType.MARKET
    sizings = [
        SIZINGS,
        st.builds(Sizing, quote_amount=st.sampled_from([10.0, 4_000.0, 1e6])),
        st.builds(Sizing, volatility_target=st.sampled_from([0.05, 0.4, 30.0])),
    ]
    if not (exits.first_stop_rate is exits.first_stop_atr is None):
        sizings.append(st.builds(Sizing, risk_fraction=st.sampled_from([0.001, 0.02, 1.0])))
    return TradingRules(
        fill=draw(st.sampled_from(FillTiming)),
        fee_rate=draw(COSTS),
        maker_fee_rate=draw(st.sampled_from([None, None, 0.0, -0.005, 0.01])),
        taker_fee_rate=draw(st.sampled_from([None, None, 0.004])),
        slippage_rate=draw(COSTS),
        volume=draw(VOLUMES),
        sizing=draw(st.one_of(sizings)),
        direction=draw(st.sampled_from(Direction)),
        entry=replace(draw(ENTRIES), additions=draw(ADDITIONS) if may_add else ()),
        exits=exits,
        exchange=draw(EXCHANGES),
        intrabar=draw(st.sampled_from(IntrabarPolicy)),
    )


RULES = all_rules()


@st.composite
def leveraged_rules(draw: st.DrawFn) -> TradingRules:
    """Rules that the event-driven engine knows, with borrowed positions."""
    leverage = draw(st.sampled_from([1.5, 3.0, 20.0, 125.0]))
    margin = Margin(leverage=leverage, maintenance_rate=draw(st.sampled_from([0.0, 0.004, 0.0079])))
    return replace(draw(RULES), margin=margin)


LEVERAGED = leveraged_rules()

FUNDINGS = st.builds(
    Funding, kind=st.just(FundingKind.CONSTANT), rate=st.sampled_from([0.0001, -0.0003, 0.004, 0.03, -0.03])
)


@st.composite
def funded_rules(draw: st.DrawFn) -> TradingRules:
    """Rules that the event-driven engine knows, with positions that pay funding, borrowed or not."""
    return replace(draw(st.one_of(RULES, LEVERAGED)), funding=draw(FUNDINGS))


FUNDED = funded_rules()


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """Bars that gap, from calm to ones in which a short is ruined, with a signal at some of them."""
    seed = draw(st.integers(0, 2**32 - 1))
    volatility = draw(st.sampled_from([0.005, 0.03, 0.3]))
    share, closing = draw(st.sampled_from([0.1, 0.4, 0.9])), draw(st.sampled_from([0.0, 0.5]))
    return random_market(draw(st.integers(1, 80)), seed, volatility, share=share, closing=closing)


@st.composite
def thin_markets(draw: st.DrawFn) -> Market:
    """The same, with a fifth of the bars without volume."""
    bars, signals = draw(markets())
    is_idle = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(len(bars)) < 0.2
    return replace(bars, volume=np.where(is_idle, 0.0, bars.volume)), signals


@st.composite
def funded_markets(draw: st.DrawFn) -> Market:
    """Bars shorter and longer than eight hours, on marks of funding or between them, some of them missing."""
    bars, signals = draw(markets())
    step = INTERVALS[draw(st.sampled_from(["1h", "3m", "6h", "8h", "1d", "1w"]))]
    slots = np.cumsum(draw(st.lists(st.sampled_from([1, 1, 1, 2, 9]), min_size=len(bars), max_size=len(bars))))
    start = draw(st.sampled_from([0, 1, 3 * 3_600_000]))
    times = start + slots.astype(np.int64) * step.milliseconds
    return replace(bars, interval=step, open_time_ms=times), signals


def random_market(n: int, seed: int, volatility: float = 0.03, *, share: float = 0.4, closing: float = 0.0) -> Market:
    """Return `n` random bars with a signal at `share` of them, buy or sell alike; `closing` of them only close."""
    return random_bars(n, seed=seed, volatility=volatility), random_signals(n, seed, share, closing=closing)


def random_signals(n: int, seed: int, share: float = 0.3, *, closing: float = 0.0) -> Signals:
    """Return a signal at `share` of the bars, buy or sell alike; `closing` of the signals only close."""
    random = np.random.default_rng(seed)
    action = random.choice(np.array([-1, 0, 1], dtype=np.int8), n, p=[share / 2, 1 - share, share / 2])
    if closing:
        action[random.random(n) < closing] *= 2
    return Signals(action=action, strategy=StrategyDescription(name="random"))
