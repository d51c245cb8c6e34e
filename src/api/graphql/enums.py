"""Describe the domain's enums for GraphQL, for inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from src.domain.datasets import DatasetKind
from src.domain.exchange_rules import Filters
from src.domain.exit_orders import ExitType
from src.domain.funding import FundingKind
from src.domain.jobs import JobKind, JobState, StageName
from src.domain.order_rules import EntryType
from src.domain.parameters import parameters_of
from src.domain.portfolio import Rank
from src.domain.signals import OutputKind
from src.domain.sweeps import Comparison, Goal, Reduce, Scale, SearchKind
from src.domain.trading import Direction, EngineName, FillTiming, IntrabarPolicy
from src.domain.walk_forward import WindowKind
from src.strategies.registry import PARAMS

__all__ = [
    "Comparison",
    "DatasetKind",
    "Direction",
    "EngineName",
    "EntryType",
    "ExitType",
    "FillReason",
    "FillTiming",
    "Filters",
    "FundingKind",
    "Goal",
    "IntrabarPolicy",
    "JobKind",
    "JobState",
    "OutputKind",
    "Rank",
    "Reduce",
    "RunStatus",
    "Scale",
    "SearchKind",
    "Side",
    "Signal",
    "StageName",
    "TradeDirection",
    "WindowKind",
]

Kind = TypeVar("Kind", bound=StrEnum)


def _declare(kind: type[Kind], description: str, meanings: Mapping[Kind, str], *, name: str | None = None) -> None:
    """Make a GraphQL type of a domain enum, with a description of each value."""
    strawberry.enum(kind, name=name, description=description)
    definition: StrawberryEnumDefinition = kind.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = meanings[kind(value.value)]


_declare(
    EngineName,
    "What simulates the orders.",
    {
        EngineName.VECTORIZED: "Whole arrays at once: market orders, long only.",
        EngineName.EVENT_DRIVEN: "Bar by bar: resting orders with gaps, stops and expiry; shorts.",
    },
    name="Engine",
)
_declare(
    FillTiming,
    "When a signal is filled.",
    {
        FillTiming.SAME_CLOSE: "At the close of the signal's own bar.",
        FillTiming.NEXT_OPEN: "At the open of the next bar; a signal at the last bar is never filled.",
    },
)
_declare(
    Direction,
    "Which positions are taken.",
    {
        Direction.LONG: "Long ones: a buy signal enters, a sell signal exits.",
        Direction.SHORT: "Short ones: a sell signal enters, a buy signal exits.",
        Direction.BOTH: "Both: a sell signal turns a long into a short, and a buy signal turns it back.",
    },
)
_declare(
    EntryType,
    "How a signal enters.",
    {
        EntryType.MARKET: "At the market, at once.",
        EntryType.LIMIT: "By an order that waits for a better price than the signal's close.",
        EntryType.STOP: "By an order that waits until the price has moved on beyond the signal's close.",
        EntryType.STOP_LIMIT: "By such an order that is not filled beyond its limit.",
    },
)
_declare(
    ExitType,
    "How a signal closes a position.",
    {
        ExitType.MARKET: "At the market.",
        ExitType.LIMIT: "By an order that waits at a distance from the signal's close, in favor of the position.",
    },
)
_declare(
    IntrabarPolicy,
    "What counts if a bar does not show which of stop and target it hit, or whether it hit one after the entry.",
    {
        IntrabarPolicy.PESSIMISTIC: "The stop; a target only if it was certainly hit after the entry.",
        IntrabarPolicy.OPTIMISTIC: "The target; a stop only if it was certainly hit after the entry.",
        IntrabarPolicy.NEAREST: "What comes first on the way from the open to the nearer extreme, then to the other.",
    },
)
_declare(
    FundingKind,
    "What an open position pays at 00:00, 08:00 and 16:00 UTC; shorts get what longs pay.",
    {
        FundingKind.NONE: "Nothing, as on a spot market.",
        FundingKind.CONSTANT: "fundingRate of its value.",
        FundingKind.HISTORY: "The rates of fundingHistory, or without it those of the exchange, each at its own time.",
    },
    name="Funding",
)
_declare(
    Filters,
    "Which steps of prices and quantities, and which smallest value of an entry, hold.",
    {
        Filters.NONE: "tickSize, stepSize and minNotional as they are given.",
        Filters.EXCHANGE: "The exchange's own for the symbol in place of those that are not given.",
    },
)
_declare(
    DatasetKind,
    "What the rows of a dataset are.",
    {DatasetKind.BARS: "Bars.", DatasetKind.FUNDING: "Rates of funding."},
)
_declare(
    OutputKind,
    "What a model's numbers mean.",
    {
        OutputKind.PROBABILITY: "P(class 1), 0 to 1: long while it is at least the threshold.",
        OutputKind.BINARY_LABEL: "1 long, 0 flat.",
        OutputKind.SIGNED_LABEL: "-1 sell, 0 keep, 1 buy.",
        OutputKind.VALUE: "A regression's number: long while it is at least the threshold.",
    },
)


_declare(
    SearchKind,
    "How combinations are chosen.",
    {
        SearchKind.GRID: "Every combination of all values; the last parameter changes fastest.",
        SearchKind.LIST: "The values side by side: the first of each, the second of each, and so on.",
        SearchKind.RANDOM: "Drawn from the values or ranges with a seed, independently.",
        SearchKind.TPE: "Each batch is drawn near the best rows of the batches before (Optuna's estimator).",
    },
)
_declare(
    Scale,
    "How the values of a range lie.",
    {
        Scale.LINEAR: "step is the distance of neighbors.",
        Scale.LOGARITHMIC: "step is the ratio of neighbors.",
    },
)
_declare(
    Comparison,
    "How two numbers must compare.",
    {
        Comparison.LESS: "The left one is less.",
        Comparison.AT_MOST: "The left one is less or equal.",
        Comparison.GREATER: "The left one is greater.",
        Comparison.AT_LEAST: "The left one is greater or equal.",
        Comparison.EQUAL: "They are equal.",
        Comparison.NOT_EQUAL: "They differ.",
    },
)
_declare(
    Goal,
    "Whether more or less of a metric is better.",
    {Goal.MAXIMIZE: "More is better.", Goal.MINIMIZE: "Less is better."},
)
_declare(
    Reduce,
    "How the rows of a heat map's cell become one number.",
    {
        Reduce.BEST: "That of the row that is best by the objective, whichever metric is shown.",
        Reduce.MEAN: "Their mean.",
        Reduce.MEDIAN: "Their median.",
    },
)
_declare(
    WindowKind,
    "Whether a training window moves or grows.",
    {
        WindowKind.ROLLING: "It keeps its length and moves.",
        WindowKind.ANCHORED: "It always begins at the first bar, and grows.",
    },
)
_declare(
    Rank,
    "Which entries are filled first if places or cash are not enough for all.",
    {
        Rank.LISTED: "As the symbols are listed.",
        Rank.VOLUME: "The largest traded value of the last rankBars bars.",
        Rank.MOMENTUM: "The largest return of the last rankBars bars.",
    },
)
_declare(
    JobKind,
    "What a job does.",
    {
        JobKind.SWEEP: "It runs one backtest with many combinations of its parameters.",
        JobKind.WALK_FORWARD: "It repeats a sweep on one training window after another, and trades each choice.",
        JobKind.BACKTEST: "It runs one backtest.",
        JobKind.PORTFOLIO: "It runs one backtest over several symbols that share their cash.",
    },
)
_declare(
    JobState,
    "How far a job is.",
    {
        JobState.QUEUED: "It waits to be run.",
        JobState.RUNNING: "A process works on it.",
        JobState.CANCELLING: "Its user has cancelled it, and its process has not stopped yet.",
        JobState.CANCELLED: "It keeps what was computed, and can be resumed.",
        JobState.SUCCEEDED: "It is done.",
        JobState.FAILED: "It ended with an error.",
        JobState.INTERRUPTED: "Its process died; it waits to be continued.",
    },
)
_declare(
    StageName,
    "What a job does once its units of work are done.",
    {
        StageName.TRAINING: "It tries the rows of a walk-forward's present fold; a step is a row.",
        StageName.BEST: "It runs the best rows of a sweep and stores their results; a step is a row.",
        StageName.OVERFITTING: "It measures how much the choice of the best row is overfitted (PBO).",
        StageName.SUPERIORITY: "It tests the best row against buying and holding (SPA); each row takes two steps.",
        StageName.TIMING: "It tests the timing of the rows against luck; each row takes two steps.",
        StageName.BARS: "It reads the bars of a portfolio and decides their signals; a step is a symbol.",
        StageName.TRADE: "It trades a portfolio, trades it again at higher costs, and judges it; three steps.",
        StageName.RESULT: "It runs the tests of a walk-forward one after another and stores that as a result.",
    },
)


def _declare_words(name: str, description: str, meanings: Mapping[str, str]) -> Any:
    """Make a GraphQL enum whose names are words that responses have always had as text."""
    make: Any = StrEnum  # mypy knows only calls with the name as a literal
    kind = make(name, {word: word for word in meanings})
    _declare(kind, description, {kind(word): meaning for word, meaning in meanings.items()})
    return kind


if TYPE_CHECKING:
    Signal = str
    Side = str
    FillReason = str
    TradeDirection = str
    RunStatus = str
else:
    Signal = _declare_words(
        "Signal",
        "What a strategy says at a bar's close.",
        {
            "buy": "Close a short; enter a long if the direction allows one.",
            "sell": "Close a long; enter a short if the direction allows one.",
            "hold": "Nothing.",
        },
    )
    Side = _declare_words(
        "Side", "The side of an executed order.", {"buy": "Units were bought.", "sell": "Units were sold."}
    )
    FillReason = _declare_words(
        "FillReason",
        "Why an order was filled.",
        {
            "signal": "A signal, at the market or by its limit order.",
            "stop_loss": "The stop loss was hit.",
            "take_profit": "The target was hit.",
            "trailing_stop": "The trailing stop was hit.",
            "time": "The position had been held for maxBars.",
            "limit": "A limit entry was hit.",
            "stop": "A stop entry was hit.",
            "liquidation": "Losses had used up the margin, or the cash behind a short.",
            "break_even": "The stop that had moved to where closing pays back the costs was hit.",
            "end": "The bars ended.",
            "add_limit": "A limit order that adds to a position was hit.",
            "add_stop": "A stop order that adds to a position was hit.",
        },
    )
    TradeDirection = _declare_words(
        "TradeDirection", "The direction of a trade.", {"long": "Bought first.", "short": "Sold first."}
    )
    RunStatus = _declare_words("RunStatus", "How a run ended.", {"success": "It has a result."})


def _declare_choices() -> None:
    """Declare the enums that are types of strategies' own parameters; their members say what they mean."""
    for params in PARAMS.values():
        for item in parameters_of(params):
            kind = item.kind
            if isinstance(kind, type) and issubclass(kind, StrEnum) and not hasattr(kind, "__strawberry_definition__"):
                members: list[Any] = list(kind)
                _declare(kind, (kind.__doc__ or "").split("\n", 1)[0], {one: one.meaning for one in members})


_declare_choices()
