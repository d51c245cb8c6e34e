"""Give a child a path to its model: a link to its memfd or, if the model must lie on disk, a private folder.

Libraries need a path, and Keras one with the right suffix. One folder of symbolic links, `model.onnx → /proc/self/fd/3`
and so on, serves every child, as each sees its own descriptor behind the same link. Unpacked archives, and HDF5 files,
whose library resolves links, must lie on disk: they go into a private folder, removed when the child ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from src.files.temporary_folders import TemporaryFolder
from src.sandbox.memory_files import MODEL_DESCRIPTOR


class StagingFolder:
    """One server's folder for its children, in the machine's temporary folder; removed when the server ends."""

    def __init__(self, suffixes: Iterable[str]) -> None:
        self._temporary = TemporaryFolder("models")
        self._folder = self._temporary.path
        # Children with another uid may enter the folder but not list it.
        self._folder.chmod(0o711)
        for suffix in suffixes:
            self.link(suffix).symlink_to(f"/proc/self/fd/{MODEL_DESCRIPTOR}")

    def link(self, suffix: str) -> Path:
        """Return the path under which a child opens the model in its memfd."""
        return self._folder / f"model{suffix}"

    @contextlib.contextmanager
    def private(self, uid: int | None) -> Iterator[Path]:
        """Yield an empty folder that only `uid` (None: the server's) and root may enter, and remove it afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="private-", dir=self._folder))
        try:
            if uid is not None:
                os.chown(folder, uid, uid)
            yield folder
        finally:
            shutil.rmtree(folder)

    def close(self) -> None:
        self._temporary.close()
