"""What is removed from an image's environment, and what stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SLIM = Path(__file__).parents[3] / "deploy" / "slim.py"


def make_environment(root: Path, *files: str) -> Path:
    for name in ("pyvenv.cfg", *files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1_000_000)
    return root


def slim(environment: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SLIM, environment], capture_output=True, text=True, check=False)


def test_tests_and_installers_go_and_imported_tests_stay(tmp_path: Path) -> None:
    site = "lib/python3.11/site-packages"
    kept = [f"{site}/pandas/core/frame.py", f"{site}/numpy/_core/tests/_natype.py", f"{site}/numpy/testing/__init__.py",
            f"{site}/pyarrow/libarrow.so.2600", f"{site}/jedi/__init__.py"]  # fmt: skip
    gone = [f"{site}/pandas/tests/frame/test_frame.py", f"{site}/pip/__init__.py", f"{site}/jedi/third_party/x.pyi",
            f"{site}/pyarrow/libarrow_flight.so.2600", f"{site}/scipy/stats/_x.pyx"]  # fmt: skip
    environment = make_environment(tmp_path, *kept, *gone)
    done = slim(environment)
    assert done.returncode == 0, done.stderr
    assert [name for name in kept if not (environment / name).exists()] == []
    assert [name for name in gone if (environment / name).exists()] == []
    assert "1.0 MB  tests of the libraries" in done.stdout


def test_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    done = slim(tmp_path)
    assert done.returncode != 0
    assert "ENVIRONMENT" in done.stderr
    assert (tmp_path / "tests").exists()
