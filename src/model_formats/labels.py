"""What a classifier's classes mean for trading: buy, sell or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import ModelRejected
from src.domain.signals import OutputKind

_WORDS: Final = {
    1.0: ("buy", "long", "up", "bull", "bullish", "true", "yes"),
    0.0: ("hold", "flat", "keep", "neutral", "none", "wait", "false", "no"),
    -1.0: ("sell", "short", "down", "bear", "bearish"),
}
_NUMBERS: Final = {word: number for number, words in _WORDS.items() for word in words}

_ADVICE: Final = "train with classes 0 and 1 (flat, long) or -1, 0 and 1 (sell, keep, buy); as words: " + "; ".join(
    ", ".join(words) for words in _WORDS.values()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLabels:
    """The classes of a model: as it names them, and as −1, 0 or 1, in the order of its probability columns."""

    names: tuple[object, ...]
    numbers: tuple[float, ...]

    @staticmethod
    def of(classes: Sequence[object]) -> ClassLabels:
        """Read the classes of a model.

        Raises
        ------
        ModelRejected
            Where they cannot be told to be buy, sell or neither.
        """
        if not 1 <= len(classes) <= 3:
            raise ModelRejected(f"The model knows {len(classes)} classes; {_ADVICE}.")
        numbers = tuple(_number_of(name) for name in classes)
        if len(set(numbers)) < len(numbers):
            raise ModelRejected(f"Two of the model's classes ({_shown(classes)}) mean the same; {_ADVICE}.")
        return ClassLabels(names=tuple(classes), numbers=numbers)

    def kind(self, *, has_probabilities: bool) -> OutputKind:
        """Return what the model puts out: P(class 1) where it has two classes and probabilities, else its labels."""
        if has_probabilities and len(self.numbers) == 2 and 1.0 in self.numbers:
            return OutputKind.PROBABILITY
        return OutputKind.SIGNED_LABEL if -1.0 in self.numbers else OutputKind.BINARY_LABEL

    @property
    def positive_column(self) -> int | None:
        """The probability column of class 1; None where the model does not know that class."""
        return self.numbers.index(1.0) if 1.0 in self.numbers else None

    def to_numbers(self, labels: NDArray[np.generic]) -> NDArray[np.float64]:
        """Turn predicted labels [n], as the model names them, into −1, 0 and 1.

        Raises
        ------
        ModelRejected
            Where a label is none of the model's own classes.
        """
        numbers = np.full(len(labels), np.nan)
        for name, number in zip(self.names, self.numbers, strict=True):
            numbers[labels == name] = number
        if np.isnan(numbers).any():
            odd = labels[np.isnan(numbers)][0]
            raise ModelRejected(f"The model predicted {str(odd)[:40]!r}, which is none of its classes.")
        return numbers


def _number_of(name: object) -> float:
    text = str(name).strip().lower()
    if text in _NUMBERS:
        return _NUMBERS[text]
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if number in _WORDS:
        return number
    raise ModelRejected(f"The model's class {str(name)[:40]!r} is neither buy, sell nor hold; {_ADVICE}.")


def _shown(classes: Sequence[object]) -> str:
    return ", ".join(str(name)[:40] for name in classes)
