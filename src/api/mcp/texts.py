"""Write results for agents as short texts that begin with the verdict."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import orjson

from src.api.json_responses import JsonText, PendingTable
from src.api.requests.backtests import echo_strategy
from src.domain.bar_quality import DataQuality
from src.domain.instants import format_instant
from src.domain.judgement import Judgement
from src.domain.market import MarketSeries
from src.domain.performance import Metrics
from src.domain.runs import BacktestResult, ResultSummary
from src.domain.verdict import Verdict

MAX_SENTENCES: Final = 12
"""Of one kind in a text, because a dataset may have thousands of gaps to warn of."""

MAX_SENTENCE_CHARACTERS: Final = 400
NOT_JUDGED: Final = "NOT_JUDGED"

_COMPARED: Final = (
    "total_return", "buy_and_hold_return", "cagr", "sharpe_ratio", "max_drawdown", "exposure", "win_rate",
    "total_trades", "total_fees",
)  # fmt: skip


def describe_result(result: BacktestResult) -> str:
    """Return the verdict with its reasons, that of the bars after the training, the figures, and what was run."""
    lines = describe_verdict("VERDICT", _verdict_of(result.judgement))
    later = result.out_of_sample
    if later is not None:
        lines += ["", *describe_verdict("VERDICT AFTER TRAINING", _verdict_of(later.judgement))]
    lines += ["", f"Figures: {describe_figures(result.metrics)}"]
    if result.in_sample is not None:
        lines.append(f"While trained: {describe_figures(result.in_sample.metrics)}")
    if later is not None:
        lines.append(f"After training: {describe_figures(later.metrics)}")
    if result.judgement is not None and (sharpe := result.judgement.confidence.sharpe_ratio) is not None:
        lines.append(f"Sharpe ratio, 95 % interval: {sharpe.low:.3g} to {sharpe.high:.3g}")
    judged = (result.judgement, None if later is None else later.judgement)
    said = {reason.text for judgement in judged if judgement is not None for reason in judgement.verdict.reasons}
    warnings = [warning for warning in result.warnings if warning not in said]
    lines += list_sentences("Other warnings:", warnings)
    return "\n".join([*lines, "", *_describe_run(result)])


def describe_comparison(runs: Sequence[ResultSummary]) -> str:
    """Return the verdict's level of each run, then a table of figures, one line for each run."""
    lines = ["VERDICTS"]
    lines += [f"- {run.id}: {_levels_of(run)} ({run.metrics.strategy_name}, {_market_of(run)})" for run in runs]
    lines += ["", "FIGURES (per cent where not a count, ratio or money)", ",".join(("id", *_COMPARED))]
    lines += [",".join((run.id, *(write_number(getattr(run.metrics, name)) for name in _COMPARED))) for run in runs]
    return "\n".join(lines)


def _levels_of(run: ResultSummary) -> str:
    later = run.out_of_sample_level
    return f"{run.verdict_level or NOT_JUDGED}{'' if later is None else f', out of sample {later}'}"


def describe_quality(series: MarketSeries) -> str:
    """Return what is missing or suspicious in bars, the gravest first."""
    quality: DataQuality = series.quality
    bars = series.bars
    lines = [
        f"{quality.present_bars} of {quality.expected_bars} bars are present: {bars.symbol} {bars.interval.name} from "
        f"{series.origin}."
    ]
    lines += list_sentences("Warnings:", series.warnings) or ["Nothing is missing or suspicious."]
    lines.append(
        f"Missing bars {quality.missing_bars} in {len(quality.gaps)} gaps, jumps {len(quality.jumps)}, duplicate rows "
        f"{quality.duplicate_rows}, rejected rows {len(quality.rejected_rows)}, bars without volume "
        f"{quality.zero_volume_bars}."
    )
    return "\n".join(lines)


def describe_rows(name: str, table: PendingTable, *, offset: int, total: int) -> str:
    """Return rows of a table as CSV, with their place among all."""
    rows = orjson.loads(JsonText(table).whole())
    if not rows:
        return f"{name}: no rows from {offset} on, {total} in all"
    lines = [f"{name}: rows {offset} to {offset + len(rows) - 1} of {total}", ",".join(rows[0])]
    return "\n".join([*lines, *(",".join(_cell(value) for value in row.values()) for row in rows)])


def _verdict_of(judgement: Judgement | None) -> Verdict | None:
    return None if judgement is None else judgement.verdict


def describe_verdict(title: str, verdict: Verdict | None) -> list[str]:
    """Return the level of a verdict with its reasons, and what was not checked."""
    if verdict is None:
        return [f"{title}: {NOT_JUDGED}"]
    objections = [reason.text for reason in verdict.reasons if reason.level is not None]
    notes = [reason.text for reason in verdict.reasons if reason.level is None]
    return [
        f"{title}: {verdict.level} ({verdict.level.meaning})",
        *list_sentences("Objections:", objections),
        *list_sentences("Notes:", notes),
        *list_sentences("Not checked:", [item.why for item in verdict.not_checked]),
    ]


def describe_figures(metrics: Metrics) -> str:
    """Return the figures of a run in one line."""
    return (
        f"total return {write_number(metrics.total_return)} % "
        f"(buy and hold {write_number(metrics.buy_and_hold_return)} %), "
        f"Sharpe ratio {write_number(metrics.sharpe_ratio)}, maximum drawdown {write_number(metrics.max_drawdown)} %, "
        f"{metrics.total_trades} trades, {write_number(metrics.win_rate)} % won, in the market "
        f"{write_number(metrics.exposure)} % of the time, fees {write_number(metrics.total_fees)}, {metrics.bars} bars"
    )


def _describe_run(run: BacktestResult) -> list[str]:
    params = {name: value for name, value in echo_strategy(run.request.strategy).items() if value is not None}
    period = f"{format_instant(run.metrics.start)} to {format_instant(run.metrics.end)}"
    return [
        f"Run: {run.id}",
        f"Strategy: {run.metrics.strategy_name} {json.dumps(params, default=str)[:MAX_SENTENCE_CHARACTERS]}",
        f"Market: {_market_of(run)}, {period}, {run.origin}",
    ]


def _market_of(run: BacktestResult | ResultSummary) -> str:
    return f"{run.request.market.symbol} {run.request.market.interval.name} {run.request.engine}"


def list_sentences(title: str, sentences: Iterable[str]) -> list[str]:
    """Return a title and the first sentences, with the longest ones cut; nothing if there are none."""
    every = list(sentences)
    lines = [f"- {sentence[:MAX_SENTENCE_CHARACTERS]}" for sentence in islice(every, MAX_SENTENCES)]
    if len(every) > MAX_SENTENCES:
        lines.append(f"- and {len(every) - MAX_SENTENCES} more")
    return [title, *lines] if lines else []


def write_number(value: float | None) -> str:
    """Return a figure with four significant digits."""
    return "none" if value is None else f"{value:.4g}"


def _cell(value: object) -> str:
    return "" if value is None else str(value)
