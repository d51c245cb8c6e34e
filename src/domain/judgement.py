"""The judgement of a result: each figure of the report with its unit and its meaning, in the order that clients see.

None stands for what is undefined, or was not checked; `Verdict.not_checked` then says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from src.domain.performance import Metrics
from src.domain.reported import INSTANT, reported
from src.domain.trials import TrialStatistics

_PERCENT: Final = "per cent"
_PERCENT_A_YEAR: Final = "per cent a year"
_RATIO: Final = "ratio"
_FRACTION: Final = "fraction"
_PROBABILITY: Final = "probability, 0 to 1"
_COUNT: Final = "count"
_BARS: Final = "bars"
_ROWS: Final = "count of rows"


class _Described(StrEnum):
    """A name that clients see, with its meaning."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> _Described:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class VerdictLevel(_Described):
    """What the reasons add up to: the first of these that any reason gives."""

    DISPROVED = "DISPROVED", "Wrong by construction: the model knew what it could not know, or cannot repeat itself."
    TOO_LITTLE_DATA = "TOO_LITTLE_DATA", "Too few trades or bars for any statement."
    UNDERPOWERED = (
        "UNDERPOWERED",
        "It gained, but an edge of that size cannot be told from luck on so few bars.",
    )
    DOUBTFUL = "DOUBTFUL", "At least one check objects."
    NO_OBJECTION = (
        "NO_OBJECTION",
        "No check objects, which does not mean that the result is good: the verdict lists what was not checked.",
    )


class ReasonCode(_Described):
    """The stable name of a reason, the gravest first."""

    LOOKS_AHEAD = "LOOKS_AHEAD", "The model's predictions change if later bars are left out."
    NOT_REPEATABLE = "NOT_REPEATABLE", "The model predicts something else for the same rows."
    TRAINED_ON_THIS_WINDOW = "TRAINED_ON_THIS_WINDOW", "The model was trained on all bars of the backtest."
    FEW_TRADES = "FEW_TRADES", "Under 20 closed trades."
    FEW_BARS = "FEW_BARS", "Under 250 bars."
    UNDERPOWERED = "UNDERPOWERED", "The measured edge is smaller than the smallest that these bars can show."
    TRAINED_ON_PART_OF_THIS_WINDOW = (
        "TRAINED_ON_PART_OF_THIS_WINDOW",
        "The model was trained on some of the bars: the out-of-sample part counts.",
    )
    HIGH_HIT_RATE = "HIGH_HIT_RATE", "The position is right about the next bar too often to be true."
    UNEVEN_HIT_RATE = "UNEVEN_HIT_RATE", "The position is right much more often in a part of the bars."
    LOSES_WHEN_DELAYED = "LOSES_WHEN_DELAYED", "The run loses too much if its signals come one bar later."
    DEPENDS_ON_OTHER_ROWS = "DEPENDS_ON_OTHER_ROWS", "A prediction depends on the rows predicted beside it."
    LOW_DEFLATED_SHARPE = "LOW_DEFLATED_SHARPE", "The Sharpe ratio may be the luck of the best of all trials."
    TIMING_NOT_FOUND = "TIMING_NOT_FOUND", "The same trades at other times earn as much."
    TIMING_NOT_TESTABLE = "TIMING_NOT_TESTABLE", "The timing test needs more trades, or times without a position."
    LIKELY_OVERFIT = "LIKELY_OVERFIT", "The best row of a sweep is below the median on other bars."
    NOT_SUPERIOR = "NOT_SUPERIOR", "The best row of a sweep beats buying and holding by luck only."
    THIN_COST_MARGIN = "THIN_COST_MARGIN", "Twice the fees would take the profit."
    FILL_BAND_CHANGES_SIGN = "FILL_BAND_CHANGES_SIGN", "Gain or loss depends on what ambiguous bars hit first."
    GAPS_TRADED_ACROSS = "GAPS_TRADED_ACROSS", "Trades were held through long gaps in the bars."
    ENGINES_DIFFER = "ENGINES_DIFFER", "Both engines fill the same orders differently."
    SIMULATED_PRICES = "SIMULATED_PRICES", "The bars are simulated."
    BELOW_BUY_AND_HOLD = "BELOW_BUY_AND_HOLD", "Buying and holding returned more over the same bars."
    SHARPE_MAY_BE_ZERO = "SHARPE_MAY_BE_ZERO", "The interval of the Sharpe ratio holds 0."
    PROFIT_NEEDS_BEST_TRADE = "PROFIT_NEEDS_BEST_TRADE", "Without its best trade the run earns nothing."
    TRAINING_WINDOW_UNKNOWN = "TRAINING_WINDOW_UNKNOWN", "No training window was declared."
    READS_EARLIER_ROWS = "READS_EARLIER_ROWS", "A prediction depends on the rows before it, and on no later one."
    ONLY_TRIAL_SEEN = "ONLY_TRIAL_SEEN", "The user has no other trial on this market."
    TRADES_AUTOCORRELATED = "TRADES_AUTOCORRELATED", "Profits of neighboring trades are related."
    ENTRIES_REDUCED = "ENTRIES_REDUCED", "Entries were cut to what the cash allowed."
    AMBIGUOUS_BARS = "AMBIGUOUS_BARS", "Some bars do not tell what was hit first; the sign does not depend on them."


class UncheckedCode(_Described):
    """The stable name of what stands against a check that was asked for."""

    READS_MODEL = "READS_MODEL", "The strategy reads a model, whose parameters are in its file."
    MODEL_NOT_STORED = (
        "MODEL_NOT_STORED",
        "The model came with the request, or its file was deleted or replaced since.",
    )
    NO_NUMERIC_PARAMETER = "NO_NUMERIC_PARAMETER", "The strategy has no parameter that is a number."
    NO_BAR_CACHE = "NO_BAR_CACHE", "The bars are simulated or a dataset: only bars of the exchange have a cache."
    NO_OTHER_MARKET = "NO_OTHER_MARKET", "The cache has no other market with half of the result's bars."
    ALL_MARKETS_FAILED = "ALL_MARKETS_FAILED", "Each market that was tried failed."
    NO_AMBIGUOUS_BARS = "NO_AMBIGUOUS_BARS", "Every bar tells what it hit first."
    TOO_MANY_AMBIGUOUS_BARS = "TOO_MANY_AMBIGUOUS_BARS", "Over 50 bars do not tell what they hit first."
    NO_FINER_BARS = "NO_FINER_BARS", "No bars are finer than those of the result."
    NOT_JUDGED = "NOT_JUDGED", "The result was stored by a version that did not judge."


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """Why a check that was asked for has no result."""

    code: UncheckedCode = reported("Stable name of the cause.")
    why: str = reported("The cause as a sentence.")

    @classmethod
    def because(cls, code: UncheckedCode, why: str | None = None) -> Unchecked:
        """Return the cause with its meaning, or with what it means here."""
        return cls(code=code, why=code.meaning if why is None else why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One objection or note, as a sentence and as data."""

    code: ReasonCode = reported("Stable name of the reason.")
    level: VerdictLevel | None = reported("The level that it gives the verdict; null for a note, which gives none.")
    value: float | None = reported("The figure that was found, in the reason's unit; null if there is none.")
    threshold: float | None = reported("The limit that it is compared with, in the same unit; null if there is none.")
    unit: str = reported("Unit of value and threshold; empty without a value.")
    text: str = reported("The reason as a sentence, with its figure and limit.")
    false_alarm_rate: float | None = reported(
        "How often this reason objects to a strategy with a true edge, or to an honest model; null if not measured.",
        _FRACTION,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NotChecked:
    """A check that was not made."""

    code: str = reported("Stable name of the check.")
    why: str = reported("Why it was not made, as a sentence.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether to believe the result: no score, but what each check objects."""

    level: VerdictLevel = reported("DISPROVED, TOO_LITTLE_DATA, UNDERPOWERED, DOUBTFUL or NO_OBJECTION.")
    reasons: tuple[Reason, ...] = reported(
        "Objections, the gravest first, then notes; also first in `warnings`, after those of an out-of-sample part."
    )
    not_checked: tuple[NotChecked, ...] = reported("Checks that were not made, and why.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Both ends, in the unit of the figure that they belong to."""

    low: float = reported("Lower end, in the figure's unit.")
    high: float = reported("Upper end, in the figure's unit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownRange:
    """The maximum drawdown of the next path."""

    median: float = reported("Half of the paths fall further.", _PERCENT)
    high95: float = reported("5 of 100 paths fall further.", _PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeOfNextPath:
    """Where another path of as many bars of the same strategy ends in 95 of 100 cases.

    In simulations the ranges held the next path in 90–96 % of cases, and in 86–93 % for strategies that are out of the
    market for long (250 and 1,000 bars; `tests/benchmarks/judgement_coverage.py`).
    """

    total_return: Interval | None = reported("Range of the total return; null if it overflows.", _PERCENT)
    cagr: Interval | None = reported("Range of the cagr; null if it overflows, and under 30 days.", _PERCENT)
    max_drawdown: DrawdownRange = reported("Range of the maximum drawdown.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """Intervals of the result's figures, from resampled blocks of bars and from its trades.

    Those from bars are null under 100 bars, without variance, and if a return is not a number; those from trades under
    10 closed trades.
    """

    level: float = reported("Nominal coverage of the intervals; in simulations 0.92 to 0.96.", _FRACTION)
    method: str = reported("How the bars are resampled.")
    block_length: int | None = reported("Length of the blocks, so that dependence is kept.", _BARS)
    resamples: int = reported("Number of resamples.", _COUNT)
    seed: str = reported(
        "First 8 bytes of the SHA-256 of the returns: equal returns give equal intervals.", "hexadecimal"
    )
    sharpe_ratio: Interval | None = reported("Interval of the Sharpe ratio.", _RATIO)
    sharpe_error: float | None = reported("Standard error of the Sharpe ratio per bar, from blocks.", _RATIO)
    win_rate: Interval | None = reported("Interval of the win rate (Wilson 1927).", _PERCENT)
    profit_factor: Interval | None = reported("Interval of the profit factor.", _RATIO)
    range_of_next_path: RangeOfNextPath | None = reported(
        "Where another path of as many bars would end; no confidence interval."
    )
    trade_autocorrelation: float | None = reported("Autocorrelation of neighboring trades' profits.", _RATIO)
    are_trades_autocorrelated: bool = reported(
        "Whether it exceeds 2 ÷ √trades: win rate and profit factor then vary more than their intervals say."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflation:
    """The Sharpe ratio's probabilities, corrected for the number of trials.

    Those of blocks know autocorrelation, those of the closed form do not; the smaller of both counts. Null without
    variance, under 4 bars, and without a standard error.
    """

    trials: int = reported("Different runs of this user on this market, this one included.", _COUNT)
    trials_effective: float = reported("To how many independent trials those that moved amount, at least 1.", _COUNT)
    average_correlation: float | None = reported("Mean correlation of all pairs of trials; null under two.", _RATIO)
    trial_sharpe_variance: float | None = reported(
        "Variance of the trials' t = SR √n, at least 0.25 and at most 1; null under two.", _RATIO
    )
    sharpe_hurdle: float = reported(
        "Sharpe ratio that the best of so many trials without an edge is expected to have.", _RATIO
    )
    psr: float | None = reported("Probability that the true Sharpe ratio is over 0, closed form.", _PROBABILITY)
    psr_dependent: float | None = reported("The same with the standard error of blocks.", _PROBABILITY)
    dsr: float | None = reported(
        "Probability that the true Sharpe ratio is over the hurdle, closed form.", _PROBABILITY
    )
    dsr_dependent: float | None = reported("The same with the standard error of blocks.", _PROBABILITY)
    min_track_record_bars: int | None = reported(
        "Bars from which psr would be 0.95; null if the ratio is not over 0, and over 2³¹ − 1.", _BARS
    )
    luck_equivalent_trials: float | None = reported(
        "The best of so many coin flippers is expected to look as good; null if no number is enough.", _COUNT
    )
    min_backtest_bars: int | None = reported(
        "Under so many bars the best of the effective trials is expected to look as good without an edge; null for one "
        "trial, if the ratio is not over 0, and over 2³¹ − 1.",
        _BARS,
    )
    active_trials_effective: float | None = reported(
        "To how many independent trials the runs amount without the market, at least 1; null for results of earlier "
        "versions.",
        _COUNT,
    )
    timing_deflated: float | None = reported(
        "The timing test's p-value for the best of so many; null without the test, and for results of earlier "
        "versions.",
        _PROBABILITY,
    )
    ledger_scope: str = reported("Which trials were counted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalChanges:
    """How the signals change if the model sees the first bars only, over several prefixes of the bars.

    If nothing changes, the first half is also predicted with other bars after it.
    """

    prefixes: int = reported("Prefixes that were predicted, those before other bars included.", _COUNT)
    compared: int = reported(
        "Signals compared, of all prefixes; without those chosen for their difference, unless only their ends differ.",
        _COUNT,
    )
    changed: int = reported("Signals that differ although only later bars do.", _COUNT)
    first_bar: int | None = reported("Index of the first bar whose signal differs; null if none does.")
    changes_sign: bool = reported("Whether the net return has another sign without the later bars.")
    differs_at_end_only: bool | None = reported(
        "Whether predictions differ near the prefixes' ends and nowhere else; null for results of earlier versions."
    )
    differs_like_rounding: bool | None = reported(
        "Whether predictions differ as by rounding: each its own way, by a part of their deviation, as those of "
        "dynamically quantized networks do; null for results of earlier versions."
    )
    differing: int | None = reported(
        "Predictions that differ although only later bars do; null for results of earlier versions.", _COUNT
    )
    failed: int | None = reported(
        "Prefixes that the model failed to predict; null for results of earlier versions.", _COUNT
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAudit:
    """Whether the model is a function of one row: the same rows were predicted again, shuffled, in four parts."""

    rows: int = reported("Rows compared.", _ROWS)
    differing: int = reported("Rows whose prediction differs by more than is allowed.", _ROWS)
    largest_difference: float | None = reported(
        "Largest difference in units of what is allowed: 1e-5 × |prediction| + 1e-3 × deviation, with rounding in "
        "place of 1e-5 if the signal turns; null if it is not finite.",
        _RATIO,
    )
    is_repeatable: bool | None = reported(
        "Whether the same rows in the same order give the same predictions; null if that was not needed."
    )
    signals: SignalChanges | None = reported("What changes without the later bars; null if that was not needed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapSigns:
    """Signs that a model knew the bars. Without a sign it may still have been trained on them."""

    hit_bars: int = reported("Bars with a position and a move.", _BARS)
    hit_rate: float | None = reported("Share of them whose move went the position's way; null under 200.", _FRACTION)
    kuiper_range: float | None = reported(
        "Range of the hits' centered, scaled sum: how unevenly they fall; null under 200.",
        _RATIO,
    )
    lag_z: float | None = reported("Mean loss per bar if signals come one bar later, in its standard errors.", _RATIO)
    has_high_hit_rate: bool = reported("Whether the hit rate is over 0.57.")
    has_wide_kuiper_range: bool = reported("Whether the range is over 2.0.")
    has_high_lag_z: bool = reported("Whether the loss is over 3.0 standard errors.")

    @property
    def is_any_seen(self) -> bool:
        return self.has_high_hit_rate or self.has_wide_kuiper_range or self.has_high_lag_z


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOverlap:
    """How the declared training window lies in the bars of the backtest."""

    trained_from_ms: int | None = reported("First instant of the training window; null if not declared.", INSTANT)
    trained_to_ms: int = reported("Last instant of the training window.", INSTANT)
    label_horizon: int = reported("Bars that a label looks ahead; as many bars after the window are left out.", _BARS)
    bars_seen: int = reported("Bars of the backtest inside the training window.", _BARS)
    share_seen: float = reported("Their share of all bars.", _FRACTION)
    bars_before: int | None = reported(
        "Bars of the backtest before the training window; null for results of earlier versions.", _BARS
    )
    bars_after: int | None = reported(
        "Bars left after the window and the label horizon; null for results of earlier versions.", _BARS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """Whether a model knew what it could not have known."""

    rows: RowAudit | None = reported("Comparison of predictions among other rows; null if it was not made.")
    overlap: OverlapSigns | None = reported(
        "Signs of training on the tested bars; null for strategies without a model."
    )
    training: TrainingOverlap | None = reported("The declared training window; null if none was declared.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyAndHold:
    """One entry at the first bar with the result's costs and sizing, held to the end."""

    total_return: float = reported("Return after costs.", _PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance.", _RATIO)
    max_drawdown: float = reported("Largest fall from a peak, positive.", _PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingTest:
    """The timing of entries and exits against the same trades moved along the bars, before costs."""

    p_value: float = reported("Share of the moved runs that earn at least as much.", _PROBABILITY)
    shifts: int = reported("Moved runs.", _COUNT)
    edge: float = reported("What the run earned above the mean of the moved ones.", _PERCENT_A_YEAR)
    smallest_visible_edge: float = reported(
        "Edge that this test finds on these bars in 80 of 100 cases.", _PERCENT_A_YEAR
    )
    bars_needed: int | None = reported(
        "Bars on which the measured edge would be found so; null if it is not over 0, and over 2³¹ − 1.", _BARS
    )
    deviation: float | None = reported(
        "Deviation of what the moved runs earned; null for results of earlier versions.", _PERCENT_A_YEAR
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostCase:
    """The run again with other costs, or with each signal one bar later."""

    cost_factor: float = reported("Multiple of fees and slippage.", _RATIO)
    delay_bars: int = reported("Bars by which each signal comes later.", _BARS)
    total_return: float = reported("Return.", _PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance.", _RATIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """What the run did in a part of its bars."""

    name: str = reported("The year (UTC), or rising or falling by the market's return of the 100 bars before.")
    total_return: float = reported("Compounded over these bars.", _PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance and under two bars.", _RATIO)
    bars: int = reported("Bars of the part.", _BARS)
    trades: int = reported("Trades entered in it.", _COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class BestTrades:
    """How much of the profit hangs on the best trades."""

    share_of_best: float | None = reported(
        "Best trade's share of the closed trades' profit; null without profit.", _PERCENT
    )
    share_of_best5: float | None = reported("Best five trades' share.", _PERCENT)
    return_without_best: float | None = reported("Return of the run without its best trade.", _PERCENT)
    return_without_best5: float | None = reported("Return of the run without its best five trades.", _PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmarks:
    """What the result must beat, and where it came from."""

    jumps_left_out: int | None = reported(
        "Price jumps across gaps that the market's returns are without, here and in trends: no position could be held "
        "through them, and `dataQuality` names them. Null for results of earlier versions.",
        _COUNT,
    )
    buy_and_hold: BuyAndHold | None = reported("The market itself; null if the run cannot hold it.")
    timing: TimingTest | None = reported("Timing test; null under 10 trades, under 100 shifts, always in or never in.")
    timing_deflated: float | None = reported("Its p-value for the best of the effective active trials.", _PROBABILITY)
    active_trials_effective: float = reported(
        "To how many independent trials the runs amount without the market, at least 1.", _COUNT
    )
    smallest_visible_edge_deflated: float | None = reported(
        "Edge that is found on these bars in 80 of 100 cases among so many trials, if the earnings of the moved runs "
        "are normal beyond their 95 % quantile; null if these bars are too few for any edge.",
        _PERCENT_A_YEAR,
    )
    bars_needed_deflated: int | None = reported(
        "Bars on which the measured edge would be found among so many trials; null as `bars_needed` is.", _BARS
    )
    break_even_fee: float | None = reported("Fee per side at which the return is 0; null without trades.", _FRACTION)
    cost_cases: tuple[CostCase, ...] = reported("The run with other costs, and one bar late.")
    years: tuple[PartResult, ...] = reported("The run by UTC year.")
    trends: tuple[PartResult, ...] = reported("The run in a rising and in a falling market.")
    best_trades: BestTrades = reported("The best trades' part in the profit.")
    bars_below_peak: int = reported("Bars since equity was last at its peak.", _BARS)
    missing_crises: tuple[str, ...] = reported("Crises of the market that these bars do not contain.")


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
    total_return: float = reported("Return.", _PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance.", _RATIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbors:
    """Whether nearby parameters do as well: each number × 0.8, 0.9, 1, 1.1 and 1.2, whole numbers rounded.

    All combinations of up to two parameters; of more, one is changed at a time. Combinations that are not allowed and
    repeated ones are left out. The chosen values are among the rows.
    """

    rows: tuple[NeighborRow, ...] = reported("The runs, in the order of their values.")
    median_sharpe: float | None = reported("Median of the Sharpe ratios; null if no run has one.", _RATIO)
    share_positive: float = reported("Share of the runs whose return is over 0.", _FRACTION)
    rank: int = reported("Place of the chosen values by Sharpe ratio; 1 is the highest, equal ones share a place.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherMarket:
    """The run of the same strategy and rules on another market."""

    symbol: str = reported("The market's symbol.")
    bars: int = reported("Bars of the run; fewer than the result's if fewer were stored.", _BARS)
    start_ms: int = reported("Open time of the first bar.", INSTANT)
    end_ms: int = reported("Open time of the last bar.", INSTANT)
    total_return: float = reported("Return.", _PERCENT)
    sharpe_ratio: float | None = reported("Sharpe ratio; null without variance.", _RATIO)
    buy_and_hold_return: float | None = reported(
        "Return of buying and holding that market, without price jumps across gaps.", _PERCENT
    )
    total_trades: int = reported("Closed trades.", _COUNT)
    max_drawdown: float = reported("Deepest drawdown.", _PERCENT)


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
    positive_sharpe: int = reported("Markets on which the Sharpe ratio is over 0.", _COUNT)
    beats_buy_and_hold: int = reported("Markets on which the return is over that of buying and holding.", _COUNT)
    summary: str = reported("The two counts as a sentence.")
    skipped: tuple[SkippedMarket, ...] = reported("Markets that could not be run, and why; after 3 no more are tried.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FillBand:
    """Total returns under both answers to what a bar hit first.

    The optimistic one is not an upper bound: an early target can miss a later, larger gain.
    """

    pessimistic_return: float = reported("Total return if the stop comes first.", _PERCENT)
    optimistic_return: float = reported("Total return if the target comes first.", _PERCENT)
    ambiguous_bars: int = reported("Bars that do not tell.", _BARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedFills:
    """The run again, each ambiguous bar settled by the finer bars inside it where they tell."""

    total_return: float = reported("Total return; bars that stay ambiguous follow the run's `intrabar`.", _PERCENT)
    resolved_bars: int = reported("Ambiguous bars that the finer bars settled.", _BARS)
    unresolved_bars: int = reported("Ambiguous bars that they did not settle, or that have none.", _BARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether to believe a result, and why."""

    verdict: Verdict = reported("What the checks add up to.")
    confidence: Confidence = reported("How certain the figures are.")
    deflation: Deflation = reported("How certain they are after all trials.")
    leaks: Leaks | None = reported("Whether the model knew the future; null for strategies without a model.")
    benchmarks: Benchmarks = reported("What the result must beat.")
    fill_band: FillBand | None = reported("What the bars cannot tell; null if no bar was ambiguous.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleResult:
    """The metrics of a part of the bars: those that the model was trained on, or those after them.

    The part after the training window is a fresh run: flat, with the initial cash, on features that know the bars
    before. So both parts do not multiply to the whole.
    """

    metrics: Metrics = reported("Every metric of this part.")
    judgement: Judgement | None = reported("The judgement of the part after the training; null for the part before.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSnapshot:
    """The trials that a result was deflated with, before and after it was counted; enough to judge it again alike.

    `head_before` and `head_after` are the heads of the ledger's chain. `runs` counts all runs of the ledger, those that
    did not move too; None for results of earlier versions, which counted those that moved.
    """

    total: TrialStatistics
    active: TrialStatistics
    total_before: TrialStatistics
    active_before: TrialStatistics
    head_before: str
    head_after: str
    runs: int | None = None
