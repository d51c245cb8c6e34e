"""Where compiled code is kept: numba does not even import our engines if it finds no folder that it may write to.

This is no saving but a condition: without it `tests/unit/runtime/test_compile_cache.py` shows that the service does not
import. A filled one saves processor time as well: 1.4 s for a whole warm-up against 9.9 s with an empty
one (`python -m tests.start_up compile_cache`).

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
    """Point numba to a new temporary folder where the one that it would use cannot be written to.

    What a read-only folder already holds is copied, so that a cache that was shipped filled still saves its seconds.
    numba checks every entry against its own version, the processor and the source before it uses it.

    Returns
    -------
    The temporary folder; None where numba finds a place by itself.
    """
    given = variables.get(VARIABLE)
    if given and _is_writable(Path(given)):
        return None
    if not given and (_is_writable(_users_cache(variables)) or all(map(_is_writable, _caches_beside_the_source()))):
        return None
    # Private to this user, because what is read from it is executed.
    temporary = TemporaryFolder("numba-cache")
    folder = temporary.path
    if given:
        with contextlib.suppress(OSError):  # an unreadable or missing one has nothing to give
            shutil.copytree(given, folder, dirs_exist_ok=True)
    variables[VARIABLE] = str(folder)
    logger.warning(
        "compiled code cannot be kept in %s; this run keeps it in %s. Set %s to a folder that can be written to.",
        given or "the usual places", folder, VARIABLE,
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
    """Yield the folder of compiled code of each package that has functions to be cached."""
    yield Path(__file__).parents[1] / "engines" / "__pycache__"
    vectorbt = importlib.util.find_spec("vectorbt")
    if vectorbt is not None and vectorbt.origin is not None:
        yield Path(vectorbt.origin).parent / "portfolio" / "__pycache__"


_temporary: Final = ensure_compile_cache(os.environ)
"""Lives as long as the process."""
