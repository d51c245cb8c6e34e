"""What a child is asked, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from src.domain.signals import OutputKind
from src.sandbox.layers import Layer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """What a child is asked: `values` [n, k] are the feature rows, `ranges` those to predict one by one."""

    kind: Literal["inspect", "predict", "unpack", "attack"]
    family: str
    extension: str
    layers: frozenset[Layer]
    model: Path | None = None
    sha256: str | None = None
    """What the model file must hold."""
    names: tuple[str, ...] = ()
    requested: tuple[str, ...] | None = None
    values: NDArray[np.float64] | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    declared: OutputKind | None = None
    folder: Path | None = None
    """The private folder of the child."""
    laid_out: Path | None = None
    """What is opened in the model file's place: a copy of it, or what came out of it."""
    server_files: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many values the answer holds where the task succeeds."""
        return sum(stop - start for start, stop in self.ranges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a child ended: `wait_status` of `os.waitpid`, None where it was killed at its deadline; `answer` unparsed."""

    wait_status: int | None
    answer: bytes
