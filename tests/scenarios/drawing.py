"""Read scenarios drawn as tables: a row per bar, the strategy's signal, and the expected fills.

    open high low close | signal | fills
    100  101  99  100   | buy    |
    102  103  101 102   |        | buy 1 @ 102 signal

Several fills of a bar are in their order, separated by `;`. A fill may end in `fee F`; otherwise none is expected.
A fourth column, where it is drawn, is the equity at the close. Expected numbers are worked out by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from src.domain.atr_exits import AtrDistances
from src.domain.bars import Bars
from src.domain.exchange_rules import ExchangeRules
from src.domain.exit_orders import ExitOrder, ExitType
from src.domain.funding import Funding, FundingKind
from src.domain.intervals import Interval
from src.domain.ladders import AddEntry, TakeProfit
from src.domain.order_rules import EntryOrder, EntryType, Exits, Margin, Sizing
from src.domain.portfolio import SymbolRun
from src.domain.signals import Action, Signals, StrategyDescription
from src.domain.simulation import FillReason, Side, Simulation
from src.domain.trading import Direction, FillTiming, IntrabarPolicy, TradingRules
from src.engines.event_driven import EventDrivenEngine

WORDS = {action.name.lower().replace("_", " "): action for action in Action} | {"": Action.HOLD}

ExpectedFill = tuple[int, str, float, float, float, str]
"""Bar, side, quantity, price, fee, reason."""


def rules(
    *,
    fill: FillTiming = FillTiming.NEXT_OPEN,
    cash: float = 1000.0,
    fee: float = 0.0,
    maker: float | None = None,
    taker: float | None = None,
    slippage: float = 0.0,
    units: float | None = None,
    percent: float | None = None,
    quote: float | None = None,
    risk: float | None = None,
    volatility: float | None = None,
    leverage: float = 1.0,
    maintenance: float = 0.0,
    funding: float | None = None,
    direction: Direction = Direction.LONG,
    entry: EntryType = EntryType.MARKET,
    offset: float = 0.0,
    life: int = 1,
    limit: float = 0.0,
    reprice: bool = False,
    stop: float | None = None,
    target: float | None = None,
    targets: Sequence[tuple[float, float | None] | tuple[float, float | None, int]] = (),
    adds: Sequence[tuple[float, float]] = (),
    trail: float | None = None,
    trail_from: float | None = None,
    stop_atr: float | None = None,
    target_atr: float | None = None,
    trail_atr: float | None = None,
    atr_bars: int = 14,
    break_even: float | None = None,
    max_bars: int | None = None,
    on_signal: bool = True,
    at_end: bool = False,
    exit: ExitType = ExitType.MARKET,
    exit_offset: float = 0.0,
    cooldown: int = 0,
    tick: float | None = None,
    step: float | None = None,
    least: float | None = None,
    intrabar: IntrabarPolicy = IntrabarPolicy.PESSIMISTIC,
) -> TradingRules:
    """Return trading rules in one line; without costs and with all cash by default.

    `targets` are rate, portion and age of scaled targets, `adds` move and size of additions.
    """
    return TradingRules(
        fill=fill,
        initial_cash=cash,
        fee_rate=fee,
        maker_fee_rate=maker,
        taker_fee_rate=taker,
        slippage_rate=slippage,
        sizing=Sizing(
            fixed_units=units,
            equity_fraction=percent,
            quote_amount=quote,
            risk_fraction=risk,
            volatility_target=volatility,
        ),
        margin=Margin(leverage=leverage, maintenance_rate=maintenance),
        funding=Funding() if funding is None else Funding(kind=FundingKind.CONSTANT, rate=funding),
        direction=direction,
        entry=EntryOrder(
            type=entry,
            offset_rate=offset,
            life_bars=life,
            limit_offset_rate=limit,
            is_repriced=reprice,
            additions=tuple(AddEntry(move=move, size=size) for move, size in adds),
        ),
        exits=Exits(
            stop_loss_rate=stop,
            take_profit_rate=target,
            take_profits=tuple(
                TakeProfit(rate=rate, portion=portion, after_bars=age[0] if age else 0)
                for rate, portion, *age in targets
            ),
            trailing_stop_rate=trail,
            trailing_start_rate=trail_from,
            atr=AtrDistances(stop_loss=stop_atr, take_profit=target_atr, trailing_stop=trail_atr, bars=atr_bars),
            break_even_rate=break_even,
            max_bars=max_bars,
            on_signal=on_signal,
            at_end=at_end,
            order=ExitOrder(type=exit, offset_rate=exit_offset),
            cooldown_bars=cooldown,
        ),
        exchange=ExchangeRules(tick_size=tick, step_size=step, min_notional=least),
        intrabar=intrabar,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawn table, read: bars, signals, the expected fills, and the equity at the bars that show it."""

    bars: Bars
    signals: Signals
    fills: list[ExpectedFill]
    equity: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One case: rules, a picture, and what the run must report beside its fills.

    The bars are of `interval`, the first one opens at 00:00; `slots` are their numbers if some are missing. `funding`
    is what each trade paid, `distance` that to the liquidation level, if it is drawn.
    """

    name: str
    rules: TradingRules
    table: str
    ambiguous_bars: int = 0
    reduced_entries: int = 0
    dropped_entries: int = 0
    is_liquidated: bool = False
    liquidations: int | None = None
    volume: float | tuple[float, ...] = 1.0
    interval: str = "1d"
    slots: tuple[int, ...] | None = None
    funding: tuple[float, ...] | None = None
    distance: float | None = None

    def play(self) -> Simulation:
        """Run the engine on the picture and compare."""
        picture = read(self.table, self.volume, interval=self.interval, slots=self.slots)
        simulation = EventDrivenEngine().run(picture.bars, picture.signals, self.rules)
        assert fills_of(simulation) == [rounded(fill) for fill in picture.fills]
        for bar, expected_equity in picture.equity.items():
            assert simulation.equity[bar] == pytest.approx(expected_equity, rel=1e-12, abs=1e-9), f"equity at bar {bar}"
        assert simulation.ambiguous_bars == self.ambiguous_bars
        assert simulation.reduced_entries == self.reduced_entries
        assert simulation.dropped_entries == self.dropped_entries
        assert simulation.is_liquidated is self.is_liquidated
        assert simulation.liquidations == (self.is_liquidated if self.liquidations is None else self.liquidations)
        if self.funding is not None:
            assert simulation.trades["funding"].tolist() == pytest.approx(self.funding, rel=1e-12, abs=1e-9)
        if self.distance is not None:
            assert simulation.liquidation_distance == pytest.approx(self.distance, rel=1e-12, abs=1e-12)
        elif self.rules.margin.leverage == 1:
            assert simulation.liquidation_distance is None
        return simulation


def fills_of(simulation: Simulation | SymbolRun) -> list[ExpectedFill]:
    """Return the fills of a run in the form of the drawings."""
    return [
        rounded(
            (
                int(fill["bar"]),
                Side(fill["side"]).word,
                float(fill["quantity"]),
                float(fill["price"]),
                float(fill["fee"]),
                FillReason(fill["reason"]).word,
            )
        )
        for fill in simulation.fills
    ]


def rounded(fill: ExpectedFill) -> ExpectedFill:
    """Return the fill with its numbers to nine decimals, finer than anything drawn here."""
    bar, side, quantity, price, fee, reason = fill
    return bar, side, round(quantity, 9), round(price, 9), round(fee, 9), reason


def read(
    table: str, volume: float | tuple[float, ...], *, interval: str = "1d", slots: tuple[int, ...] | None = None
) -> Picture:
    """Read a drawn table; one volume is that of each bar."""
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    assert rows[0][0].split() == ["open", "high", "low", "close"], "the first line names the columns"
    rows = rows[1:]
    prices = np.array([[float(price) for price in row[0].split()] for row in rows])
    fills = [
        _read_fill(bar, text.strip()) for bar, row in enumerate(rows) for text in row[2].split(";") if text.strip()
    ]
    return Picture(
        bars=Bars(
            symbol="DRAWN",
            interval=Interval.named(interval),
            open_time_ms=np.array(slots or range(len(rows)), dtype=np.int64) * Interval.named(interval).milliseconds,
            open=prices[:, 0],
            high=prices[:, 1],
            low=prices[:, 2],
            close=prices[:, 3],
            volume=np.full(len(rows), volume, dtype=np.float64),
        ),
        signals=Signals(
            action=np.array([WORDS[row[1]] for row in rows], dtype=np.int8),
            strategy=StrategyDescription(name="drawn"),
        ),
        fills=fills,
        equity={bar: float(row[3]) for bar, row in enumerate(rows) if len(row) > 3 and row[3]},
    )


def _read_fill(bar: int, text: str) -> ExpectedFill:
    words = text.split()
    side, quantity, at, price, reason = words[:5]
    assert at == "@", f"cannot read the fill {text!r}"
    assert len(words) == 5 or (len(words) == 7 and words[5] == "fee"), f"cannot read the fill {text!r}"
    return bar, side, float(quantity), float(price), float(words[6]) if len(words) == 7 else 0.0, reason
