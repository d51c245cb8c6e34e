"""Yield notes on a result: reasons without a level, which do not count against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from src.domain.instants import format_instant
from src.domain.judgement import FillBand
from src.domain.trading import Direction, TradingRules
from src.domain.verdict import Reason, ReasonCode
from src.judgement.evidence import Evidence, count_noun, format_figure, make_note
from src.judgement.leak_reasons import reads_earlier_rows_only

EQUAL_RETURNS: Final = 1e-9
"""The fraction of the growth by which the engines may differ through rounding."""

MIN_AMBIGUOUS_BARS: Final = 5
MIN_AMBIGUOUS_SHARE: Final = 0.01
"""Ambiguous bars get a note from this number on, or from this ratio to the closed trades on."""


def list_notes(evidence: Evidence) -> Iterator[Reason]:
    """Yield the notes."""
    yield from _notes_on_prices(evidence)
    yield from _notes_on_figures(evidence)
    yield from _note_on_rows(evidence)
    yield from _notes_on_trials(evidence)


def note_simulated_prices() -> Reason:
    """Return the note on bars that were drawn from a seed."""
    return make_note(
        ReasonCode.SIMULATED_PRICES, "The prices are simulated: these figures tell nothing about a real market."
    )


def note_unreachable_stop(rules: TradingRules) -> Iterator[Reason]:
    """Yield a note if a fixed stop lies beyond the level at which each position is liquidated."""
    stop, distance = rules.exits.stop_loss_rate, rules.margin.liquidation_distance
    if stop is None or distance is None or stop < distance:
        return
    yield make_note(
        ReasonCode.STOP_BEYOND_LIQUIDATION,
        f"No position can reach its stop at {format_figure(100 * stop, 100 * distance)} % from the entry: with a "
        f"leverage of {rules.margin.leverage:g} it is liquidated at {format_figure(100 * distance)} % or less.",
        value=100 * stop,
        threshold=100 * distance,
        unit="per cent",
    )


def _notes_on_prices(evidence: Evidence) -> Iterator[Reason]:
    if evidence.is_simulated:
        yield note_simulated_prices()
    yield from note_unreachable_stop(evidence.rules)
    yield from note_changed_entries(evidence.rules, reduced=evidence.reduced_entries, dropped=evidence.dropped_entries)
    yield from note_ambiguous_bars(evidence.fill_band, evidence.metrics.total_trades)


def note_changed_entries(rules: TradingRules, *, reduced: int, dropped: int) -> Iterator[Reason]:
    """Yield notes on the entries that were cut to what cash or volume allowed, and on those that were not made."""
    has_share, units = rules.volume.max_share is not None, rules.sizing.fixed_units
    if reduced:
        size = "the size asked for" if units is None else f"the fixed size of {units:g}"
        yield make_note(
            ReasonCode.ENTRIES_REDUCED,
            f"{'1 entry was' if reduced == 1 else f'{reduced:,} entries were'} cut to what the "
            f"cash{' or the volume' if has_share else ''} allowed: "
            f"{size} {'is' if has_share else 'costs'} more than there was.",
            value=float(reduced),
            threshold=0.0,
            unit="entries",
        )
    if dropped:
        yield make_note(
            ReasonCode.ENTRIES_DROPPED,
            f"{count_noun(dropped, 'signal')} opened nothing: the entry would have been less than the exchange takes "
            "(stepSize, minNotional), or its exits are counted in ATR, or its size is a target of volatility, and "
            f"there was none{', or its bar had no volume' if has_share else ''}.",
            value=float(dropped),
            threshold=0.0,
            unit="entries",
        )


def note_ambiguous_bars(band: FillBand | None, trades: int) -> Iterator[Reason]:
    """Yield a note on the bars that do not tell what was hit first, if they are many beside the closed trades.

    A band that changes the sign is an objection, which already names the bars.
    """
    if band is None or band_changes_sign(band.pessimistic_return, band.optimistic_return):
        return
    ambiguous = band.ambiguous_bars
    if ambiguous and (ambiguous >= MIN_AMBIGUOUS_BARS or ambiguous >= MIN_AMBIGUOUS_SHARE * trades):
        yield make_note(
            ReasonCode.AMBIGUOUS_BARS,
            f"{count_noun(ambiguous, 'bar')} {'does' if ambiguous == 1 else 'do'} not tell what was hit first: the "
            f"total return is {format_figure(band.pessimistic_return)} % if it was the stop, "
            f"{format_figure(band.optimistic_return)} % if it was the target.",
            value=float(ambiguous),
            unit="bars",
        )


def _notes_on_figures(evidence: Evidence) -> Iterator[Reason]:
    yield from _note_on_market(evidence)
    interval = evidence.confidence.sharpe_ratio
    if interval is not None and interval.low <= 0 <= interval.high:
        yield make_note(
            ReasonCode.SHARPE_MAY_BE_ZERO,
            f"The true Sharpe ratio may be 0: with a certainty of {evidence.confidence.level * 100:g} % it lies "
            f"between {format_figure(interval.low)} and {format_figure(interval.high)}.",
            value=interval.low,
            threshold=0.0,
            unit="ratio",
        )
    total, without = evidence.metrics.total_return, evidence.benchmarks.best_trades.return_without_best
    if total > 0 and without is not None and without <= 0:
        yield make_note(
            ReasonCode.PROFIT_NEEDS_BEST_TRADE,
            f"The profit comes from one trade: without the best one the total return is {format_figure(without)} % "
            f"instead of {format_figure(total)} %, which is not over 0.",
            value=without,
            threshold=0.0,
            unit="per cent",
        )
    autocorrelation = evidence.confidence.trade_autocorrelation
    if evidence.confidence.are_trades_autocorrelated and autocorrelation is not None:
        yield make_note(
            ReasonCode.TRADES_AUTOCORRELATED,
            "Profits of neighboring trades are related (autocorrelation "
            f"{format_figure(autocorrelation)}): win rate and profit factor are less certain than their intervals say.",
            value=autocorrelation,
            unit="ratio",
        )


def _note_on_market(evidence: Evidence) -> Iterator[Reason]:
    """Yield a note if the market itself returned more; for every direction, because a short could have been a long."""
    if evidence.benchmarks.buy_and_hold is None:
        return
    total, held = evidence.metrics.total_return, evidence.benchmarks.buy_and_hold.total_return
    if total >= held - EQUAL_RETURNS * (100 + abs(held)):
        return
    is_short = evidence.rules.direction is Direction.SHORT and held > 0
    yield make_note(
        ReasonCode.BELOW_BUY_AND_HOLD,
        f"Buying and holding returned more over the same bars: {format_figure(held, total)} % after costs, the run "
        f"{format_figure(total, held)} %."
        + (" A run that is only short has to expect that in a rising market." if is_short else ""),
        value=total,
        threshold=held,
        unit="per cent",
    )


def _note_on_rows(evidence: Evidence) -> Iterator[Reason]:
    """Yield a note if a model reads earlier rows only, as an average over time does."""
    rows = None if evidence.leaks is None else evidence.leaks.rows
    if rows is None or rows.signals is None or not reads_earlier_rows_only(rows):
        return
    yield make_note(
        ReasonCode.READS_EARLIER_ROWS,
        "The prediction of a bar depends on the bars before it, or on how many they are. It did not change in any of "
        f"{rows.signals.prefixes:,} tries without the later bars, or with others in their place, so no later bar was "
        "read there. In live trading give the model the same earlier bars, from the same first one on.",
        value=float(rows.differing),
        threshold=0.0,
        unit="rows",
    )


def _notes_on_trials(evidence: Evidence) -> Iterator[Reason]:
    if evidence.has_model and (evidence.leaks is None or evidence.leaks.training is None):
        yield make_note(
            ReasonCode.TRAINING_WINDOW_UNKNOWN,
            "It is not known which bars the model was trained on. If these are among them, the result proves nothing. "
            "Declare the training window, and the bars after it are tested on their own.",
        )
    training = None if evidence.leaks is None else evidence.leaks.training
    if training is not None and training.trained_from_ms is not None and training.bars_before == evidence.metrics.bars:
        yield make_note(
            ReasonCode.TRAINED_LATER,
            f"The model was trained on later bars, from {format_instant(training.trained_from_ms)} on. It "
            "did not exist at the time of these bars, and may know what came after them. Test it on bars after its "
            "training window.",
        )
    yield from _notes_on_ledger(evidence)
    trials = evidence.deflation.trials
    if trials <= 1 and not evidence.deflation.missing_trials:
        yield make_note(
            ReasonCode.ONLY_TRIAL_SEEN,
            "The service has seen no other trial of yours on this market. If you tried others elsewhere and chose this "
            "one, its figures look better than they are.",
        )


def _notes_on_ledger(evidence: Evidence) -> Iterator[Reason]:
    """Yield notes on the parts of the ledger that the store's limits removed."""
    reduced, missing = evidence.deflation.reduced_trials, evidence.deflation.missing_trials
    if reduced:
        yield make_note(
            ReasonCode.TRIALS_REDUCED,
            f"The service keeps only sums of {count_noun(reduced, 'trial')} on this market. One that is run again "
            "counts again, and the effective trials are an upper bound: the hurdle may be too high, not too low.",
            value=float(reduced),
            threshold=0.0,
            unit="trials",
        )
    if missing:
        yield make_note(
            ReasonCode.TRIALS_MAY_BE_MISSING,
            f"The service has removed {count_noun(missing, 'trial')} on markets of this kind to bound its store. If "
            "this market was one of them, its figures look better than they are.",
            value=float(missing),
            threshold=0.0,
            unit="trials",
        )


def band_changes_sign(pessimistic: float, optimistic: float) -> bool:
    """Return whether one of two returns is over 0, and the other is not."""
    return (pessimistic > 0) != (optimistic > 0)
