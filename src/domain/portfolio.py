"""A portfolio backtest: one strategy over several symbols that share their cash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.any_case import AnyCase
from src.domain.arrays import freeze
from src.domain.confidence import Confidence, Deflation
from src.domain.errors import InvalidInput, bad_value
from src.domain.judgement import FillBand
from src.domain.parameters import Bounds, check_parameters, parameter
from src.domain.performance import Metrics
from src.domain.reported import INSTANT, reported
from src.domain.runs import BacktestRequest
from src.domain.simulation import FILL_DTYPE, TRADE_DTYPE
from src.domain.symbols import normalize_symbol
from src.domain.trading import EngineName
from src.domain.units import BARS, BASE, COUNT, PERCENT, QUOTE, RATIO
from src.domain.verdict import Verdict

MAX_SYMBOLS: Final = 100
"""The matrix of correlations has the square of this many numbers."""
MAX_RANK_BARS: Final = 10_000
MAX_SYMBOL_BARS: Final = 10_000_000
"""Bars of all symbols together: some 200 bytes each while a portfolio is computed."""


class Rank(AnyCase):
    """Which entries are filled first if not all can be."""

    LISTED = "LISTED"
    """In the order of `symbols`."""
    VOLUME = "VOLUME"
    """The largest traded value first."""
    MOMENTUM = "MOMENTUM"
    """The largest return first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioRequest:
    """One backtest that is run over several symbols at once.

    `backtest` has everything but the symbols; its own symbol is the first of them. Without a size of its own, each
    entry takes the equity ÷ `max_open`.
    """

    backtest: BacktestRequest
    symbols: tuple[str, ...]
    max_open: int | None = parameter(
        name="max_open",
        meaning="The most positions that are open at once, at most as many as there are symbols",
        default=None,
        unit="count",
        bounds=Bounds(minimum=1, maximum=MAX_SYMBOLS),
        default_meaning="as many as there are symbols",
    )
    rank: Rank = parameter(
        name="rank",
        meaning="Which entries are filled first if places or cash are not enough for all: LISTED (as the symbols are "
        "listed), VOLUME (the largest traded value) or MOMENTUM (the largest return)",
        default=Rank.LISTED,
    )
    rank_bars: int = parameter(
        name="rank_bars",
        meaning="How many bars, up to the signal's, the rank reads",
        default=20,
        unit="bars",
        bounds=Bounds(minimum=1, maximum=MAX_RANK_BARS),
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        object.__setattr__(self, "symbols", check_symbols(self.symbols))
        if self.symbols[0] != self.backtest.market.symbol:
            raise ValueError(f"{self.backtest.market.symbol} is not the first of the symbols")
        if self.backtest.engine is not EngineName.EVENT_DRIVEN:
            raise bad_value("engine", got=self.backtest.engine.value, allowed=EngineName.EVENT_DRIVEN.value)
        if self.backtest.rules.detail is not None:
            raise InvalidInput(
                "{field} is {got}, and the symbols of a portfolio are traded by their own bars. Leave it out.",
                field="detailInterval",
                got=self.backtest.rules.detail.name,
            )
        if self.backtest.rules.funding.history is not None:
            raise InvalidInput(
                "{field} is {got!r}, and its rates are those of one symbol. Leave it out: with {@funding} HISTORY each "
                "symbol then pays the exchange's own rates.",
                field="fundingHistory",
                got=self.backtest.rules.funding.history,
            )
        if self.backtest.cross_check:
            raise InvalidInput(
                "{field} is true, and only one engine trades portfolios. Allowed: false.", field="crossCheck"
            )

    @property
    def user_id(self) -> str:
        return self.backtest.user_id

    @property
    def most_open(self) -> int:
        """The most positions that can be open at once."""
        return len(self.symbols) if self.max_open is None else min(self.max_open, len(self.symbols))


def check_symbols(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Return the symbols in the exchange's spelling; raises InvalidInput if there are none, too many or equal ones."""
    if not 1 <= len(symbols) <= MAX_SYMBOLS:
        raise InvalidInput(
            "{field} has {count} symbols. Allowed: 1 to {most} different ones.",
            field="symbols",
            count=len(symbols),
            most=MAX_SYMBOLS,
        )
    found = tuple(normalize_symbol(symbol, field=f"symbols.{place}") for place, symbol in enumerate(symbols))
    for place, symbol in enumerate(found):
        if symbol in found[:place]:
            raise InvalidInput(
                "{field} is {got!r}, which is listed before. Allowed: different symbols.",
                field=f"symbols.{place}",
                got=symbol,
            )
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SymbolRun:
    """What a portfolio did in one symbol.

    `fills` and `trades` are structured arrays (`FILL_DTYPE`, `TRADE_DTYPE`) in time order, by the symbol's own bars.
    `position` [n] is in units of the base asset, at the close of each of these; `profit` [n] what the symbol has
    gained in all by then, in the quote currency, the open position at the close included. `refused_entries` counts
    those for which there was no place or no cash, the other counts are those of `Simulation`.
    """

    symbol: str
    open_time_ms: NDArray[np.int64]
    position: NDArray[np.float64]
    profit: NDArray[np.float64]
    fills: NDArray[np.void]
    trades: NDArray[np.void]
    refused_entries: int = 0
    reduced_entries: int = 0
    dropped_entries: int = 0
    ambiguous_bars: int = 0
    liquidations: int = 0
    liquidation_distance: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "open_time_ms", freeze(self.open_time_ms, np.int64))
        for name in ("position", "profit"):
            object.__setattr__(self, name, freeze(getattr(self, name), np.float64))
        object.__setattr__(self, "fills", freeze(self.fills, FILL_DTYPE))
        object.__setattr__(self, "trades", freeze(self.trades, TRADE_DTYPE))
        if not len(self.open_time_ms) == len(self.position) == len(self.profit):
            raise ValueError("times, position and profit differ in length")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PortfolioSimulation:
    """The result of a portfolio.

    `time_ms` [n] are the times at which any symbol has a bar. At the close of each: `equity` and `cash` [n], the cash
    that no position holds as its margin or its value, and `open_positions` [n], their number.
    """

    time_ms: NDArray[np.int64]
    equity: NDArray[np.float64]
    cash: NDArray[np.float64]
    open_positions: NDArray[np.int64]
    runs: tuple[SymbolRun, ...]

    def __post_init__(self) -> None:
        for name, kind in (
            ("time_ms", np.int64), ("equity", np.float64), ("cash", np.float64), ("open_positions", np.int64)
        ):  # fmt: skip
            object.__setattr__(self, name, freeze(getattr(self, name), kind))
        if not len(self.time_ms) == len(self.equity) == len(self.cash) == len(self.open_positions):
            raise ValueError("times, equity, cash and open positions differ in length")


REDUCED: Final = "Entries cut to what cash or maxVolumeShare allowed."
DROPPED: Final = "Entries too small, without their exits, without a size or without volume."
AMBIGUOUS: Final = "Bars in which intrabar decided what was hit."
LIQUIDATED: Final = "Positions that were liquidated."
EARLIER: Final = "Null for portfolios of earlier versions."


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolSummary:
    """One symbol's share in a portfolio."""

    symbol: str = reported("The symbol.")
    bars: int = reported("Its bars.", COUNT)
    start_ms: int = reported("Open time of its first bar.", INSTANT)
    end_ms: int = reported("Open time of its last bar.", INSTANT)
    profit: float = reported("What it gained after all costs, an open position at its last close included.", QUOTE)
    contribution: float = reported("Its profit ÷ the starting cash × 100.", PERCENT)
    buy_and_hold_return: float | None = reported("(last close ÷ first close − 1) × 100, without costs.", PERCENT)
    total_trades: int = reported("Closed trades.", COUNT)
    open_trades: int = reported("Trades still open at its last bar (0 or 1).", COUNT)
    win_rate: float | None = reported("Winning ÷ closed trades × 100; null without closed trades.", PERCENT)
    profit_factor: float | None = reported(
        "Sum of profits ÷ |sum of losses| of closed trades; null without a loss.", RATIO
    )
    best_trade: float | None = reported("Largest return of a closed trade × 100.", PERCENT)
    worst_trade: float | None = reported("Smallest return of a closed trade × 100.", PERCENT)
    average_trade_duration: float | None = reported("Mean of exit bar − entry bar of closed trades.", BARS)
    exposure: float = reported("Share of its bars that end with a position × 100.", PERCENT)
    total_fees: float = reported("Sum of the fees of its fills.", QUOTE)
    total_funding: float = reported("Sum of the funding that its trades paid; negative if they got more.", QUOTE)
    refused_entries: int = reported("Entries for which there was no place (maxOpen) or no cash.", COUNT)
    bars_fingerprint: str = reported("SHA-256 of its bars, warm-up included.")
    reduced_entries: int | None = reported(f"{REDUCED} {EARLIER}", COUNT, default=None)
    dropped_entries: int | None = reported(f"{DROPPED} {EARLIER}", COUNT, default=None)
    ambiguous_bars: int | None = reported(f"{AMBIGUOUS} {EARLIER}", BARS, default=None)
    liquidations: int | None = reported(f"{LIQUIDATED} {EARLIER}", COUNT, default=None)
    tick_size: float | None = reported(
        "The step of its prices, given or read from the exchange (filters); null without one.", QUOTE, default=None
    )
    step_size: float | None = reported(
        "The step of its quantities, given or read from the exchange (filters); null without one.", BASE, default=None
    )
    min_notional: float | None = reported(
        "The smallest value of its entries, given or read from the exchange (filters); null without one.",
        QUOTE,
        default=None,
    )
    funding_fingerprint: str | None = reported(
        "SHA-256 of its rates of the funding history; null without one.", default=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlations:
    """How alike the profits of the symbols moved: Pearson's correlation of their profits per bar ÷ equity before it."""

    symbols: tuple[str, ...] = reported("The symbols that were ever traded, in the order of rows and columns.")
    values: tuple[float | None, ...] = reported(
        "The matrix, row after row; null if both were never traded at one time, or one did not move.", RATIO
    )
    mean: float | None = reported("Mean of the pairs that have one; null if none has.", RATIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioConclusion:
    """What a portfolio did: the figures of one run, those of each symbol, and how alike these moved.

    The market to which its metrics compare is an equal part of the starting cash in each symbol, bought at its first
    close and held.
    """

    metrics: Metrics = reported("Every metric of the portfolio as one run.")
    verdict: Verdict = reported("Whether to believe it, and why.")
    confidence: Confidence = reported("How certain these figures are.")
    deflation: Deflation = reported("Its Sharpe ratio after all portfolios that its user has tried.")
    symbols: tuple[SymbolSummary, ...] = reported("Each symbol's share, in the order of the request.")
    correlations: Correlations = reported("How alike the profits of the symbols moved.")
    most_open: int = reported("The most positions that were open at one close.", COUNT)
    refused_entries: int = reported("Entries for which there was no place (maxOpen) or no cash.", COUNT)
    warnings: tuple[str, ...] = reported("Warnings, in full sentences.", default=())
    reduced_entries: int | None = reported(f"{REDUCED} {EARLIER}", COUNT, default=None)
    dropped_entries: int | None = reported(f"{DROPPED} {EARLIER}", COUNT, default=None)
    ambiguous_bars: int | None = reported(f"{AMBIGUOUS} {EARLIER}", BARS, default=None)
    liquidations: int | None = reported(f"{LIQUIDATED} {EARLIER}", COUNT, default=None)
    fill_band: FillBand | None = reported("What the bars cannot tell; null if no bar was ambiguous.", default=None)
