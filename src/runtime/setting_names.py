"""Find misspelled settings, so that a misspelled limit does not silently become the default."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from src.settings import Settings

MIN_LIKENESS: Final = 0.82
"""Minimum similarity to a setting's name (difflib's ratio) for a report about an environment variable. MODEL_TIMEOUT,
MONGO_URI and MAX_UPLOAD_BYTES (0.83) reach it; BINANCE_API_KEY (0.80), MODEL_DIR and HOSTNAME do not."""

OTHERS: Final = (
    "COMPOSE_",
    "DOCKER_",
    "MALLOC_",
    "MONGO_PASSWORD",
    "MPL",
    "NUMBA_",
    "OMP_",
    "OTEL_",
    "PROMETHEUS_",
    "PYTHON",
    "TMPDIR",
    "TZ",
)
"""Prefixes of other programs' names that may be in `.env`, because Docker and Compose read the same file."""


def find_unknown_settings(variables: Mapping[str, str], env_file: Path = Path(".env")) -> Iterator[str]:
    """Yield a sentence for each name that is no setting, without its value, which may be a secret.

    In `env_file` every unknown name is reported; of the environment, which all programs share, only those similar to a
    setting's name.
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
