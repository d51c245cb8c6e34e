"""Which files a child can reach, with Landlock and without."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from src.sandbox import landlock
from src.sandbox.kernel import syscall
from src.sandbox.layers import Layer
from src.sandbox.syscalls import find_architecture
from tests.security.hostile import ROOT, Laboratory

pytestmark = pytest.mark.skipif(landlock.read_abi_version() < 1, reason="this kernel has no Landlock")


def reading(path: Path | str) -> str:
    return f"attempt(lambda: open({str(path)!r}).read()[:20])"


def test_public_file_is_closed_to_child(lab: Laboratory, tmp_path: Path) -> None:
    assert "stopped by PermissionError" in lab.run(reading("/proc/version"))


def test_public_file_is_open_without_landlock(lab: Laboratory) -> None:
    assert "got 'Linux version" in lab.run(reading("/proc/version"), without={Layer.LANDLOCK})


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/self/status", "/etc/passwd", "/etc/hostname"])
def test_system_files_are_closed_to_child(lab: Laboratory, path: str) -> None:
    assert "stopped by PermissionError" in lab.run(reading(path))


def test_environment_of_server_is_closed_to_child(lab: Laboratory) -> None:
    assert "stopped by PermissionError" in lab.run(reading(f"/proc/{os.getpid()}/environ"))


def test_child_cannot_list_folders(lab: Laboratory) -> None:
    assert "stopped by PermissionError" in lab.run("attempt(lambda: os.listdir('/'))")
    assert "got ['" in lab.run("attempt(lambda: os.listdir('/'))", without={Layer.LANDLOCK})


def test_project_is_closed_except_its_code(lab: Laboratory) -> None:
    assert "stopped by PermissionError" in lab.run(reading(ROOT / "pyproject.toml"))
    assert "got" in lab.run(reading(ROOT / "src" / "ports" / "market.py"))


def test_child_can_import_libraries_late(lab: Laboratory) -> None:
    assert "got 'calendar'" in lab.run(
        "import importlib; attempt(lambda: importlib.import_module('calendar').__name__)"
    )


def test_child_without_seccomp_cannot_write(lab: Laboratory) -> None:
    # The uid is left out too, for a folder that anyone may write must stay as it is.
    target = f"/tmp/landlock-test-{os.getpid()}"
    write = f"attempt(lambda: open({target!r}, 'w').name)"
    alone = {Layer.SECCOMP, Layer.UID, Layer.LIMITS}
    assert "stopped by PermissionError" in lab.run(write, without=alone)
    assert not Path(target).exists()
    try:
        assert "got '" in lab.run(write, without=alone | {Layer.LANDLOCK})
    finally:
        Path(target).unlink(missing_ok=True)


def test_child_without_seccomp_cannot_run_programs(lab: Laboratory) -> None:
    run = "attempt(lambda: os.posix_spawn('/bin/true', ['true'], {}))"
    assert "stopped by PermissionError" in lab.run(run, without={Layer.SECCOMP, Layer.LIMITS})


# Linux's include/uapi/linux/landlock.h by version: file rights, network rights, scopes, bytes of the structure. This
# kernel may be older than the newest row, so the masks are compared with the header and not all tried.
BY_ABI = {
    1: (0x1FFF, 0, 0, 8), 2: (0x3FFF, 0, 0, 8), 3: (0x7FFF, 0, 0, 8), 4: (0x7FFF, 3, 0, 16), 5: (0xFFFF, 3, 0, 16),
    6: (0xFFFF, 3, 3, 24), 7: (0xFFFF, 3, 3, 24), 8: (0xFFFF, 3, 3, 24), 9: (0x1FFFF, 3, 3, 24),
    10: (0x1FFFF, 15, 3, 24), 11: (0x1FFFF, 15, 3, 24),
}  # fmt: skip


@pytest.mark.parametrize("abi", BY_ABI)
def test_ruleset_forbids_every_right_of_abi(abi: int) -> None:
    attributes = landlock.build_ruleset_attributes(abi)
    *masks, size = BY_ABI[abi]
    assert len(attributes) == size
    assert list(struct.unpack("=3Q", attributes.ljust(24, b"\0"))) == masks


def ruleset(attributes: bytes) -> int:
    architecture = find_architecture()
    assert architecture is not None
    return syscall(architecture["landlock_create_ruleset"], attributes, len(attributes), 0)


def test_kernel_accepts_rights_of_its_abi_only() -> None:
    abi = landlock.read_abi_version()
    os.close(ruleset(landlock.build_ruleset_attributes(abi)))
    newer = next((version for version in BY_ABI if version > abi and BY_ABI[version] != BY_ABI.get(abi)), None)
    if newer is not None:
        with pytest.raises(OSError, match=r"Invalid argument|Argument list too long"):
            ruleset(landlock.build_ruleset_attributes(newer))


def test_library_paths_exclude_storage_and_settings() -> None:
    paths = landlock.list_library_paths(ROOT)
    assert str(ROOT) not in paths
    assert str(ROOT / "src") in paths
    assert not any(Path(path) == parent for path in paths for parent in ROOT.parents)
