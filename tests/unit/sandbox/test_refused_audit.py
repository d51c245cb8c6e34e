"""A model whose reply is a refusal is not audited: nobody would read the answer."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.concurrency.child_process import KillSwitch
from src.domain.errors import ModelRejected
from src.sandbox import outcomes
from src.sandbox.layers import ALL_LAYERS, Layer
from src.sandbox.tasks import Task
from tests.security.hostile import PLAIN_FORMATS, Laboratory


class ManyNames:
    """Unpickles to a model with a description too long for a reply, which ends the process at its second call."""

    SOURCE = """
import os
class Model:
    names = tuple(f"name_{number:0200}" for number in range(400))
    weights, calls = (1.0,) * 400, 0
    def predict(self, features):
        self.calls += 1
        return features[:, 0] if self.calls == 1 else os.abort()
"""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return eval, (f"(lambda scope: (exec({self.SOURCE!r}, scope), scope['Model']())[1])({{}})",)


def test_refused_description_is_not_followed_by_an_audit(lab: Laboratory, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(ManyNames()))
    names = tuple(f"name_{number:0200}" for number in range(400))
    task = Task(
        kind="predict", family="plain", extension=".pkl", model=path, names=names, values=np.zeros((4, 400)),
        ranges=((0, 4),), audit_seed=3, layers=ALL_LAYERS - (set() if lab.children.has_uids else {Layer.UID}),
    )  # fmt: skip
    with lab.children.slot() as slot:
        outcome = lab.children.run(task, slot, KillSwitch())
    assert outcome.wait_status == 0
    with pytest.raises(ModelRejected, match="Train the model on fewer columns"):
        outcomes.to_reply(outcome, task, deadline_s=2.0, registry=PLAIN_FORMATS)
