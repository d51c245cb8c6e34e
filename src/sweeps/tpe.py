"""Draw combinations near the best ones so far, with Optuna's tree-structured Parzen estimator.

Optuna is an optional library. A batch depends only on the request and the rows told before it, whether they were told
batch by batch or all at once. So a search can continue from its stored rows.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import MissingLibrary
from src.domain.sweeps import Goal, Scale, SweepRequest
from src.sweeps.columns import Column, round_values
from src.sweeps.combinations import draw_rows
from src.sweeps.exclusions import Exclusions
from src.sweeps.parameters import ValueKind
from src.sweeps.space import SearchSpace, build_space

Floats = NDArray[np.float64]

MIN_RANDOM_ROWS: Final = 10
"""Rows that are drawn at random before the estimator is used: Optuna's own default."""

MAX_ATTEMPTS: Final = 20
"""Draws for each row of a batch that may be excluded, before the rest of the batch is drawn at random."""


class TpeSearch:
    """A search by TPE; not safe to share between threads.

    Raises InvalidInput if the request is wrong; MissingLibrary if Optuna is not installed.
    """

    def __init__(self, request: SweepRequest) -> None:
        self.space: Final[SearchSpace] = build_space(request)
        self._optuna: Final = _load_optuna()
        self._exclusions: Final = Exclusions(self.space)
        self._search: Final = request.search
        self._axes: Final = [_Axis(column, self._optuna.distributions) for column in self.space.columns]
        direction = "minimize" if request.objective.goal is Goal.MINIMIZE else "maximize"
        self._study: Final = self._optuna.create_study(direction=direction)
        self._asked: Final[list[Any]] = []
        self._told = 0

    def ask(self, n: int) -> Floats:
        """Return the next `n` rows [n, p], none of them an excluded combination.

        Returns fewer if nearly all combinations are excluded; raises InvalidInput if none is left. Until new rows are
        told, it returns the same rows.
        """
        self._forget_asked()
        # A new random state for each batch, so that only the rows told so far decide the draws.
        seed = int(np.random.SeedSequence((self._search.seed, self._told)).generate_state(1)[0])
        self._study.sampler = self._optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=max(MIN_RANDOM_ROWS, self._search.batch_size),
            multivariate=True,
            constant_liar=True,
        )
        rows: list[Floats] = []
        for _ in range(MAX_ATTEMPTS * n):
            if len(rows) == n:
                break
            trial = self._study.ask({axis.name: axis.distribution for axis in self._axes})
            row = np.array([axis.to_value(trial.params[axis.name]) for axis in self._axes])
            if self._exclusions.allow(row[None, :])[0]:
                self._asked.append(trial)
                rows.append(row)
            else:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        if len(rows) == n:
            return np.array(rows)
        numbers = np.arange(self._told + len(rows), self._told + n)
        found = np.vstack((*rows, draw_rows(self.space, self._exclusions, self._search.seed, numbers)))
        if not len(found):
            raise self._exclusions.nothing_left(self._search.draws or n)
        return found

    def tell(self, values: Floats, objectives: Floats) -> None:
        """Learn the objectives [k] of rows [k, p], in the order of the sweep; NaN is worse than any number."""
        self._forget_asked()
        states, distributions = self._optuna.trial.TrialState, {axis.name: axis.distribution for axis in self._axes}
        for row, objective in zip(values.tolist(), objectives.tolist(), strict=True):
            params = {axis.name: axis.to_param(value) for axis, value in zip(self._axes, row, strict=True)}
            is_known = not math.isnan(objective)
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    # A pruned trial without a value ranks after all complete ones.
                    state=states.COMPLETE if is_known else states.PRUNED,
                    value=objective if is_known else None,
                    params=params,
                    distributions=distributions,
                )
            )
        self._told += len(values)

    def _forget_asked(self) -> None:
        """End the trials that were asked for: told rows are added as new trials, as stored rows are."""
        for trial in self._asked:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        self._asked.clear()


class _Axis:
    """One parameter as Optuna draws it: a number of a range, the place of a number in its list, or a member."""

    def __init__(self, column: Column, distributions: Any) -> None:
        self.name: Final = column.item.name
        self._is_whole: Final = column.is_whole
        self._range: Final = column.range
        self._is_closed: Final = column.item.kind is ValueKind.CHOICE
        # In rising order, so that near indices mean near numbers.
        self._values: Final = np.empty(0) if column.values is None else np.sort(column.values)
        if column.range is None:
            self.distribution = (
                distributions.CategoricalDistribution(self._values.tolist())
                if self._is_closed
                else distributions.IntDistribution(0, self._values.size - 1)
            )
            return
        low, high, is_log = column.range.start, column.range.end, column.range.scale is Scale.LOGARITHMIC
        self.distribution = (
            distributions.IntDistribution(int(low), int(high), log=is_log)
            if self._is_whole
            else distributions.FloatDistribution(low, high, log=is_log)
        )

    def to_value(self, param: Any) -> float:
        """Return the value of the sweep's table for one of Optuna's."""
        if self._range is None:
            return float(param) if self._is_closed else float(self._values[param])
        if self._is_whole:
            return float(param)
        return float(np.clip(round_values(np.array([param])), self._range.start, self._range.end)[0])

    def to_param(self, value: float) -> Any:
        """Return Optuna's value for one of the sweep's table."""
        if self._range is not None:
            return int(value) if self._is_whole else value
        return value if self._is_closed else int(np.searchsorted(self._values, value))


def _load_optuna() -> Any:
    try:
        optuna = import_module("optuna")
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise MissingLibrary(
            "TPE needs Optuna, which is not installed here. Search by GRID, LIST or RANDOM, or have the operator "
            "install the extra: pip install '.[tpe]'.",
            library="optuna",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it writes a line for each study
    return optuna
