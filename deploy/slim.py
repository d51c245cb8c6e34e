"""Remove from an environment what the service does not read while it runs: `python deploy/slim.py /opt/venv`.

Used when the image is built. What the libraries import of their own tests stays. It prints what each rule has freed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple


class Rule(NamedTuple):
    """Paths below the environment that nothing reads, as a glob pattern, and why."""

    why: str
    pattern: str


SITE: Final = "lib/python*/site-packages"

RULES: Final = (
    Rule("tests of the libraries", f"{SITE}/**/tests"),
    Rule("tests of the libraries", f"{SITE}/joblib/test"),
    Rule("installers", f"{SITE}/pip"),
    Rule("installers", f"{SITE}/pip-*.dist-info"),
    Rule("installers", f"{SITE}/setuptools"),
    Rule("installers", f"{SITE}/setuptools-*.dist-info"),
    Rule("headers and sources of extensions", f"{SITE}/pyarrow/include"),
    Rule("headers and sources of extensions", f"{SITE}/**/*.pyx"),
    Rule("headers and sources of extensions", f"{SITE}/**/*.pxi"),
    Rule("Arrow's servers and clients", f"{SITE}/pyarrow/libarrow_flight*"),
    Rule("Arrow's servers and clients", f"{SITE}/pyarrow/libarrow_python_flight*"),
    Rule("Arrow's servers and clients", f"{SITE}/pyarrow/_flight*"),
    Rule("completion and widgets of notebooks", f"{SITE}/jedi/third_party"),
    Rule("completion and widgets of notebooks", f"{SITE}/plotly/labextension"),
    Rule("completion and widgets of notebooks", "share/jupyter"),
)

KEPT: Final = ("numpy/_core/tests", "numpy/testing")
"""Folders named like tests that are imported: `numpy.testing` reads `numpy._core.tests._natype`, and scikit-learn reads
`numpy.testing`."""


def slim(environment: Path) -> dict[str, int]:
    """Delete what the rules name; return the bytes that each reason has freed."""
    freed: dict[str, int] = {}
    for rule in RULES:
        for path in list(environment.glob(rule.pattern)):
            if path.exists() and not _is_kept(path):
                freed[rule.why] = freed.get(rule.why, 0) + _delete(path)
    return freed


def _is_kept(path: Path) -> bool:
    return any(path.as_posix().endswith(f"/{kept}") or f"/{kept}/" in path.as_posix() for kept in KEPT)


def _delete(path: Path) -> int:
    """Delete a file or a folder; return the bytes that it took."""
    size = sum(file.lstat().st_size for file in _files(path))
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return size


def _files(path: Path) -> Iterator[Path]:
    return (file for file in path.rglob("*") if not file.is_dir()) if path.is_dir() else iter((path,))


def main() -> None:
    """Slim the environment that the first argument names."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "pyvenv.cfg").is_file():
        sys.exit("Usage: python deploy/slim.py ENVIRONMENT. ENVIRONMENT is the folder of a virtual environment.")
    for why, size in slim(Path(sys.argv[1])).items():
        sys.stdout.write(f"{size / 1e6:7.1f} MB  {why}\n")


if __name__ == "__main__":
    main()
