"""Write sweeps for agents as short texts: the tests of the best row come before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from src.api.mcp.texts import MAX_SENTENCE_CHARACTERS, describe_rows, list_sentences, write_number
from src.api.requests.backtests import echo_strategy
from src.api.rows.columns import ColumnTable
from src.api.rows.sweeps import sweep_columns
from src.domain.confidence import Deflation
from src.domain.jobs import Job
from src.domain.sweep_outcomes import (
    ParameterStability,
    SweepConclusion,
    SweepEstimate,
    SweepOverfitting,
    SweepSuperiority,
    SweepTiming,
)
from src.domain.sweeps import ROW_METRICS
from src.service.sweeps import Sweep, SweepPage

USUAL: Final = 0.05
"""The level of both tests, as on the page of a sweep."""
SHOWN_METRICS: Final = (
    "final_equity", "total_return", "sharpe_ratio", "max_drawdown", "exposure", "win_rate", "total_trades",
)  # fmt: skip


def describe_estimate(estimate: SweepEstimate) -> str:
    """Return what a sweep would cost."""
    lines = [
        f"{estimate.combinations} combinations, {estimate.excluded} more are excluded.",
        f"About {write_number(estimate.cpu_seconds)} s of one core, {estimate.stored_bytes} bytes stored.",
        *list_sentences("Warnings:", estimate.warnings),
        "Nothing was started.",
    ]
    return "\n".join(lines)


def describe_start(job: Job) -> str:
    """Return the id of a sweep that was started, and how to go on."""
    return f"Sweep: {job.id}\nState: {job.state}. Read it with get_sweep."


def describe_sweep(sweep: Sweep, deflation: Deflation | None) -> str:
    """Return the tests of the best row, the best rows, and the request; before the end, the progress."""
    job, conclusion = sweep.job, sweep.conclusion
    lines = [f"SWEEP: {job.state}, {job.done} of {'?' if job.total is None else job.total} rows"]
    if conclusion is None:
        lines += _describe_unfinished(job)
    else:
        lines += ["IS THE BEST ROW LUCK?", *(f"- {text}" for text in _describe_tests(conclusion, deflation))]
        lines += list_sentences("Warnings:", conclusion.warnings)
        lines += ["", *_describe_best(sweep, conclusion)]
    return "\n".join([*lines, "", *_describe_request(sweep)])


def describe_sweep_rows(page: SweepPage, *, objective: str) -> str:
    """Return ranked rows of a sweep as CSV: their swept values, and some of their metrics."""
    hidden = set(ROW_METRICS) - {*SHOWN_METRICS, objective}
    columns = {name: column for name, column in sweep_columns(page.columns, page.rows).items() if name not in hidden}
    table = ColumnTable(columns, len(page.rows))
    return describe_rows("ranked rows", table, offset=page.offset, total=page.total)


def _describe_unfinished(job: Job) -> Iterator[str]:
    if job.failure is not None:
        yield f"{job.failure.code}: {job.failure.message}"
    elif job.state.is_final:
        yield "It ended before all rows were computed, so nothing tests the best one."
    else:
        wait = "" if job.eta_seconds is None else f" in about {job.eta_seconds:.0f} s"
        yield f"Not done: ask again{wait}. Nothing can be said about the best row before all rows are there."


def _describe_tests(conclusion: SweepConclusion, deflation: Deflation | None) -> Iterator[str]:
    if not conclusion.best:
        yield "No row can be the best: none has enough trades and meets the constraints."
        return
    yield _describe_overfitting(conclusion.overfitting)
    yield _describe_superiority(conclusion.superiority)
    yield _describe_timing(conclusion.timing)
    yield _describe_deflation(deflation)
    yield _describe_stability(conclusion.stability)


def _describe_overfitting(found: SweepOverfitting | None) -> str:
    if found is None:
        return "Not estimated: PBO (too few rows or bars)."
    return (
        f"{_objection(found.pbo >= found.pbo_noise_low)}: PBO {write_number(found.pbo)}, without any edge "
        f"{write_number(found.pbo_noise_low)} to {write_number(found.pbo_noise_high)}: how often the row that is best "
        f"on half of the bars, by {found.criterion} ({found.direction}), is below the median on the rest."
    )


def _describe_superiority(found: SweepSuperiority | None) -> str:
    if found is None:
        return "Not tested: SPA (too few rows or bars)."
    return (
        f"{_objection(found.p_value > USUAL)}: SPA p = {write_number(found.p_value)}: how likely the best of "
        f"{found.rows} rows looks this good beside buying and holding by chance; {found.superior_rows} beat it each on "
        "its own."
    )


def _describe_timing(found: SweepTiming | None) -> str:
    if found is None or found.p_value_of_best is None:
        return "Not tested: timing of the best row (too few trades or bars, or always in the market)."
    p_value = found.p_value_of_best
    return (
        f"{_objection(p_value > USUAL)}: timing p = {write_number(p_value)}: how likely one of {found.rows} rows, with "
        "all their trades at other times, does as well as the best row."
    )


def _describe_deflation(found: Deflation | None) -> str:
    known = [] if found is None else [one for one in (found.dsr, found.dsr_dependent) if one is not None]
    if found is None or not known:
        return "Not known: deflation (its run is gone, or too short)."
    return (
        f"{_objection(min(known) < 1 - USUAL)}: deflated Sharpe ratio {write_number(min(known))}: probability that the "
        f"true ratio is over {write_number(found.sharpe_hurdle)}, which the best of {found.trials} trials without an "
        "edge reaches."
    )


def _describe_stability(found: ParameterStability | None) -> str:
    if found is None or not found.neighbors:
        return "No neighbors of the best row in the grid."
    return (
        f"The best row's objective is {write_number(found.best)}; of its {found.neighbors} neighbors on average "
        f"{write_number(found.neighbors_mean)}, at worst {write_number(found.neighbors_worst)}."
    )


def _objection(is_one: bool) -> str:
    return "Objection" if is_one else "No objection"


def _describe_best(sweep: Sweep, conclusion: SweepConclusion) -> Iterator[str]:
    names = [item.name for item in sweep.request.parameters]
    objective = sweep.request.objective
    yield f"BEST ROWS by {objective.metric} ({objective.goal}), each a stored run"
    yield ",".join(("row", "run_id", "objective", *names))
    for kept in conclusion.best:
        values = (str(kept.values.get(name, "")) for name in names)
        yield ",".join((str(kept.row), kept.result_id, write_number(kept.objective), *values))


def _describe_request(sweep: Sweep) -> Iterator[str]:
    backtest = sweep.request.backtest
    swept = {item.name for item in sweep.request.parameters}
    params = {name: value for name, value in echo_strategy(backtest.strategy).items() if value is not None}
    fixed = {name: value for name, value in params.items() if name not in swept}
    yield f"Sweep: {sweep.job.id}"
    yield f"Not swept: {json.dumps(fixed, default=str)[:MAX_SENTENCE_CHARACTERS]}"
    yield f"Market: {backtest.market.symbol} {backtest.market.interval.name} {backtest.engine}"
