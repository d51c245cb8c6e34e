"""A stored result: its verdict, figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from backtesting_client.errors import ClientError, InvalidRequest
from backtesting_client.html import framed, tear_sheet
from backtesting_client.transport import Transport
from backtesting_client.values import Instant, json_value, path_part
from backtesting_client.verdict import Verdict

_STORED = ("close", "equity", "cash", "position", "drawdown", "signal", "probability")
"""Columns that do not need the run's bars, which may no longer be available."""


def metrics_of(result: Mapping[str, Any], name: str | None = None) -> pd.Series[float]:
    """Return the metrics that are numbers, in the service's units (per cent is 0 to 100); NaN if one does not exist."""
    numbers = {key: value for key, value in result["metrics"].items() if not isinstance(value, str)}
    return pd.Series(numbers, dtype=float, name=name)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A part of the bars: those that the model was trained on, or those after them (a run of its own)."""

    metrics: pd.Series[float]
    verdict: Verdict


class Run:
    """One stored result.

    Attributes
    ----------
    id
        The result's id, for `Client.get`.
    result
        The service's response without its tables.
    """

    def __init__(self, transport: Transport, result: Mapping[str, Any]) -> None:
        self._transport = transport
        self.result = {name: value for name, value in result.items() if name not in {"data", "fills", "trades"}}
        self.id = str(result["id"])
        self._path = f"/api/backtests/{path_part(self.id)}"

    @property
    def verdict(self) -> Verdict:
        """Whether to believe the result, with the reasons."""
        return Verdict.of(self.judgement)

    @property
    def judgement(self) -> dict[str, Any] | None:
        """The whole judgement: intervals, deflation, leaks, benchmarks; None if the service did not judge."""
        judgement: dict[str, Any] | None = self.result["judgement"]
        return judgement

    @property
    def metrics(self) -> pd.Series[float]:
        """Every metric that is a number; shares are in per cent; NaN if a metric does not exist."""
        return metrics_of(self.result, self.id)

    @property
    def in_sample(self) -> Sample | None:
        """The bars up to the end of the model's training; None if there are none."""
        return self._sample("in_sample")

    @property
    def out_of_sample(self) -> Sample | None:
        """A run of its own on the bars after the model's training; None without `trained_to`."""
        return self._sample("out_of_sample")

    @property
    def warnings(self) -> list[str]:
        """Reasons to doubt the figures, as sentences."""
        return list(self.result["warnings"])

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Close, equity, cash, position, drawdown (per cent), signal and probability; the index is the open time."""
        return self.series(_STORED)

    @cached_property
    def fills(self) -> pd.DataFrame:
        """The executed orders, in time order."""
        return self._transport.all_rows(f"{self._path}/fills", "time")

    @cached_property
    def trades(self) -> pd.DataFrame:
        """The trades in order of entry, including one still open."""
        return self._transport.all_rows(f"{self._path}/trades", "entry_time")

    def series(
        self,
        columns: Iterable[str] = ("open", "high", "low", "close", "volume", "equity", "buy_and_hold"),
        *,
        points: int | None = None,
        start: Instant = None,
        end: Instant = None,
    ) -> pd.DataFrame:
        """Return columns of the run by the bars' open time; docs/results.md of the service lists them.

        The run's bars are fetched again for open, high, low, volume and buy_and_hold.

        Parameters
        ----------
        points
            Maximum rows: each row then covers as many bars, with the lowest and highest close, equity and buy_and_hold.
        """
        names = ",".join(["date", *columns])
        if points is not None:
            return self._rows_between(start, end, columns=names, points=str(points))
        return self._rows_between(start, end, columns=names)

    def _rows_between(self, start: Instant, end: Instant, **query: str) -> pd.DataFrame:
        """Return rows of a range, which is halved if one response cannot hold it."""
        bounds = {name: str(json_value(at)) for name, at in (("start", start), ("end", end)) if at is not None}
        try:
            return self._transport.rows(f"{self._path}/series", "date", **query, **bounds)
        except InvalidRequest as error:
            if error.field != "points" or "points" in query:
                raise
        first = pd.Timestamp(bounds.get("start", self.result["metrics"]["start"]))
        last = pd.Timestamp(bounds.get("end", self.result["metrics"]["end"]))
        middle = (first + (last - first) / 2).floor("ms")
        halves = [(first, middle), (middle + pd.Timedelta(milliseconds=1), last)]
        return pd.concat([self._rows_between(*half, **query) for half in halves])

    def rerun(self) -> Run:
        """Run the same backtest again on the same bars; `result["differences"]` of the new run says what differs."""
        again = self._transport.data("POST", f"{self._path}/rerun")
        return Run(self._transport, {**again["result"], "differences": again["differences"]})

    def _sample(self, name: str) -> Sample | None:
        part = self.result[name]
        return None if part is None else Sample(metrics_of(part, name), Verdict.of(part["judgement"]))

    def __repr__(self) -> str:
        shown = self.metrics
        head = f"{self.result['strategy']['name']} on {self.result['symbol']} {self.result['interval']} ({self.id})"
        figures = (
            f"return {shown['total_return']:+.2f} % (buy and hold, no costs: {shown['buy_and_hold_return']:+.2f} %), "
            f"Sharpe {shown['sharpe_ratio']:.2f}, drawdown {shown['max_drawdown']:.2f} %, "
            f"{shown['total_trades']:.0f} trades"
        )
        later = self.out_of_sample
        after = [] if later is None else [f"after training: {later.verdict.level}"]
        return "\n".join([head, str(self.verdict), *after, figures])

    def _repr_html_(self) -> str:
        """Return the service's report, or a compact tear sheet if the service has none."""
        try:
            report = self._transport.send("GET", f"{self._path}/report.html")
        except ClientError:
            return tear_sheet(self)
        is_report = report.headers.get("content-type", "").startswith("text/html")
        return framed(report.text) if is_report else tear_sheet(self)
