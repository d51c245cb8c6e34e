"""Evaluate rows of a sweep: each row is a function of the bars, the request and its values alone.

A row has the same figures and trial as a run of its own, however the rows are split into chunks, and on any number of
threads: an `Evaluator` shares only data that does not depend on the row and that no row changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from src.domain.annualization import annualize
from src.domain.bars import Bars
from src.domain.funding import Funding, FundingKind
from src.domain.parameters import parameters_of
from src.domain.signals import StrategyDescription
from src.domain.strategy import StrategyParams
from src.domain.sweep_outcomes import SweepRows
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.sweeps import ROW_METRICS
from src.domain.trading import TradingRules
from src.domain.trials import TrialTable
from src.domain.volume_rules import VolumeRules
from src.engines.funding_marks import count_marks, marks_of
from src.engines.ledger import unbounded_growth
from src.engines.measures import BarMeasures
from src.engines.ranges import NO_RANGES, atr_bars_of, measure_ranges
from src.engines.volatility import measure_volatility
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.strategies.crossover import CrossoverParams, describe_crossover
from src.sweeps.crossings import Events, add_closes, find_crossings
from src.sweeps.market_arrays import MarketArrays, build_market_arrays
from src.sweeps.row_plans import ROW_PLAN_DTYPE, trades_at_market, write_plan
from src.sweeps.row_signals import NO_ACTIONS, SignalSource
from src.sweeps.rows import build_figures, sampled_rows
from src.sweeps.running import RowInputs, RowResults, compute_exposures, compute_returns, run_rows
from src.sweeps.variants import RowReader

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

GROUP_BYTES: Final = 2**25
"""Bytes of signals that are computed at once, before rows are run on them."""

PAIRS_AT_ONCE: Final = 2048
EVENTS_AT_ONCE: Final = 2**21
"""Pairs of means whose crossings are searched for together, and the capacity for their crossings: 16 MiB."""

CHUNK_BYTES: Final = 2**25
"""Bytes of the trials of a chunk of rows; see `Evaluator.chunk_rows`."""

MAX_CHUNK_ROWS: Final = 4096


_ORDER_RULES: Final = frozenset(
    item.parameter.name for item in parameters_of(TradingRules) if item.parameter.is_event_driven_only
)
"""Rules that, if swept, make some rows need the event-driven engine's loop."""

_FUNDING: Final = frozenset(item.parameter.name for item in parameters_of(Funding))
_VOLUME: Final = frozenset(item.parameter.name for item in parameters_of(VolumeRules))


class Kernel(StrEnum):
    """How rows are computed, the cheapest first."""

    MEANS = "MEANS"
    """Crossings of many pairs of means in one pass; long positions by market orders."""
    MARKET_ORDERS = "MARKET_ORDERS"
    """Signals of any strategy; long positions by market orders, so that only bars with a signal are visited."""
    ORDERS = "ORDERS"
    """The event-driven engine's own loop, for stops, targets, resting entries and shorts."""


class RowDescriptions(Sequence[StrategyDescription]):
    """The strategies of rows, described on demand: most rows are only counted."""

    def __init__(self, count: int, describe: Callable[[int], StrategyDescription]) -> None:
        self._count = count
        self._describe = describe

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, row: int) -> StrategyDescription: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[StrategyDescription]: ...
    def __getitem__(self, row: int | slice) -> StrategyDescription | Sequence[StrategyDescription]:
        if isinstance(row, slice):
            return [self._describe(one) for one in range(*row.indices(self._count))]
        return self._describe(range(self._count)[row])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Batch:
    """Rows that are run together: their indices and the inputs of their runs."""

    rows: Whole
    given: RowInputs


@dataclass(slots=True, kw_only=True, eq=False)
class _Prepared:
    """Rows before they are run: their plans, and errors and descriptions as they become known.

    `atr_bars` [k] are the lengths of the ATR that the rows use, 0 for none.
    """

    plans: NDArray[np.void]
    atr_bars: Whole
    errors: dict[int, str]
    describe: Callable[[int], StrategyDescription]


class Evaluator:
    """Evaluates rows of one sweep; safe to share between threads.

    Raises InvalidInput if a parameter cannot be swept, or no row is possible.
    """

    def __init__(self, inputs: SweepInputs) -> None:
        backtest, bars = inputs.request.backtest, inputs.bars
        self._request = inputs.request
        self._bars = len(bars)
        self._annualization = annualize(bars, backtest.annualization)
        self._reader = RowReader(inputs.request)
        marks = self._find_marks(bars)
        self._market, self.slots = build_market_arrays(bars, backtest.annualization, marks)
        self._volatility = measure_volatility(bars) if self._aims_at_volatility() else NO_RANGES
        self._volume = bars.volume if self._uses_volume() else NO_RANGES
        self._signals = SignalSource(backtest, bars, inputs.history, inputs.predictions)
        self.kernel: Final = self._choose_kernel()
        self._crosses_means = isinstance(backtest.strategy, CrossoverParams) and not backtest.use_fallback
        if self._crosses_means:
            closes = bars.close
            pinned = backtest.pinned_warm_up_bars or 0
            if inputs.history is not None and pinned:
                closes = np.concatenate((inputs.history.close[-pinned:], closes))
            self._warm_up = len(closes) - len(bars)
            self._closes = add_closes(np.ascontiguousarray(closes))

    @property
    def chunk_rows(self) -> int:
        """The best number of rows to evaluate at once: enough to share means, few enough to bound the trials' bytes."""
        return int(np.clip(CHUNK_BYTES // (16 * max(self.slots.size, 1)), 64, MAX_CHUNK_ROWS))

    def evaluate(self, values: Floats, *, first: int, total: int) -> EvaluatedRows:
        """Return the rows [k] from the number `first` on of a sweep of `total`, given their values [k, p]."""
        values = np.ascontiguousarray(values, np.float64)
        rows = len(values)
        sampled = sampled_rows(self._request.search.seed, total)
        sampled = sampled[np.searchsorted(sampled, first) : np.searchsorted(sampled, first + rows)]
        wants_blocks = np.zeros(rows, np.bool_)
        wants_blocks[sampled - first] = True
        prepared = self._prepare(values)
        figures = np.full((rows, len(ROW_METRICS)), np.nan)
        lowest = np.full(rows, np.nan)
        directions = np.zeros((2, rows, self.slots.size), np.int64)
        t, moves = np.zeros((2, rows), np.int64), np.zeros((2, rows), np.bool_)
        blocks = np.zeros((2, rows, DEFAULT_BLOCKS))
        for batch in self._batches(values, prepared):
            found = run_rows(self._market, batch.given, wants_blocks[batch.rows])
            cash = batch.given.plans["initial_cash"]
            figures[batch.rows] = build_figures(found, cash, self._annualization, self._bars)
            lowest[batch.rows] = found.paths["lowest"] / cash
            directions[:, batch.rows], t[:, batch.rows] = found.directions, found.t
            moves[:, batch.rows] = found.moves
            blocks[0, batch.rows], blocks[1, batch.rows] = found.block_sums, found.block_squares
            _note_growth(prepared, batch.rows, found)
        failed = np.fromiter(prepared.errors, np.int64, len(prepared.errors))
        figures[failed], lowest[failed] = np.nan, np.nan
        moves[:, failed] = False
        return EvaluatedRows(
            rows=SweepRows(
                first=first,
                values=values,
                figures=figures,
                blocks_of=sampled,
                block_sums=blocks[0, sampled - first],
                block_squares=blocks[1, sampled - first],
            ),
            slots=self.slots,
            total=TrialTable(directions=directions[0], t=t[0], moves=moves[0]),
            active=TrialTable(directions=directions[1], t=t[1], moves=moves[1]),
            lowest_growth=lowest,
            descriptions=RowDescriptions(rows, prepared.describe),
            failures=dict(Counter(prepared.errors.values())),
        )

    @property
    def market_returns(self) -> Floats:
        """The returns of the market per bar [n], without price jumps across gaps."""
        return self._market.market

    def returns(self, values: Floats) -> Floats:
        """Return the returns per bar [n, j] of rows with these values [j, p]; 0 for a row that failed."""
        return np.ascontiguousarray(self._compute(values, compute_returns).T)

    def exposures(self, values: Floats) -> Floats:
        """Return the signed fraction of equity that rows hold over each bar [j, n], by their values [j, p].

        See `judgement.timing.hold_exposure`; 0 for a row that failed.
        """
        return self._compute(values, compute_exposures)

    def _compute(self, values: Floats, compute: Callable[[MarketArrays, RowInputs], Floats]) -> Floats:
        """Return the result of `compute` for each row, bar by bar [j, n]; 0 for a row that failed."""
        values = np.ascontiguousarray(values, np.float64)
        prepared = self._prepare(values)
        found = np.zeros((len(values), self._bars))
        for batch in self._batches(values, prepared):
            found[batch.rows] = compute(self._market, batch.given)
        found[list(prepared.errors)] = 0.0
        return found

    def _find_marks(self, bars: Bars) -> Floats:
        """Return the marks of funding that any row may pay."""
        funding, names = self._request.backtest.rules.funding, {item.name for item in self._reader.items}
        # If the rate or the kind is swept, funding is CONSTANT.
        return (
            count_marks(bars)
            if names & _FUNDING and funding.kind is not FundingKind.HISTORY
            else marks_of(bars, funding)
        )

    def _aims_at_volatility(self) -> bool:
        """Return whether a row's size is a volatility target."""
        names = {item.name for item in self._reader.items}
        return self._request.backtest.rules.sizing.volatility_target is not None or "volatility_target" in names

    def _uses_volume(self) -> bool:
        """Return whether a row's fills depend on the volume of their bars."""
        names = {item.name for item in self._reader.items}
        return self._request.backtest.rules.volume.is_used or bool(names & _VOLUME)

    def _choose_kernel(self) -> Kernel:
        backtest, names = self._request.backtest, {item.name for item in self._reader.items}
        if not trades_at_market(backtest.rules) or names & _ORDER_RULES:
            return Kernel.ORDERS
        if isinstance(backtest.strategy, CrossoverParams) and not backtest.use_fallback:
            return Kernel.MEANS
        return Kernel.MARKET_ORDERS

    def _prepare(self, values: Floats) -> _Prepared:
        """Return the plans of rows, with the errors of those whose rules are impossible."""
        found = self._reader.find_rules(values)
        plans = np.zeros(max(len(found.parts), 1), ROW_PLAN_DTYPE)
        plans["initial_cash"] = 1.0
        atr_bars = np.zeros(len(plans), np.int64)
        wrong: dict[int, str] = {}
        for place, part in enumerate(found.parts):
            if isinstance(part.rules, TradingRules):
                write_plan(plans[place], part.rules, self._request.backtest.engine)
                atr_bars[place] = atr_bars_of(part.rules.exits)
            else:
                wrong[place] = part.error
        errors = {row: wrong[part] for row, part in enumerate(found.of_row.tolist()) if part in wrong} if wrong else {}
        return _Prepared(
            plans=plans[found.of_row], atr_bars=atr_bars[found.of_row], errors=errors, describe=_describe_nothing
        )

    def _batches(self, values: Floats, prepared: _Prepared) -> Iterator[_Batch]:
        batches = self._cross_means(values, prepared) if self._crosses_means else self._decide(values, prepared)
        for batch in batches:
            yield from self._add_ranges(batch, prepared.atr_bars[batch.rows])

    def _add_ranges(self, batch: _Batch, atr_bars: Whole) -> Iterator[_Batch]:
        """Yield the rows of a batch with their measures, grouped by ATR length."""
        columns = (self._market.high, self._market.low, self._market.close)
        for length in np.unique(atr_bars).tolist():
            places = np.flatnonzero(atr_bars == length)
            given = batch.given
            yield _Batch(
                rows=batch.rows[places],
                given=given._replace(
                    groups=given.groups[places],
                    plans=given.plans[places],
                    measures=BarMeasures(measure_ranges(columns, length), self._volatility, self._volume),
                ),
            )

    def _cross_means(self, values: Floats, prepared: _Prepared) -> Iterator[_Batch]:
        """Yield the rows of a crossover, with the crossings of their pairs of means."""
        fast, slow = self._lengths_of(values)
        prepared.describe = lambda row: describe_crossover(int(fast[row]), int(slow[row]))
        with np.errstate(invalid="ignore"):
            is_possible = (fast >= 1) & (slow > fast) & (fast % 1 == 0) & (slow % 1 == 0)
        for row in np.flatnonzero(~is_possible).tolist():
            prepared.errors.setdefault(row, self._reader.explain(values[row]))
        possible = np.flatnonzero(is_possible)
        if not possible.size:
            return
        # All means that are longer than the bars are equivalent: they have no value.
        longest = self._bars + self._warm_up + 1
        short, long = (np.minimum(some[possible], longest).astype(np.int64) for some in (fast, slow))
        codes = short << 32 | long
        pairs, pair_of = np.unique(codes, return_inverse=True)
        order = np.argsort(pair_of, kind="stable")
        edges = np.searchsorted(pair_of[order], np.arange(pairs.size + 1))
        step = PAIRS_AT_ONCE
        if self.kernel is Kernel.ORDERS:
            step = max(1, min(step, GROUP_BYTES // self._bars))
        for start in range(0, pairs.size, step):
            stop = min(pairs.size, start + step)
            for first, last, events in self._find_crossings(pairs, start, stop):
                places = order[edges[first] : edges[last]]
                rows = possible[places]
                plans = prepared.plans[rows]
                actions = _spread(events, self._bars) if plans["by_orders"].any() else NO_ACTIONS
                given = RowInputs(events, actions, pair_of[places] - first, plans)
                yield _Batch(rows=rows, given=given)

    def _find_crossings(self, pairs: Whole, first: int, last: int) -> Iterator[tuple[int, int, Events]]:
        """Yield the crossings of pairs from `first` to before `last`, in parts whose crossings fit the capacity."""
        room = EVENTS_AT_ONCE if last - first > 1 else max(EVENTS_AT_ONCE, self._bars)
        codes = pairs[first:last]
        events = find_crossings(self._closes, codes >> 32, codes & (2**32 - 1), warm_up=self._warm_up, max_events=room)
        if events is not None:
            yield first, last, events
            return
        middle = (first + last) // 2
        yield from self._find_crossings(pairs, first, middle)
        yield from self._find_crossings(pairs, middle, last)

    def _lengths_of(self, values: Floats) -> tuple[Floats, Floats]:
        strategy = self._request.backtest.strategy
        lengths = []
        for name in ("fast", "slow"):
            column = self._reader.column_of(name)
            fixed = float(getattr(strategy, name))
            lengths.append(np.full(len(values), fixed) if column is None else values[:, column])
        return lengths[0], lengths[1]

    def _decide(self, values: Floats, prepared: _Prepared) -> Iterator[_Batch]:
        """Yield the rows of any strategy with their signals, a group of distinct strategies at a time."""
        found = self._reader.find_strategies(values)
        order = np.argsort(found.of_row, kind="stable")
        edges = np.searchsorted(found.of_row[order], np.arange(len(found.parts) + 1))
        described: dict[int, StrategyDescription] = {}
        of_row = found.of_row
        prepared.describe = lambda row: described.get(int(of_row[row]), _NOT_BUILT)
        step = max(1, GROUP_BYTES // self._bars)
        for start in range(0, len(found.parts), step):
            stop = min(len(found.parts), start + step)
            strategies: list[StrategyParams] = []
            places: list[int] = []
            for place in range(start, stop):
                part = found.parts[place]
                if isinstance(part.strategy, StrategyParams):
                    strategies.append(part.strategy)
                    places.append(place)
                else:
                    prepared.errors.update(dict.fromkeys(order[edges[place] : edges[place + 1]].tolist(), part.error))
            if not strategies:
                continue
            rows = np.concatenate([order[edges[place] : edges[place + 1]] for place in places])
            needs_actions = bool(prepared.plans["by_orders"][rows].any())
            events, actions, names, errors = self._signals.find_events(strategies, needs_actions=needs_actions)
            described.update(zip(places, names, strict=True))
            groups = np.searchsorted(np.array(places), of_row[rows])
            for group, error in errors.items():
                prepared.errors.update(dict.fromkeys(rows[groups == group].tolist(), error))
            yield _Batch(rows=rows, given=RowInputs(events, actions, groups, prepared.plans[rows]))


def _spread(events: Events, bars: int) -> NDArray[np.int8]:
    """Return the actions of each group bar by bar [g, n]."""
    groups = events.offsets.size - 1
    actions = np.zeros((groups, bars), np.int8)
    actions[np.repeat(np.arange(groups), np.diff(events.offsets)), events.bars] = events.actions
    return actions


def _note_growth(prepared: _Prepared, rows: Whole, found: RowResults) -> None:
    """Note the rows whose equity grew without bound."""
    grown = rows[found.paths["is_bounded"] == 0].tolist()
    if grown:
        text = str(unbounded_growth())
        for row in grown:
            prepared.errors.setdefault(row, text)


_NOT_BUILT: Final = StrategyDescription(name="")
"""The description of a row whose strategy is impossible; it does not count as a trial."""


def _describe_nothing(_: int) -> StrategyDescription:
    return _NOT_BUILT
