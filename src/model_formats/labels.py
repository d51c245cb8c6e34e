"""Map the classes of a classifier to buy, sell or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.signals import OutputKind
from src.model_formats.catalog import CLASS_WORDS
from src.model_formats.failures import refused

_NUMBERS: Final = {word: number for number, words in CLASS_WORDS.items() for word in words}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLabels:
    """The classes of a model, in the order of its probability columns: its own names, and −1 (sell), 0 or 1 (buy)."""

    names: tuple[object, ...]
    numbers: tuple[float, ...]

    @staticmethod
    def of(classes: Sequence[object]) -> ClassLabels:
        """Read the classes of a model; raises ModelRejected if one of them is neither buy, sell nor hold."""
        if not 1 <= len(classes) <= 3:
            raise refused("classes_count", count=len(classes))
        numbers = tuple(_number_of(name) for name in classes)
        if len(set(numbers)) < len(numbers):
            raise refused("classes_alike", classes=[str(name) for name in classes])
        return ClassLabels(names=tuple(classes), numbers=numbers)

    def kind(self, *, has_probabilities: bool) -> OutputKind:
        """Return the kind of the predictions: P(class 1) if there are two classes and probabilities, else labels."""
        if has_probabilities and len(self.numbers) == 2 and 1.0 in self.numbers:
            return OutputKind.PROBABILITY
        return OutputKind.SIGNED_LABEL if -1.0 in self.numbers else OutputKind.BINARY_LABEL

    @property
    def positive_column(self) -> int | None:
        """The probability column of class 1; None if the model does not know that class."""
        return self.numbers.index(1.0) if 1.0 in self.numbers else None

    def to_numbers(self, labels: NDArray[np.generic]) -> NDArray[np.float64]:
        """Convert predicted labels [n] to −1, 0 and 1; raises ModelRejected if a label is not one of the classes."""
        numbers = np.full(len(labels), np.nan)
        for name, number in zip(self.names, self.numbers, strict=True):
            numbers[labels == name] = number
        if np.isnan(numbers).any():
            odd = labels[np.isnan(numbers)][0]
            raise refused("class_foreign", label=str(odd))
        return numbers


def _number_of(name: object) -> float:
    text = str(name).strip().lower()
    if text in _NUMBERS:
        return _NUMBERS[text]
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if number in CLASS_WORDS:
        return number
    raise refused("class_unknown", label=str(name))
