"""Put model files on disk if they cannot be opened from memory: archives, and HDF5 files, which need a real path.

An archive (a SavedModel is a folder, sent as a zip) is unpacked by one child before another child opens the model. The
unpacking child has every layer, may create files in one private folder only, and runs no code of the archive. Both
children use the same slot and so the same uid, which owns the folder.
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
"""Extensions that need a file on disk: the HDF5 library resolves the path, and a memfd has none."""


@contextlib.contextmanager
def lay_out_model(children: Children, task: Task, slot: int, switch: KillSwitch) -> Iterator[Task]:
    """Yield the task to run: `task` itself, or a copy whose model lies in a folder that exists until the context ends.

    Raises ContentChanged if the file has another SHA-256 than the task; the errors of `outcomes.to_reply` if unpacking
    fails.
    """
    model, uid = task.model, children.get_uid(slot)
    if model is not None and task.extension in _REAL_FILES:
        with children.staging.private(uid) as folder:
            copy = folder / f"model{task.extension}"
            shutil.copyfile(model, copy, follow_symlinks=False)
            with copy.open("rb") as file:
                check_content(file.fileno(), task.sha256)
            if uid is not None:
                os.chown(copy, uid, uid)
            yield replace(task, model=None, folder=folder, opened_path=copy)
    elif model is not None and _is_archive(children.registry, model, task.extension):
        with children.staging.private(uid) as folder:
            order = replace(task, kind="unpack", values=None, ranges=(), audit_seed=None, folder=folder)
            outcome = children.run(order, slot, switch)
            outcomes.to_reply(outcome, order, deadline_s=children.deadline_s, registry=children.registry)
            found = list(folder.iterdir())
            # The child writes nothing if the file is not an archive; the file is then opened as it is.
            yield replace(task, folder=folder, opened_path=found[0]) if found else task
    else:
        yield task


def _is_archive(registry: str, model: Path, extension: str) -> bool:
    if not importlib.import_module(registry).FORMATS[extension].may_be_archive:
        return False
    with model.open("rb") as file:
        return extension == ".zip" or file.read(4) in _ZIP_STARTS
