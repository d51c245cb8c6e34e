"""Sweeps and walk-forwards: what they found, and their tables."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import pandas as pd

from backtesting_client.errors import ClientError
from backtesting_client.jobs import Job
from backtesting_client.run import Run
from backtesting_client.transport import Transport
from backtesting_client.values import path_part, text_values


class Computed:
    """What a job computes: `job`, and the service's response, which is read once it has succeeded."""

    _folder: str

    def __init__(self, transport: Transport, job: Job) -> None:
        self._transport = transport
        self.job = job
        self.id = job.id
        self._path = f"/api/{self._folder}/{path_part(job.id)}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.job.state})"

    @cached_property
    def _answer(self) -> dict[str, Any]:
        found: dict[str, Any] = self._transport.data("GET", self._path)
        if found["conclusion"] is None:
            raise ClientError(f"Job {self.id} has not succeeded: see its `job`, and `job.wait()`.")
        return found

    @property
    def conclusion(self) -> dict[str, Any]:
        """What the job found, as the service returns it."""
        conclusion: dict[str, Any] = self._answer["conclusion"]
        return conclusion

    @property
    def settings(self) -> dict[str, Any]:
        """The requested settings, with defaults filled in."""
        settings: dict[str, Any] = self._answer["settings"]
        return settings

    @property
    def warnings(self) -> list[str]:
        """Warnings of the service about it, as sentences."""
        return list(self.conclusion["warnings"])

    def _read_run(self, run_id: str) -> Run:
        path = f"/api/backtests/{path_part(run_id)}"
        return Run(self._transport, self._transport.data("GET", path, params={"rows": "false"}))


class Sweep(Computed):
    """One backtest with many combinations of its parameters."""

    _folder = "sweeps"

    @cached_property
    def best(self) -> Run:
        """The stored result of the best row; ClientError if no row can be the best."""
        if not self.conclusion["best"]:
            raise ClientError("No row can be the best: see `warnings`.")
        return self._read_run(self.conclusion["best"][0]["result_id"])

    @property
    def kept(self) -> pd.DataFrame:
        """The best rows, the best first: their values, objective, and the id of the result of each.

        `is_stored` is False if the result was deleted since; `run_row` makes it again.
        """
        rows = [
            {
                "row": kept["row"],
                **kept["values"],
                "objective": kept["objective"],
                "result_id": kept["result_id"],
                "is_stored": kept["is_stored"],
            }
            for kept in self.conclusion["best"]
        ]
        return pd.DataFrame(rows).set_index("row") if rows else pd.DataFrame()

    def run_row(self, row: int) -> Run:
        """Run a row on the sweep's bars and store its result, unless that is stored; return it."""
        query = {"user_id": self.job.info["user_id"], "rows": "false"}
        return Run(self._transport, self._transport.data("POST", f"{self._path}/rows/{row}/run", params=query))

    @property
    def pbo(self) -> float | None:
        """Probability that the best row of one half of the bars is below the median on the other; None if unknown."""
        found = self.conclusion["overfitting"]
        return None if found is None else float(found["pbo"])

    @property
    def spa(self) -> float | None:
        """Hansen's p-value of the best row against buying and holding; None if unknown."""
        found = self.conclusion["superiority"]
        return None if found is None else float(found["p_value"])

    @property
    def timing(self) -> float | None:
        """Probability that any row's timing stands out as much as the best row's by luck; None if unknown."""
        found = self.conclusion.get("timing")
        return None if found is None or found["p_value_of_best"] is None else float(found["p_value_of_best"])

    @property
    def deflation(self) -> dict[str, Any] | None:
        """The best row's Sharpe ratio after all trials."""
        found: dict[str, Any] | None = self._answer["deflation"]
        return found

    def rows(self, sort_by: str = "rank", *, descending: bool = False) -> pd.DataFrame:
        """Return all rows computed so far, by their numbers.

        `rank` lists only rows that can be the best, best first; `row`, a swept parameter or a metric lists all rows.
        """
        query = text_values({"sort_by": sort_by, "descending": descending})
        return self._transport.all_rows(f"{self._path}/rows", "row", **query).rename_axis("row")

    def heatmap(self, x: str, y: str, metric: str | None = None, *, reduce: str = "BEST") -> pd.DataFrame:
        """Return a metric over two swept parameters, `x` as columns; `reduce` is BEST, MEAN or MEDIAN of the others."""
        query = text_values({"x": x, "y": y, "metric": metric, "reduce": reduce})
        found: Mapping[str, Any] = self._transport.data("GET", f"{self._path}/heat-map", params=query)
        columns = pd.Index(found["x"]["values"], name=found["x"]["name"])
        index = pd.Index(found["y"]["values"], name=found["y"]["name"])
        return pd.DataFrame(found["cells"], index=index, columns=columns, dtype=float)


class WalkForward(Computed):
    """A sweep repeated on one training window after another, each choice traded on the bars that follow."""

    _folder = "walk-forwards"

    @cached_property
    def run(self) -> Run:
        """The stored result of all tests, one after another."""
        return self._read_run(self.conclusion["result_id"])

    @property
    def folds(self) -> pd.DataFrame:
        """The folds: their windows, what was chosen, and what that did in and out of sample."""
        rows = [
            {**{name: value for name, value in fold.items() if name != "values"}, **fold["values"]}
            for fold in self._answer["folds"]
        ]
        return pd.DataFrame(rows).set_index("number") if rows else pd.DataFrame()

    @property
    def efficiency(self) -> float | None:
        """Return per bar of the tests ÷ that of the training windows; None unless the training windows gained."""
        found: float | None = self.conclusion["efficiency"]
        return found
