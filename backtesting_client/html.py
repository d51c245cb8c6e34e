"""The tear sheet of a run in a notebook. Every text is escaped: names and messages come from others."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Final

import pandas as pd

from backtesting_client.verdict import Verdict

if TYPE_CHECKING:
    from backtesting_client.run import Run

_SHOWN: Final = {
    "total_return": ("return", "%"),
    "buy_and_hold_return": ("buy and hold, no costs", "%"),
    "cagr": ("return a year", "%"),
    "sharpe_ratio": ("Sharpe ratio", ""),
    "max_drawdown": ("maximum drawdown", "%"),
    "exposure": ("time in the market", "%"),
    "win_rate": ("winning trades", "%"),
    "total_trades": ("trades", ""),
    "total_fees": ("fees", ""),
}
_FRAME: Final = "width: 100%; height: 800px; border: 0"
_SIGNED: Final = {"total_return", "buy_and_hold_return", "cagr"}


def tear_sheet(run: Run) -> str:
    """Return a compact tear sheet: the verdict with its reasons, then the figures."""
    result = run.result
    title = f"{result['strategy']['name']} on {result['symbol']} {result['interval']}"
    parts = {"whole": run.metrics}
    verdicts = [_verdict("", run.verdict)]
    if run.in_sample is not None:
        parts["while trained"] = run.in_sample.metrics
    if run.out_of_sample is not None:
        parts["after training"] = run.out_of_sample.metrics
        verdicts.append(_verdict("after training: ", run.out_of_sample.verdict))
    period = f"{result['metrics']['start']} to {result['metrics']['end']}, {result['origin']}"
    return (
        f"<div><h4>{escape(title)}</h4>{''.join(verdicts)}{_figures(parts)}"
        f"<p><small>{escape(period)}<br>{escape(run.id)}</small></p></div>"
    )


def framed(report: str) -> str:
    """Return a report in a frame of its own: its scripts run, but cannot reach the notebook."""
    return f'<iframe sandbox="allow-scripts" style="{_FRAME}" srcdoc="{escape(report)}"></iframe>'


def _verdict(prefix: str, verdict: Verdict) -> str:
    reasons = "".join(
        f"<li>{'<b>objection</b>' if reason.level else 'note'}: {escape(reason.text)}</li>"
        for reason in verdict.reasons
    )
    return f"<p><b>{escape(prefix + verdict.words)}</b></p><ul>{reasons}</ul>"


def _figures(parts: dict[str, pd.Series[float]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in parts)
    rows = "".join(
        f"<tr><th>{label}</th>{''.join(f'<td>{_number(name, part, unit)}</td>' for part in parts.values())}</tr>"
        for name, (label, unit) in _SHOWN.items()
    )
    return f"<table><tr><th></th>{head}</tr>{rows}</table>"


def _number(name: str, metrics: pd.Series[float], unit: str) -> str:
    value = metrics.get(name, math.nan)
    if not math.isfinite(value):
        return "–"
    digits = 0 if name == "total_trades" else 2
    sign = "+" if name in _SIGNED else ""
    return escape(f"{value:{sign},.{digits}f} {unit}".rstrip())
