"""Start sweeps, walk-forwards and portfolios; a sweep varies the settings that are lists or ranges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from backtesting_client.jobs import Job
from backtesting_client.models import StoredModel
from backtesting_client.portfolios import Portfolio
from backtesting_client.sweeps import Sweep, WalkForward
from backtesting_client.transport import Transport
from backtesting_client.values import json_value, path_part, text_values

Constraint = str | Mapping[str, Any]
"""`"fast < slow"`, `"total_trades >= 30"`, or an object as the service takes it."""

_PAGE_JOBS: Final = 100
_NOT_SWEPT: Final = frozenset({"feature_columns"})
"""Settings whose single value is a list."""
_OPERATORS: Final = {
    "<": "LESS", "<=": "AT_MOST", ">": "GREATER", ">=": "AT_LEAST", "==": "EQUAL", "!=": "NOT_EQUAL"
}  # fmt: skip
_RELATION: Final = re.compile(r"\s*(\w+)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*")


class SweepMethods:
    """The methods of `Client` about sweeps, walk-forwards, portfolios and jobs."""

    _transport: Transport
    _progress: bool

    @property
    def user(self) -> str:
        raise NotImplementedError

    def _backtest_body(self, strategy: str, symbol: str, interval: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def sweep(
        self,
        strategy: str | StoredModel,
        symbol: str,
        interval: str = "1d",
        *,
        search: Mapping[str, Any] | None = None,
        objective: str | Mapping[str, Any] | None = None,
        constraints: Iterable[Constraint] = (),
        keep_best: int | None = None,
        idempotency_key: str | None = None,
        wait: bool = True,
        **settings: Any,
    ) -> Sweep:
        """Run a backtest with every combination of the settings that are lists or ranges.

        `sweep("ma_crossover", "BTCUSDT", fast=range(5, 50), slow=range(20, 200, 5), constraints=["fast < slow"])`

        Parameters
        ----------
        strategy
            The strategy's name, or a stored model, whose `threshold` can be swept.
        search
            `{"kind": "RANDOM", "max_trials": 1000, "seed": 1}`; by default every combination.
        objective
            The metric that ranks the rows, or `{"metric": …, "direction": "MINIMIZE", "min_trades": 30}`.
        constraints
            Relations of swept parameters, such as "fast < slow", or of metrics, such as "total_trades >= 30".
        wait
            Whether to wait until it is done; if not, `sweep.job` shows its progress.
        settings
            As of `run`. Lists, ranges and arrays are swept, also those inside `parameters` of rules.

        Raises JobFailed if it fails.
        """
        body = self._sweep_body(strategy, symbol, interval, search, objective, constraints, keep_best, settings)
        job = self._start("/api/sweeps", body, idempotency_key)
        return Sweep(self._transport, job.wait(is_shown=self._progress) if wait else job)

    def walk_forward(
        self,
        strategy: str | StoredModel,
        symbol: str,
        interval: str = "1d",
        *,
        train_bars: int,
        test_bars: int,
        window: str = "ROLLING",
        step_bars: int | None = None,
        purge_bars: int | None = None,
        embargo_bars: int | None = None,
        search: Mapping[str, Any] | None = None,
        objective: str | Mapping[str, Any] | None = None,
        constraints: Iterable[Constraint] = (),
        idempotency_key: str | None = None,
        wait: bool = True,
        **settings: Any,
    ) -> WalkForward:
        """Choose parameters on `train_bars` bars, trade them on the next `test_bars`, and move on.

        The other arguments are those of `sweep`; only parameters of the strategy can be swept.

        Raises JobFailed if it fails.
        """
        windows = {
            "window": window, "train_bars": train_bars, "test_bars": test_bars, "step_bars": step_bars,
            "purge_bars": purge_bars, "embargo_bars": embargo_bars,
        }  # fmt: skip
        sweep = self._sweep_body(strategy, symbol, interval, search, objective, constraints, None, settings)
        body = {"sweep": sweep, **{name: value for name, value in windows.items() if value is not None}}
        job = self._start("/api/walk-forwards", body, idempotency_key)
        return WalkForward(self._transport, job.wait(is_shown=self._progress) if wait else job)

    def run_portfolio(
        self,
        strategy: str | StoredModel,
        symbols: Sequence[str],
        interval: str = "1d",
        *,
        max_open: int | None = None,
        rank: str | None = None,
        rank_bars: int | None = None,
        idempotency_key: str | None = None,
        wait: bool = True,
        **settings: Any,
    ) -> Portfolio:
        """Run one backtest over several symbols that share their cash.

        `run_portfolio("rsi", ["BTCUSDT", "ETHUSDT", "SOLUSDT"], length=14, max_open=2, rank="MOMENTUM")`

        Parameters
        ----------
        strategy
            The strategy's name, or a stored model.
        max_open
            The most positions that are open at once; by default as many as there are symbols.
        rank, rank_bars
            Which entries are filled first if not all can be: LISTED, VOLUME or MOMENTUM of the last bars.
        wait
            Whether to wait until it is done; if not, `portfolio.job` shows its progress.
        settings
            As of `run`. Without a size, each entry takes the equity ÷ `max_open`.

        Raises JobFailed if it fails.
        """
        if isinstance(strategy, StoredModel):
            settings = {**settings, "model_path": strategy.filename}
            strategy = "model"
        backtest = self._backtest_body(strategy.lower(), "", interval, settings)
        del backtest["symbol"]
        own = {"max_open": max_open, "rank": rank, "rank_bars": rank_bars}
        body = {
            "symbols": list(symbols),
            **{name: value for name, value in own.items() if value is not None},
            "backtest": backtest,
            "wait_seconds": 0,
        }
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        found = self._transport.data("POST", "/api/portfolios", json=body, headers=headers)
        # An earlier portfolio of the same key that has succeeded is returned as a whole.
        job = Job(self._transport, self.user, found.get("job", found))
        return Portfolio(self._transport, job.wait(is_shown=self._progress) if wait else job)

    def get_portfolio(self, job_id: str) -> Portfolio:
        """Return a portfolio by the id of its job."""
        return Portfolio(self._transport, self.job(job_id))

    def job(self, job_id: str) -> Job:
        """Return a job."""
        return Job(self._transport, self.user, self._transport.data("GET", f"/api/jobs/{path_part(job_id)}"))

    def get_sweep(self, job_id: str) -> Sweep:
        """Return a sweep by the id of its job."""
        return Sweep(self._transport, self.job(job_id))

    def get_walk_forward(self, job_id: str) -> WalkForward:
        """Return a walk-forward by the id of its job."""
        return WalkForward(self._transport, self.job(job_id))

    def jobs(self, state: str | None = None, *, most: int = 100) -> pd.DataFrame:
        """Return the user's newest jobs, at most `most`, by their ids; `symbol` to `swept` say what each is about."""
        items: list[dict[str, Any]] = []
        after: str | None = None
        while len(items) < most:
            first = min(_PAGE_JOBS, most - len(items))
            query = text_values({"user_id": self.user, "state": state, "first": first, "after": after})
            page = self._transport.data("GET", "/api/jobs", params=query)
            items += page["items"]
            after = page["next_cursor"]
            if after is None:
                break
        for item in items:
            item.update(item.pop("subject", None) or {})
        return pd.DataFrame(items).set_index("id") if items else pd.DataFrame()

    def _start(self, path: str, body: Mapping[str, Any], key: str | None) -> Job:
        headers = {} if key is None else {"Idempotency-Key": key}
        return Job(self._transport, self.user, self._transport.data("POST", path, json=body, headers=headers))

    def _sweep_body(
        self,
        strategy: str | StoredModel,
        symbol: str,
        interval: str,
        search: Mapping[str, Any] | None,
        objective: str | Mapping[str, Any] | None,
        constraints: Iterable[Constraint],
        keep_best: int | None,
        settings: Mapping[str, Any],
    ) -> dict[str, Any]:
        if isinstance(strategy, StoredModel):
            settings = {**settings, "model_path": strategy.filename}
            strategy = "model"
        fixed, swept = split_settings(settings)
        body: dict[str, Any] = {
            "backtest": self._backtest_body(strategy.lower(), symbol, interval, fixed),
            "parameters": [{"name": name, "values": json_value(values)} for name, values in swept.items()],
            "constraints": [read_constraint(item, swept) for item in constraints],
        }
        given = {"search": search, "objective": {"metric": objective} if isinstance(objective, str) else objective}
        body |= {name: json_value(value) for name, value in given.items() if value is not None}
        return body if keep_best is None else body | {"keep_best": keep_best}


def split_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """Return the settings that are fixed, and the values of those that are swept."""
    fixed: dict[str, Any] = {}
    swept: dict[str, Sequence[Any]] = {}
    for name, value in settings.items():
        if name == "parameters" and isinstance(value, Mapping):
            inner, numbers = split_settings(value)
            # The rules must have each number that they name.
            fixed[name] = inner | {number: values[0] for number, values in numbers.items()}
            swept |= numbers
        elif name not in _NOT_SWEPT and isinstance(value, (list, tuple, range, np.ndarray, pd.Series, pd.Index)):
            swept[name] = list(value)
        else:
            fixed[name] = value
    return fixed, swept


def read_constraint(given: Constraint, swept: Mapping[str, Any]) -> dict[str, Any]:
    """Return a constraint as the service takes it; raises ValueError if a text is not a constraint."""
    if not isinstance(given, str):
        return dict(given)
    found = _RELATION.fullmatch(given)
    if found is None:
        raise ValueError(
            f"{given!r} is not a relation. Allowed: a name, one of {' '.join(_OPERATORS)}, a name or a number."
        )
    left, sign, right = found.groups()
    relation: dict[str, Any] = {"operator": _OPERATORS[sign], "left" if left in swept else "metric": left}
    if right in swept:
        return relation | {"right": right}
    try:
        return relation | {"value": float(right)}
    except ValueError as error:
        raise ValueError(f"{right!r} in {given!r} is neither a number nor a swept parameter") from error
