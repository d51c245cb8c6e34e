"""Find names that were meant as settings and are none, so that a misspelled limit is not silently the default."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from src.settings import Settings

MIN_LIKENESS: Final = 0.82
"""How much like a setting's name (difflib's ratio) a variable of the environment must be to be reported. MODEL_TIMEOUT,
MONGO_URI and MAX_UPLOAD_BYTES (0.83) are; BINANCE_API_KEY (0.80), MODEL_DIR and HOSTNAME belong to other programs."""

OTHERS: Final = ("COMPOSE_", "DOCKER_", "MALLOC_", "MPL", "NUMBA_", "OMP_", "PROMETHEUS_", "PYTHON", "TMPDIR", "TZ")
"""How names begin that belong into `.env` beside ours, because Docker and Compose read the same file."""


def find_unknown_settings(variables: Mapping[str, str], env_file: Path = Path(".env")) -> Iterator[str]:
    """Yield one sentence for each name that is no setting; values, which may be secrets, are not shown.

    Every name in `env_file` is looked at. Of the environment, which holds the names of all other programs too, only
    those much like a setting's.
    """
    known = [name.upper() for name in Settings.model_fields]
    in_file = dotenv_values(env_file, interpolate=False) if env_file.is_file() else {}
    for name in in_file:
        if name.upper() not in known and not name.upper().startswith(OTHERS):
            yield _describe(name, str(env_file), difflib.get_close_matches(name.upper(), known, 1))
    for name in variables:
        alike = difflib.get_close_matches(name.upper(), known, 1, MIN_LIKENESS)
        if alike and name.upper() not in known:
            yield _describe(name, "the environment", alike)


def _describe(name: str, place: str, alike: list[str]) -> str:
    hint = f" Did you mean {alike[0]}?" if alike else ""
    return f"Unknown setting {name!r} in {place} is ignored.{hint}"
