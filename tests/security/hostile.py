"""Build hostile model files, and open them in children without some or any layer."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from src.concurrency.child_process import KillSwitch
from src.domain.errors import ServiceError
from src.domain.model_files import ModelFile
from src.domain.signals import Features
from src.sandbox import outcomes
from src.sandbox.children import Children
from src.sandbox.layers import ALL_LAYERS, Layer
from src.sandbox.memory_files import ReplyTampered
from src.sandbox.tasks import Task

PLAIN_FORMATS = "tests.security.plain_formats"
ROOT = Path(__file__).parents[2]

_PRELUDE = """
import os, sys
def report(what):
    from src.domain.errors import ModelRejected
    raise ModelRejected(f"reports: {what}")
def attempt(action):
    try:
        result = action()
    except BaseException as error:
        report(f"stopped by {type(error).__name__} {getattr(error, 'errno', '')}")
    report(f"got {result!r}"[:200])
"""


class Code:
    """Runs Python source when it is unpickled; `report(…)` and `attempt(action)` return the outcome."""

    def __init__(self, source: str) -> None:
        self._source = _PRELUDE + source

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, (self._source, {"__name__": "hostile"})


def pickle_of(source: str) -> bytes:
    """Return a pickle that runs `source` when loaded."""
    return pickle.dumps(Code(source))


def model_file(path: Path) -> ModelFile:
    return ModelFile(
        path=path,
        user_id="someone",
        original_filename=path.name,
        model_name="model",
        extension=path.suffix,
        size_bytes=path.stat().st_size if path.exists() else 0,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "",
    )


def features(rows: int = 40, columns: int = 2, missing: int = 0) -> Features:
    """Return random features whose first `missing` rows lack every column."""
    values = np.random.default_rng(7).normal(size=(rows, columns))
    values[:missing] = np.nan
    names = tuple(f"column_{index}" for index in range(columns))
    return Features(names=names, values=values)


class Laboratory:
    """Runs hostile code in real children, without the runner's policy: so a layer can be left out."""

    def __init__(self, folder: Path, *, deadline_s: float = 2.0, uses_uids: bool = os.geteuid() == 0) -> None:
        self._folder = folder
        self.children = Children(
            registry=PLAIN_FORMATS,
            source_root=ROOT,
            max_at_once=1,
            deadline_s=deadline_s,
            memory_bytes=1 << 30,
            uses_uids=uses_uids,
        )

    def run(self, source: str, *, without: frozenset[Layer] | set[Layer] = frozenset()) -> str:
        """Return what the code reported, or how the server described its end."""
        model = self._folder / "hostile.pkl"
        model.write_bytes(pickle_of(source))
        layers = ALL_LAYERS - without - (set() if self.children.has_uids else {Layer.UID})
        task = Task(kind="inspect", family="plain", extension=".pkl", layers=layers, model=model)
        try:
            with self.children.slot() as slot:
                outcome = self.children.run(task, slot, KillSwitch())
            outcomes.to_reply(outcome, task, deadline_s=self.children.deadline_s, registry=PLAIN_FORMATS)
        except (ServiceError, ReplyTampered) as error:
            return str(error)
        return "accepted"


@contextmanager
def laboratory(folder: Path) -> Iterator[Laboratory]:
    opened = Laboratory(folder)
    try:
        yield opened
    finally:
        opened.children.close()
