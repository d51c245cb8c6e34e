"""Ensure that numba has a writable folder for compiled code; without one our engines cannot even be imported.

`tests/unit/runtime/test_compile_cache.py` shows that failure. A filled folder also saves processor time: a whole
warm-up takes 1.4 s instead of 9.9 s (`python -m tests.start_up compile_cache`).

Import this module before anything that imports numba, which reads `NUMBA_CACHE_DIR` once.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Final

from src.files.temporary_folders import TemporaryFolder

VARIABLE: Final = "NUMBA_CACHE_DIR"

logger = logging.getLogger(__name__)


def ensure_compile_cache(variables: MutableMapping[str, str]) -> TemporaryFolder | None:
    """Point numba to a new temporary folder if the one that it would use is not writable.

    The content of a read-only folder is copied, so that a cache that was shipped filled is still used. numba checks
    every entry against its own version, the processor and the source before it uses it.

    Return the temporary folder; None if numba needs none.
    """
    given = variables.get(VARIABLE)
    if given and _is_writable(Path(given)):
        return None
    if not given and (_is_writable(_users_cache(variables)) or all(map(_is_writable, _caches_beside_the_source()))):
        return None
    # Private to this user, because numba executes code that it reads from the folder.
    temporary = TemporaryFolder("numba-cache")
    folder = temporary.path
    if given:
        with contextlib.suppress(OSError):  # it is missing or unreadable
            shutil.copytree(given, folder, dirs_exist_ok=True)
    variables[VARIABLE] = str(folder)
    logger.warning(
        "compile cache not writable, using a temporary folder: configured=%s folder=%s setting=%s",
        given or "default folders", folder, VARIABLE,
    )  # fmt: skip
    return temporary


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _users_cache(variables: MutableMapping[str, str]) -> Path:
    base = variables.get("XDG_CACHE_HOME") or Path(variables.get("HOME", "/nonexistent")) / ".cache"
    return Path(base) / "numba"


def _caches_beside_the_source() -> Iterator[Path]:
    """Yield the folder of compiled code of each package that has compiled functions."""
    yield Path(__file__).parents[1] / "engines" / "__pycache__"
    vectorbt = importlib.util.find_spec("vectorbt")
    if vectorbt is not None and vectorbt.origin is not None:
        yield Path(vectorbt.origin).parent / "portfolio" / "__pycache__"


_temporary: Final = ensure_compile_cache(os.environ)
"""Kept alive until the process ends."""
