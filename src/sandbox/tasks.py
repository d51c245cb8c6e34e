"""The task of a child, and how the child ended."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from src.domain.signals import OutputKind
from src.observing.meters import ChildEnd
from src.sandbox.layers import Layer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """What a child is to do: `values` [n, k] are the feature rows; each of `ranges` is predicted by itself."""

    kind: Literal["inspect", "predict", "unpack", "attack"]
    family: str
    extension: str
    layers: frozenset[Layer]
    model: Path | None = None
    sha256: str | None = None
    """The hash that the model file must have."""
    names: tuple[str, ...] = ()
    requested: tuple[str, ...] | None = None
    values: NDArray[np.float64] | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    audit_seed: int | None = None
    """Seed of the order in which the one range is then predicted again; None for no audit."""
    declared: OutputKind | None = None
    folder: Path | None = None
    """The private folder of the child."""
    opened_path: Path | None = None
    """The path that is opened instead of the model file: a copy of it, or its unpacked content."""
    server_files: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many values the reply holds if the task succeeds."""
        return sum(stop - start for start, stop in self.ranges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a child ended: `wait_status` of `os.waitpid`, None if it was killed at its deadline; `reply` unparsed."""

    wait_status: int | None
    reply: bytes

    @property
    def end(self) -> ChildEnd:
        """How the process ended, for meters; a reply says nothing about it."""
        if self.wait_status is None:
            return ChildEnd.DEADLINE
        if os.WIFSIGNALED(self.wait_status):
            return ChildEnd.SIGNAL
        return ChildEnd.REPLIED if self.wait_status == 0 else ChildEnd.EXITED
