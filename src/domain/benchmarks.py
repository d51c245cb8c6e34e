"""What a result must beat: the market, the same trades at other times, other costs, and its own parts."""

from __future__ import annotations

from dataclasses import dataclass

from src.domain.reported import reported
from src.domain.units import BARS, COUNT, FRACTION, PERCENT, PERCENT_A_YEAR, PROBABILITY, RATIO


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyAndHold:
    """One entry at the first bar with the result's costs and sizing, held to the end."""

    total_return: float = reported("Return after costs.", PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance.", RATIO)
    max_drawdown: float = reported("Largest fall from a peak, positive.", PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingTest:
    """The timing of entries and exits against the same trades moved along the bars, before costs."""

    p_value: float = reported("Share of the moved runs that earn at least as much.", PROBABILITY)
    shifts: int = reported("Moved runs.", COUNT)
    edge: float = reported("What the run earned above the mean of the moved ones.", PERCENT_A_YEAR)
    smallest_visible_edge: float = reported(
        "Edge that this test finds on these bars in 80 of 100 cases.", PERCENT_A_YEAR
    )
    bars_needed: int | None = reported(
        "Bars on which the measured edge would be found so; null if it is not over 0, and over 2³¹ − 1.", BARS
    )
    deviation: float | None = reported(
        "Deviation of what the moved runs earned; null for results of earlier versions.", PERCENT_A_YEAR
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostCase:
    """The run again with other costs, or with each signal one bar later."""

    cost_factor: float = reported("Multiple of fees, slippage and volumeImpact.", RATIO)
    delay_bars: int = reported("Bars by which each signal comes later.", BARS)
    total_return: float = reported("Return.", PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance.", RATIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """What the run did in a part of its bars."""

    name: str = reported("The year (UTC), or rising or falling by the market's return of the 100 bars before.")
    total_return: float = reported("Compounded over these bars.", PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance and under two bars.", RATIO)
    bars: int = reported("Bars of the part.", BARS)
    trades: int = reported("Trades entered in it.", COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class BestTrades:
    """How much of the profit hangs on the best trades."""

    share_of_best: float | None = reported(
        "Best trade's share of the closed trades' profit; null without profit.", PERCENT
    )
    share_of_best5: float | None = reported("Best five trades' share.", PERCENT)
    return_without_best: float | None = reported("Return of the run without its best trade.", PERCENT)
    return_without_best5: float | None = reported("Return of the run without its best five trades.", PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmarks:
    """What the result must beat, and where it came from."""

    jumps_left_out: int | None = reported(
        "Price jumps across gaps that the market's returns are without, here and in trends: no position could be held "
        "through them, and `dataQuality` names them. Null for results of earlier versions.",
        COUNT,
    )
    buy_and_hold: BuyAndHold | None = reported("The market itself; null if the run cannot hold it.")
    timing: TimingTest | None = reported("Timing test; null under 10 trades, under 100 shifts, always in or never in.")
    timing_deflated: float | None = reported("Its p-value for the best of the effective active trials.", PROBABILITY)
    active_trials_effective: float = reported(
        "To how many independent trials the runs amount without the market, at least 1.", COUNT
    )
    smallest_visible_edge_deflated: float | None = reported(
        "Edge that is found on these bars in 80 of 100 cases among so many trials, if the earnings of the moved runs "
        "are normal beyond their 95 % quantile; null if these bars are too few for any edge.",
        PERCENT_A_YEAR,
    )
    bars_needed_deflated: int | None = reported(
        "Bars on which the measured edge would be found among so many trials; null as `bars_needed` is.", BARS
    )
    break_even_fee: float | None = reported("Fee per side at which the return is 0; null without trades.", FRACTION)
    cost_cases: tuple[CostCase, ...] = reported("The run with other costs, and one bar late.")
    years: tuple[PartResult, ...] = reported("The run by UTC year.")
    trends: tuple[PartResult, ...] = reported("The run in a rising and in a falling market.")
    best_trades: BestTrades = reported("The best trades' part in the profit.")
    bars_below_peak: int = reported("Bars since equity was last at its peak.", BARS)
    missing_crises: tuple[str, ...] = reported("Crises of the market that these bars do not contain.")
