from __future__ import annotations

import logging
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from src.runtime.compile_cache import VARIABLE, ensure_compile_cache

ROOT = Path(__file__).parents[3]


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A folder that nobody can write to, not even root: a file stands where its parent should be."""
    (tmp_path / "file").write_bytes(b"")
    return tmp_path / "file" / "cache"


def test_writable_folder_is_used(tmp_path: Path) -> None:
    variables = {VARIABLE: str(tmp_path / "new" / "cache")}
    assert ensure_compile_cache(variables) is None
    assert variables == {VARIABLE: str(tmp_path / "new" / "cache")}


def test_writable_default_folder_gives_no_warning(tmp_path: Path) -> None:
    variables = {"HOME": str(tmp_path)}
    assert ensure_compile_cache(variables) is None
    assert VARIABLE not in variables


def test_unwritable_folder_is_replaced_by_private_one(unwritable: Path, caplog: pytest.LogCaptureFixture) -> None:
    variables = {VARIABLE: str(unwritable)}
    with caplog.at_level(logging.WARNING):
        temporary = ensure_compile_cache(variables)
    assert temporary is not None
    folder = temporary.path
    assert variables[VARIABLE] == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert str(unwritable) in caplog.text
    assert VARIABLE in caplog.text
    temporary.close()
    assert not folder.exists()


def test_content_of_read_only_folder_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "loop.nbi").write_bytes(b"compiled")
    monkeypatch.setattr("src.runtime.compile_cache._is_writable", lambda folder: False)
    temporary = ensure_compile_cache({VARIABLE: str(tmp_path)})
    assert temporary is not None
    assert (temporary.path / "engine" / "loop.nbi").read_bytes() == b"compiled"


def test_service_imports_without_writable_folder(unwritable: Path) -> None:
    program = "import src.backtest_API, os; print(os.environ['NUMBA_CACHE_DIR'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={VARIABLE: str(unwritable), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "numba-cache-" in done.stdout
    assert not Path(done.stdout.strip()).exists()
    assert "compile cache not writable" in done.stderr
