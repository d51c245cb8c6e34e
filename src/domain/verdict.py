"""Whether to believe a result: the levels of the verdict, its reasons, and what was not checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from src.domain.reported import reported
from src.domain.units import FRACTION


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
    RUINED = "RUINED", "The account lost nearly all of its peak value: its figures describe what was left."
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
    TRAINED_LATER = "TRAINED_LATER", "The model's training window begins after all bars of the backtest."
    READS_EARLIER_ROWS = "READS_EARLIER_ROWS", "A prediction depends on the rows before it, and on no later one."
    ONLY_TRIAL_SEEN = "ONLY_TRIAL_SEEN", "The user has no other trial on this market."
    TRIALS_REDUCED = (
        "TRIALS_REDUCED",
        "Of some trials on this market only sums are kept: the effective trials are at most so many.",
    )
    TRIALS_MAY_BE_MISSING = "TRIALS_MAY_BE_MISSING", "Trials on this market may have been removed to bound the store."
    TRADES_AUTOCORRELATED = "TRADES_AUTOCORRELATED", "Profits of neighboring trades are related."
    ENTRIES_REDUCED = "ENTRIES_REDUCED", "Entries were cut to what cash or volume allowed."
    ENTRIES_DROPPED = (
        "ENTRIES_DROPPED",
        "Entries were left out: too small for the exchange, without their exits, or without volume.",
    )
    STOP_BEYOND_LIQUIDATION = "STOP_BEYOND_LIQUIDATION", "Positions are liquidated before they reach their stop."
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
        FRACTION,
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
