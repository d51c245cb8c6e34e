"""What computes: strategies, engines, models and what runs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.signals import Features, OutputKind, Predictions, Signals, StrategyDescription
from src.domain.simulation import Simulation
from src.domain.strategy import StrategyInputs
from src.domain.trading import TradingRules


class Strategy(Protocol):
    """Turns bars, and a model's predictions on them, into signals; built from its parameters."""

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:
        """Return the name and parameters that its signals carry; `predictions` if it reads a model's."""
        ...

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the signal at each bar; the signal at t reads bars and predictions ≤ t only."""
        ...


class Engine(Protocol):
    """Turns signals into fills and equity."""

    def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        """Simulate on one thread, without touching shared state."""
        ...


class Predictor(Protocol):
    """A loaded model, inside the sandbox's child."""

    description: ModelDescription

    def predict(
        self, features: NDArray[np.float64], names: tuple[str, ...], declared: OutputKind | None = None
    ) -> tuple[NDArray[np.float64], OutputKind]:
        """Return one number per row of `features` [n, k] (no NaN), whose columns are called `names`, and its meaning.

        `declared` is what the user says the numbers mean; it overrides what the file says.
        """
        ...


class ModelFormat(Protocol):
    """Opens one library's files; called in the sandbox's child only."""

    def load(self, file: Path) -> Predictor: ...


class ModelRunner(Protocol):
    """Opens model files without trusting them."""

    async def inspect(self, file: ModelFile) -> ModelDescription: ...

    async def predict(
        self,
        file: ModelFile,
        features: Features,
        feature_columns: Sequence[str] | None,
        kind: OutputKind | None,
        *,
        audit_seed: int | None = None,
    ) -> Predictions:
        """Predict every row that has all columns the model reads.

        With `audit_seed` (0 to 2⁶⁴ − 1) the same child then predicts these rows once more, in four complementary parts
        in seeded random order: `Predictions.among_others`. A model that fails or hangs there still gives its
        predictions.
        """
        ...

    async def predict_prefixes(
        self,
        file: ModelFile,
        features: Features,
        feature_columns: Sequence[str] | None,
        kind: OutputKind | None,
        *,
        lengths: Sequence[int],
    ) -> Sequence[Predictions]:
        """Predict the first rows alone, once for each of these lengths, in one child."""
        ...

    async def close(self) -> None: ...
