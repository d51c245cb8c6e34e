"""Unpacking an archive, the first of two children: nothing of the second one's audit holds for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.concurrency.child_process import KillSwitch
from src.domain.errors import ModelRejected, TimedOut
from src.sandbox.archives import lay_out_model
from src.sandbox.layers import ALL_LAYERS
from src.sandbox.tasks import Outcome, Task
from src.sandbox.wire import Status
from tests.security.crafted import zip_of
from tests.security.hostile import PLAIN_FORMATS
from tests.unit.sandbox.test_wire import build_reply


class EndingChildren:
    """Children that report their task as done, and then end as they are told."""

    registry, deadline_s = PLAIN_FORMATS, 1.0

    def __init__(self, folder: Path, wait_status: int | None) -> None:
        self.staging, self.folder, self.wait_status = self, folder, wait_status
        self.tasks: list[Task] = []

    def get_uid(self, slot: int) -> None:
        return None

    @contextmanager
    def private(self, uid: int | None) -> Iterator[Path]:
        yield self.folder

    def run(self, task: Task, slot: int, switch: KillSwitch) -> Outcome:
        self.tasks.append(task)
        return Outcome(wait_status=self.wait_status, reply=build_reply(Status.DONE, {}, [], 0))


def audited(folder: Path) -> Task:
    path = folder / "model.zip"
    path.write_bytes(zip_of({"model.pkl": b"x"}))
    return Task(
        kind="predict", family="plain", extension=".zip", layers=ALL_LAYERS, model=path, names=("a",),
        values=np.zeros((3, 1)), ranges=((0, 3),), audit_seed=5,
    )  # fmt: skip


@pytest.mark.parametrize(("wait_status", "error"), [(None, TimedOut), (9, ModelRejected)])
def test_unpacking_that_does_not_end_well_is_refused(
    wait_status: int | None, error: type[Exception], tmp_path: Path
) -> None:
    """An audited child may crash after its reply; one that unpacks may not."""
    children: Any = EndingChildren(tmp_path, wait_status)
    with pytest.raises(error), lay_out_model(children, audited(tmp_path), 0, KillSwitch()):
        pass
    assert [task.kind for task in children.tasks] == ["unpack"]


def test_model_from_an_archive_is_audited(tmp_path: Path) -> None:
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked" / "model.pkl").write_bytes(b"x")
    task, children = audited(tmp_path), EndingChildren(tmp_path / "unpacked", 0)
    untyped: Any = children
    with lay_out_model(untyped, task, 0, KillSwitch()) as ready:
        assert (ready.kind, ready.audit_seed, ready.ranges) == ("predict", 5, ((0, 3),))
        assert ready.opened_path == tmp_path / "unpacked" / "model.pkl"
