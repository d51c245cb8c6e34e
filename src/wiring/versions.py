"""Name the versions of everything that decides the figures of a backtest."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from src import __version__

PACKAGE: Final = Path(__file__).parents[1]

NUMERIC_LIBRARIES: Final = ("numpy", "numba", "ta-lib", "vectorbt", "vectorbt-rust")
"""The libraries whose versions may decide the last bit of a result."""

RULES: Final = ("domain/annualization.py", "engines", "features", "indicators", "judgement", "metrics", "strategies")
"""The files and folders of this package whose text decides the figures of a backtest."""

CLUSTER_RULES: Final = (*RULES, "domain", "jobs/cluster_rows.py", "sweeps")
"""Those whose text decides what a worker of a cluster computes and can read."""


def versions() -> dict[str, str]:
    """Return the versions of this service, of its rules, of Python and of the libraries that results depend on."""
    libraries = {name: metadata.version(name) for name in NUMERIC_LIBRARIES}
    rules = rules_version(PACKAGE)
    return {"service": __version__, "rules": rules, "python": platform.python_version(), **libraries}


def cluster_version() -> str:
    """Return what members of a cluster must have in common, so that each row has the same bits on all of them."""
    parts = {
        **versions(),
        "machine": platform.machine(),
        "cluster_rules": rules_version(PACKAGE, CLUSTER_RULES),
    }
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:12]


def rules_version(package: Path, names: Sequence[str] = RULES) -> str:
    """Return the first 12 hex digits of the SHA-256 of the rules' source text; it also changes between releases."""
    found = [path for name in names for path in (package.glob(name) if "." in name else (package / name).rglob("*.py"))]
    digest = hashlib.sha256()
    for path in sorted(set(found)):
        digest.update(f"{path.relative_to(package).as_posix()}\n{path.read_text(encoding='utf-8')}\0".encode())
    return digest.hexdigest()[:12]
