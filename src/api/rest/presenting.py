"""Write results as JSON: snake_case names, ISO 8601 dates, null for what does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from starlette.responses import Response

from src.api.json_responses import JsonResponse
from src.api.requests.backtests import echo_settings, echo_strategy
from src.api.rest.result_schemas import ResultSchema, SummarySchema
from src.api.rest.tables import present_bars, present_fills, present_trades
from src.api.rows.row_pages import TABLES, cut_warnings, long_tables
from src.domain.parameters import parameters_of
from src.domain.runs import BacktestRequest, BacktestResult, Rerun, ResultSummary
from src.domain.training import TrainingWindow

_TRAINING: Final = tuple(item.parameter.name for item in parameters_of(TrainingWindow))


def respond(
    message: str,
    data: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    beside: Mapping[str, object] | None = None,
) -> Response:
    """Return a successful response: `data` in its envelope, and what else the envelope has."""
    document = {"success": True, "message": message, "data": data, **(beside or {})}
    return JsonResponse(document, status, headers)


def present_result(result: BacktestResult, *, max_rows: int | None = None, has_rows: bool = True) -> dict[str, object]:
    """Return a backtest, with its tables if it `has_rows`.

    A table longer than `max_rows` has only its first rows; `more_rows` then names the next page.
    """
    simulation = result.simulation
    tables = long_tables(result, max_rows) if has_rows else {}
    more_rows = {name: f"/api/backtests/{result.id}/{name}?first={max_rows}&offset={max_rows}" for name in tables}
    shown = SimpleNamespace(
        **_head_of(result, dict(result.signals.strategy.parameters)),
        total_fills=len(simulation.fills),
        timings=[{"step": step, "milliseconds": spent_ms} for step, spent_ms in result.timings_ms.items()],
        data=present_bars(result, slice(max_rows)),
        fills=present_fills(simulation.fills[:max_rows]),
        trades=present_trades(simulation.trades[:max_rows]),
        more_rows=more_rows,
    )
    shown.warnings = (*result.warnings, *cut_warnings(tables, max_rows, more_rows.__getitem__))
    presented = ResultSchema.of(shown)
    for name in (*(() if more_rows else ("more_rows",)), *(() if has_rows else TABLES)):
        del presented[name]
    return presented


def present_summary(run: BacktestResult | ResultSummary) -> dict[str, object]:
    """Return a stored backtest without its tables."""
    return SummarySchema.of(SimpleNamespace(**_head_of(run, None)))


def present_rerun(rerun: Rerun, *, max_rows: int | None = None) -> dict[str, object]:
    """Return a backtest that was run again, and what differs."""
    return {
        "original_id": rerun.original_id,
        "is_reproduced": not rerun.differences,
        "differences": rerun.differences,
        "result": present_result(rerun.result, max_rows=max_rows),
    }


def _head_of(run: BacktestResult | ResultSummary, parameters: Mapping[str, object] | None) -> dict[str, Any]:
    """Return the run, and what `SummarySchema` cannot read from its attributes."""
    return {
        "run": run,
        "status": "success",
        "settings": _present_settings(run.request),
        "strategy": _present_strategy(run, parameters),
        "warnings": run.warnings,
        "versions": [{"name": name, "version": version} for name, version in run.fingerprints.versions.items()],
    }


def _present_strategy(
    run: BacktestResult | ResultSummary, parameters: Mapping[str, object] | None
) -> dict[str, object]:
    """Return the strategy; parameters that it does not have are null, and lists have no parameters."""
    params = run.request.strategy
    chosen, model = echo_strategy(params), params.model
    return {
        "name": run.metrics.strategy_name,
        "fast_ma_period": chosen.get("fast"),
        "slow_ma_period": chosen.get("slow"),
        "threshold": chosen.get("threshold"),
        "feature_columns": chosen.get("feature_columns"),
        "output_kind": chosen.get("output_kind"),
        "model_path": chosen.get("model_path"),
        **{name: chosen.get(name) for name in _TRAINING},
        "model_sha256": None if model is None else model.sha256,
        "parameters": parameters,
        "lookback_bars": params.lookback_bars,
        "warm_up_bars": run.warm_up_bars,
    }


def _present_settings(request: BacktestRequest) -> dict[str, object]:
    """Return the requested settings, with the strategy's own parameters."""
    chosen = echo_strategy(request.strategy)
    chosen.pop("model_path", None)
    return echo_settings(request) | chosen
