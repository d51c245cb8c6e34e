"""Results and model files as JSON: snake_case names, ISO 8601 dates, null for what does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from starlette.responses import Response

from src.api.answers import JsonAnswer
from src.api.requests.backtests import echo_settings, echo_strategy
from src.api.rest.tables import present_bars, present_fills, present_trades
from src.api.rows.row_pages import cut_warnings, long_tables
from src.domain.instants import format_instant
from src.domain.market import DataQuality
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.performance import Metrics
from src.domain.runs import (
    BacktestRequest,
    BacktestResult,
    CrossCheck,
    Rerun,
    ResultSummary,
)

HEAD_METRICS: Final = (
    "total_trades",
    "open_trades",
    "winning_trades",
    "losing_trades",
    "profit_factor",
    "win_rate",
    "total_return",
    "sharpe_ratio",
    "max_drawdown",
)
"""The metrics that clients also look for on the result itself."""


def answer(message: str, data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Write the envelope of every successful answer."""
    document = {"success": True, "message": message, "data": data}
    return JsonAnswer(document, status, headers)


def present_model_file(file: ModelFile) -> dict[str, object]:
    """Return what a client is told about a file that it keeps here; `file_size` in bytes."""
    return {
        "filename": file.path.name,
        "original_filename": file.original_filename,
        "file_path": str(file.path),
        "relative_path": f"storage/{file.user_id}/{file.path.name}",
        "file_size": file.size_bytes,
        "user_id": file.user_id,
        "model_name": file.model_name,
        "file_extension": file.extension,
        "sha256": file.sha256,
        "model": None if file.description is None else _present_description(file.description),
    }


def present_result(result: BacktestResult, *, max_rows: int | None = None) -> dict[str, object]:
    """Return a whole backtest; of a table longer than `max_rows` its first rows, and in `more_rows` where to go on."""
    simulation = result.simulation
    tables = long_tables(result, max_rows)
    more_rows = {name: f"/api/backtests/{result.id}/{name}?first={max_rows}&offset={max_rows}" for name in tables}
    return {
        **_present_head(result),
        "warnings": (*result.warnings, *cut_warnings(tables, max_rows, more_rows.__getitem__)),
        **({"more_rows": more_rows} if more_rows else {}),
        "strategy": _present_strategy(result.request, result.metrics, dict(result.signals.strategy.parameters)),
        "total_fills": len(simulation.fills),
        "reduced_entries": simulation.reduced_entries,
        "ambiguous_bars": simulation.ambiguous_bars,
        "is_liquidated": simulation.is_liquidated,
        "data_quality": present_quality(result.quality),
        "timings": [{"step": step, "milliseconds": spent_ms} for step, spent_ms in result.timings_ms.items()],
        "cross_check": None if result.cross_check is None else _present_cross_check(result.cross_check),
        "data": present_bars(result, slice(max_rows)),
        "fills": present_fills(simulation.fills[:max_rows]),
        "trades": present_trades(simulation.trades[:max_rows]),
    }


def present_summary(summary: ResultSummary) -> dict[str, object]:
    """Return a stored backtest without its tables."""
    return {
        **_present_head(summary),
        "strategy": _present_strategy(summary.request, summary.metrics, None),
    }


def present_rerun(rerun: Rerun, *, max_rows: int | None = None) -> dict[str, object]:
    """Return a backtest that was run again, and what came out differently."""
    return {
        "original_id": rerun.original_id,
        "is_reproduced": not rerun.differences,
        "differences": rerun.differences,
        "result": present_result(rerun.result, max_rows=max_rows),
    }


def present_quality(quality: DataQuality) -> dict[str, object]:
    """Return the report on candles; null stands for what is not known."""
    return {
        "expected_bars": quality.expected_bars,
        "present_bars": quality.present_bars,
        "missing_bars": sum(gap.missing_bars for gap in quality.gaps),
        "gaps": [
            {
                "after": format_instant(gap.after_ms),
                "next": format_instant(gap.next_ms),
                "missing_bars": gap.missing_bars,
            }
            for gap in quality.gaps
        ],
        "duplicate_rows": quality.duplicate_rows,
        "disordered_rows": quality.disordered_rows,
        "rejected_rows": [
            {"date": format_instant(row.open_time_ms), "reason": row.reason} for row in quality.rejected_rows
        ],
        "zero_volume_bars": quality.zero_volume_bars,
        "zero_volume_runs": quality.zero_volume_runs,
        "longest_zero_volume_run": quality.longest_zero_volume_run,
        "jumps": [
            {"after": format_instant(jump.after_ms), "next": format_instant(jump.next_ms), "ratio": jump.ratio}
            for jump in quality.jumps
        ],
        "irregular_close_times": quality.irregular_close_times,
        "first_open": None if quality.first_open_ms is None else format_instant(quality.first_open_ms),
        "last_close": None if quality.last_close_ms is None else format_instant(quality.last_close_ms),
    }


def _present_description(description: ModelDescription) -> dict[str, object]:
    return {
        "format": description.format,
        "library": description.library,
        "library_version": description.library_version,
        "n_features": description.n_features,
        "feature_names": description.feature_names,
        "output_kind": description.output_kind,
        "warnings": description.warnings,
        "details": dict(description.details),
    }


def _present_head(run: BacktestResult | ResultSummary) -> dict[str, object]:
    request, prints, presented = run.request, run.fingerprints, _present_metrics(run.metrics)
    return {
        "id": run.id,
        "status": "success",
        "symbol": request.market.symbol,
        "interval": request.market.interval.name,
        "created_at": format_instant(run.created_ms),
        "user_id": request.user_id,
        "engine": request.engine,
        "settings": _present_settings(request),
        "metrics": presented,
        **{name: presented[name] for name in HEAD_METRICS},
        "origin": run.origin,
        "warnings": run.warnings,
        "data_fingerprint": prints.bars,
        "model_sha256": prints.model,
        "versions": [{"name": name, "version": version} for name, version in prints.versions.items()],
    }


def _present_metrics(metrics: Metrics) -> dict[str, object]:
    presented = {item.name: getattr(metrics, item.name) for item in fields(metrics)}
    return {**presented, "start": format_instant(metrics.start), "end": format_instant(metrics.end)}


def _present_strategy(
    request: BacktestRequest, metrics: Metrics, parameters: Mapping[str, object] | None
) -> dict[str, object]:
    """Return the strategy that was traded; what it does not have is null, and lists have no parameters."""
    chosen, model = echo_strategy(request.strategy), request.strategy.model
    return {
        "name": metrics.strategy_name,
        "fast_ma_period": chosen.get("fast"),
        "slow_ma_period": chosen.get("slow"),
        "threshold": chosen.get("threshold"),
        "feature_columns": chosen.get("feature_columns"),
        "output_kind": chosen.get("output_kind"),
        "model_path": chosen.get("model_path"),
        "model_sha256": None if model is None else model.sha256,
        "parameters": parameters,
    }


def _present_settings(request: BacktestRequest) -> dict[str, object]:
    """Return what was asked for, with the strategy's own parameters."""
    chosen = echo_strategy(request.strategy)
    chosen.pop("model_path", None)
    return echo_settings(request) | chosen


def _present_cross_check(check: CrossCheck) -> dict[str, object]:
    return {
        "differences": [
            {"index": item.index, "vectorized": item.vectorized, "event_driven": item.event_driven}
            for item in check.differences
        ],
        "left_out": check.left_out,
        "largest_equity_difference": check.largest_equity_difference,
    }
