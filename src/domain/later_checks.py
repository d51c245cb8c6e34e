"""Checks of a stored result that a client asks for: nearby parameters, other markets, and fills on finer bars."""

from __future__ import annotations

from dataclasses import dataclass

from src.domain.reported import INSTANT, reported
from src.domain.units import BARS, COUNT, FRACTION, PERCENT, RATIO


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborValue:
    """A parameter's value in a neighbor."""

    name: str = reported("The parameter's public name.")
    value: float = reported("Its value, in the parameter's unit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborRow:
    """The run with nearby parameters."""

    values: tuple[NeighborValue, ...] = reported("The values of all numeric parameters.")
    is_chosen: bool = reported("Whether these are the run's own values.")
    total_return: float = reported("Return.", PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance.", RATIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbors:
    """Whether nearby parameters do as well: each number × 0.8, 0.9, 1, 1.1 and 1.2, whole numbers rounded.

    All combinations of up to two parameters; of more, one is changed at a time. Combinations that are not allowed and
    repeated ones are left out. The chosen values are among the rows.
    """

    rows: tuple[NeighborRow, ...] = reported("The runs, in the order of their values.")
    median_sharpe: float | None = reported("Median of the Sharpe ratios; null if no run has one.", RATIO)
    share_positive: float = reported("Share of the runs whose return is over 0.", FRACTION)
    rank: int = reported("Place of the chosen values by Sharpe ratio; 1 is the highest, equal ones share a place.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherMarket:
    """The run of the same strategy and rules on another market."""

    symbol: str = reported("The market's symbol.")
    bars: int = reported("Bars of the run; fewer than the result's if fewer were stored.", BARS)
    start_ms: int = reported("Open time of the first bar.", INSTANT)
    end_ms: int = reported("Open time of the last bar.", INSTANT)
    total_return: float = reported("Return.", PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance.", RATIO)
    buy_and_hold_return: float | None = reported(
        "Return of buying and holding that market, without price jumps across gaps.", PERCENT
    )
    total_trades: int = reported("Closed trades.", COUNT)
    max_drawdown: float = reported("Deepest drawdown.", PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedMarket:
    """A market that could not be run; the next one took its place."""

    symbol: str = reported("The market's symbol.")
    why: str = reported("Why it could not be run, as a sentence.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherMarkets:
    """Whether the same rule works on up to 3 other markets whose bars are in the bar cache: nothing is downloaded.

    Those with the most bars of the result's window, at least half of it; of equal ones the first by name.
    """

    markets: tuple[OtherMarket, ...] = reported("The runs, those with the most stored bars first.")
    positive_sharpe: int = reported("Markets on which the Sharpe ratio is over 0.", COUNT)
    beats_buy_and_hold: int = reported("Markets on which the return is over that of buying and holding.", COUNT)
    summary: str = reported("The two counts as a sentence.")
    skipped: tuple[SkippedMarket, ...] = reported("Markets that could not be run, and why; after 3 no more are tried.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedFills:
    """The run again, each ambiguous bar settled by the finer bars inside it where they tell."""

    total_return: float = reported("Total return; bars that stay ambiguous follow the run's `intrabar`.", PERCENT)
    resolved_bars: int = reported("Ambiguous bars that the finer bars settled.", BARS)
    unresolved_bars: int = reported("Ambiguous bars that they did not settle, or that have none.", BARS)
