"""Apply the layer LANDLOCK: a child may read the libraries; it may not write, run programs or connect.

The kernel's documentation is userspace-api/landlock.rst. Each version of its ABI can forbid more. This module forbids
all that the running version can forbid, then allows reading the given paths.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from src.sandbox.kernel import syscall
from src.sandbox.layers import Layer, LayerMissing
from src.sandbox.syscalls import find_architecture

_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1

_READ_FILE: Final = 1 << 2
_READ: Final = _READ_FILE | (1 << 3)  # read files, list folders
_WRITE: Final = (1 << 1) | (1 << 7) | (1 << 8)  # write files, make folders, make files
_ACCESS_FS: Final = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15, 9: 1 << 16}
"""File rights by the ABI version that added them: 13 rights, then refer, truncate, ioctl on devices, Unix sockets."""
_ACCESS_NET: Final = {4: (1 << 0) | (1 << 1), 10: (1 << 2) | (1 << 3)}
"""Network rights by ABI version: bind and connect TCP; then bind, and connect or send to, UDP."""
_SCOPED: Final = {6: (1 << 0) | (1 << 1)}
"""Scopes by ABI version: abstract Unix sockets and signals. (ABI 7 and 8 added flags for logs and threads only.)"""

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
"""Files that numeric libraries read to choose their kernels and time zones; nothing in them is secret."""


def read_abi_version() -> int:
    """Return the Landlock ABI version of the running kernel; 0 if it has none."""
    architecture = find_architecture()
    if architecture is None:
        return 0
    try:
        return syscall(architecture["landlock_create_ruleset"], None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        # ENOSYS: kernel before 5.13 or a container's filter; EOPNOTSUPP: built in but not switched on at boot.
        return 0


def list_library_paths(source_root: Path) -> tuple[str, ...]:
    """Return the paths that a child must be able to read: interpreter, libraries and this service's own code.

    `source_root` is the folder that holds `src`. Only `src` is included: the folder may also hold storage and `.env`.
    """
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    places |= {f"{prefix}/{folder}" for prefix in (sys.prefix, sys.base_prefix) for folder in ("lib", "lib64")}
    places |= {str(source_root / "src"), *_SYSTEM_LIBRARIES, *_HARMLESS_FILES}
    return tuple(sorted(place for place in places if Path(place).exists()))


def apply(readable: Iterable[str], writable: Iterable[str] = ()) -> None:
    """Allow this process to read the `readable` files and folders and nothing else; it needs NO_NEW_PRIVS.

    In the `writable` folders it may also create folders and files.

    Raises LayerMissing if the kernel has no Landlock; OSError if one of the paths cannot be opened.
    """
    architecture = find_architecture()
    abi = read_abi_version()
    if architecture is None or abi < 1:
        raise LayerMissing(Layer.LANDLOCK, "the kernel has none (5.13 or later, with landlock in its lsm list)")
    attributes = build_ruleset_attributes(abi)
    ruleset = syscall(architecture["landlock_create_ruleset"], attributes, len(attributes), 0)
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
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _READ_FILE
        # struct landlock_path_beneath_attr, packed: u64 allowed_access; s32 parent_fd.
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place))
        syscall(add_rule, ruleset, _RULE_PATH_BENEATH, rule, 0)
    except OSError as error:
        if error.errno != errno.EBADFD:
            raise
        # The kernel refuses rules for files of internal mounts; such a file stays forbidden.
    finally:
        os.close(place)


def build_ruleset_attributes(abi: int) -> bytes:
    """Return a `struct landlock_ruleset_attr` that forbids all that this version of the ABI can forbid.

    A kernel refuses bits and nonzero fields that it does not know, so the structure holds those of `abi` only.
    """
    masks = [_select_rights(rights, abi) for rights in (_ACCESS_FS, _ACCESS_NET, _SCOPED)]
    fields = 3 if abi >= min(_SCOPED) else 2 if abi >= min(_ACCESS_NET) else 1
    return struct.pack(f"={fields}Q", *masks[:fields])


def _select_rights(rights: Mapping[int, int], abi: int) -> int:
    return sum(bits for version, bits in rights.items() if version <= abi)
