"""Models that cannot be opened from memory: archives, and files whose library wants a real path.

A model that is sent as a zip (a SavedModel is a folder) is unpacked by a child too, before another child opens it. The
unpacking child wears every layer, but may make files in one private folder and nowhere else; it runs no code of the
archive's. The folder belongs to the uid of the place that both children take in turn.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from src.concurrency.child_process import KillSwitch
from src.sandbox import outcomes
from src.sandbox.children import Children
from src.sandbox.memory_files import check_content
from src.sandbox.tasks import Task

_ZIP_STARTS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_REAL_FILES: Final = frozenset({".h5"})
"""The HDF5 library resolves the path that it is given, and a memfd has none."""


@contextlib.contextmanager
def laid_out(children: Children, task: Task, slot: int, switch: KillSwitch) -> Iterator[Task]:
    """Give the task to run: `task` itself, or with its model laid out in a folder that exists meanwhile.

    Raises
    ------
    ModelRejected, TimedOut, SandboxUnavailable
        What came of unpacking, as of `outcomes.judge`.
    ContentChanged
        Where the file does not hold what it should.
    """
    model, uid = task.model, children.uid_of(slot)
    if model is not None and task.extension in _REAL_FILES:
        with children.staging.private(uid) as folder:
            copy = folder / f"model{task.extension}"
            shutil.copyfile(model, copy, follow_symlinks=False)
            with copy.open("rb") as file:
                check_content(file.fileno(), task.sha256)
            if uid is not None:
                os.chown(copy, uid, uid)
            yield replace(task, model=None, folder=folder, laid_out=copy)
    elif model is not None and _is_archive(children.registry, model, task.extension):
        with children.staging.private(uid) as folder:
            order = replace(task, kind="unpack", values=None, ranges=(), folder=folder)
            outcome = children.run(order, slot, switch)
            outcomes.judge(outcome, order, deadline_s=children.deadline_s, registry=children.registry)
            found = list(folder.iterdir())
            # A file that was no archive after all is opened as it is.
            yield replace(task, folder=folder, laid_out=found[0]) if found else task
    else:
        yield task


def _is_archive(registry: str, model: Path, extension: str) -> bool:
    if not importlib.import_module(registry).FORMATS[extension].may_be_archive:
        return False
    with model.open("rb") as file:
        return extension == ".zip" or file.read(4) in _ZIP_STARTS
