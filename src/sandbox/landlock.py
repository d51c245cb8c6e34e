"""Layer: which files exist for a child (Linux's Landlock). It reads the libraries, and writes, runs, connects nowhere.

The kernel's documentation is userspace-api/landlock.rst. Each version of its ABI can forbid more; all that the
running one can forbid is forbidden, then reading is given back for the paths named.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from src.sandbox.kernel import syscall
from src.sandbox.layers import Layer, LayerMissing
from src.sandbox.syscalls import this_architecture

_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1

_READ_FILE: Final = 1 << 2
_READ: Final = _READ_FILE | (1 << 3)  # and list folders
_WRITE: Final = (1 << 1) | (1 << 7) | (1 << 8)  # write files, make folders, make files
_ACCESS_FS_BY_ABI: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""From which ABI on which file rights are known: 13 at first, then refer, truncate, ioctl on devices."""
_ACCESS_NET: Final = (1 << 0) | (1 << 1)  # bind and connect TCP, ABI 4
_SCOPED: Final = (1 << 0) | (1 << 1)  # abstract Unix sockets and signals, ABI 6

_SYSTEM_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_HARMLESS_FILES: Final = (
    "/dev/null",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/etc/localtime",
    "/usr/share/zoneinfo",
)
"""What numeric libraries look at to choose their kernels and zones; they say nothing about the server or its users."""


def abi_version() -> int:
    """Return the version of Landlock that the running kernel speaks, 0 where it has none."""
    architecture = this_architecture()
    if architecture is None:
        return 0
    try:
        return syscall(architecture["landlock_create_ruleset"], None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        # ENOSYS: kernel before 5.13 or a container's filter; EOPNOTSUPP: built in but not switched on at boot.
        return 0


def library_paths(source_root: Path) -> tuple[str, ...]:
    """Return what a child must be able to read: interpreter, libraries and this service's own code.

    `source_root` is the folder that holds `src`; only `src` is given, for the folder may also hold storage and `.env`.
    """
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    places |= {f"{prefix}/{folder}" for prefix in (sys.prefix, sys.base_prefix) for folder in ("lib", "lib64")}
    places |= {str(source_root / "src"), *_SYSTEM_LIBRARIES, *_HARMLESS_FILES}
    return tuple(sorted(place for place in places if Path(place).exists()))


def apply(readable: Iterable[str], writable: Iterable[str] = ()) -> None:
    """Leave this process only reading, and only of `readable` files and folders; it needs NO_NEW_PRIVS.

    In the `writable` folders it may also make folders and files.

    Raises
    ------
    LayerMissing
        Where the kernel has no Landlock.
    OSError
        Where one of the paths cannot be opened.
    """
    architecture = this_architecture()
    abi = abi_version()
    if architecture is None or abi < 1:
        raise LayerMissing(Layer.LANDLOCK, "the kernel has none (5.13 or later, with landlock in its lsm list)")
    attributes = struct.pack("=QQQ", _file_rights(abi), _ACCESS_NET if abi >= 4 else 0, _SCOPED if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = syscall(architecture["landlock_create_ruleset"], attributes, size, 0)
    try:
        for path in readable:
            _allow(architecture["landlock_add_rule"], ruleset, path, _READ)
        for path in writable:
            _allow(architecture["landlock_add_rule"], ruleset, path, _READ | _WRITE)
        syscall(architecture["landlock_restrict_self"], ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(add_rule: int, ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # what is not there cannot be read either
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _READ_FILE
        # struct landlock_path_beneath_attr, packed: u64 allowed_access; s32 parent_fd.
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place))
        syscall(add_rule, ruleset, _RULE_PATH_BENEATH, rule, 0)
    except OSError as error:
        if error.errno != errno.EBADFD:
            raise
        # A file of an internal mount cannot stand in a rule; it stays forbidden.
    finally:
        os.close(place)


def _file_rights(abi: int) -> int:
    return _ACCESS_FS_BY_ABI[max(version for version in _ACCESS_FS_BY_ABI if version <= abi)]
