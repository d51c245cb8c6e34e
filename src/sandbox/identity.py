"""Apply the layers SESSION (a session and descriptors of its own) and UID (a user of its own) to a process.

If the server is root, the zygote takes an unused uid. It keeps only the capabilities to give each child another uid
and to kill it when the zygote dies; a child keeps none. If only root may enter the interpreter's folder (a pyenv under
/root), both keep CAP_DAC_READ_SEARCH, the right to read any file: imports need it, and Landlock alone then decides
what is read.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import secrets
import signal
import socket
import stat
import struct
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from src.sandbox.kernel import (
    PR_GET_DUMPABLE,
    PR_GET_PDEATHSIG,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    prctl,
    syscall,
)
from src.sandbox.layers import Layer, LayerMissing
from src.sandbox.syscalls import find_architecture

CAP_DAC_READ_SEARCH: Final = 2
CAP_KILL: Final = 5
CAP_SETGID: Final = 6
CAP_SETUID: Final = 7

FIRST_DESCRIPTOR: Final = 3

_NAMES: Final = {
    CAP_KILL: "CAP_KILL",
    CAP_SETUID: "CAP_SETUID",
    CAP_SETGID: "CAP_SETGID",
    CAP_DAC_READ_SEARCH: "CAP_DAC_READ_SEARCH (the interpreter lies where only root may read)",
}
_LINUX_CAPABILITY_VERSION_3: Final = 0x20080522
_CAPABILITY_RECORDS: Final = struct.Struct("=6I")
"""Effective, permitted, inheritable: capabilities 0 to 31, then the rest."""
_PR_SET_KEEPCAPS: Final = 8
# Below 65536, so that the uids exist in a rootless container's map too; above those that distributions assign (60000).
_MIN_UID: Final = 60_100
_MAX_UID: Final = 64_900


class ReservedUids:
    """Uids that no account and no process of this machine has, and that no other server reserves at the same time.

    Raises LayerMissing if there are fewer than `count`.
    """

    def __init__(self, count: int) -> None:
        locks: list[socket.socket] = []
        self.uids: tuple[int, ...] = ()
        # A finalizer, because an application that is built and never started is never closed.
        self._release = weakref.finalize(self, _close_all, locks)
        taken = {account.pw_uid for account in pwd.getpwall()} | _list_uids_in_use()
        candidates = range(_MIN_UID, _MAX_UID)
        # A random start: other containers use the same uids, but their locks and processes are invisible here.
        first = secrets.randbelow(len(candidates))
        for uid in (*candidates[first:], *candidates[:first]):
            if len(self.uids) == count:
                return
            if uid not in taken and (lock := _lock_uid(uid)) is not None:
                locks.append(lock)
                self.uids += (uid,)
        if len(self.uids) < count:
            self.close()
            raise LayerMissing(Layer.UID, f"no {count} unused uids between {_MIN_UID} and {_MAX_UID}")

    def close(self) -> None:
        """Release the uids; the end of this process does so too."""
        self._release()


def _close_all(locks: Iterable[socket.socket]) -> None:
    for lock in locks:
        lock.close()


def _lock_uid(uid: int) -> socket.socket | None:
    """Return a socket whose name locks a uid; None if another process holds the lock."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0model-sandbox-uid-{uid}")  # an abstract name: no file, and free again when its process is gone
    except OSError:
        lock.close()
        return None
    return lock


def _list_uids_in_use() -> set[int]:
    """Return the uids of all processes; this finds the zygotes of a server in another network namespace too."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            lines = status.read_text().splitlines()
            found |= {int(uid) for line in lines if line.startswith("Uid:") for uid in line.split()[1:]}
    return found


def are_readable_by_others(paths: Iterable[str]) -> bool:
    """Return whether any user may read each of these files and folders."""
    return all(_is_readable_by_others(Path(path).resolve()) for path in paths)


def take_uid(uid: int, *, capabilities: Iterable[int]) -> None:
    """Become user and group `uid`, with no other groups and no capabilities but these.

    Raises LayerMissing if this process may not change its user; nothing has changed then.
    """
    kept = sum(1 << capability for capability in capabilities)
    needed = kept | 1 << CAP_SETUID | 1 << CAP_SETGID
    if needed & ~_permitted_capabilities():
        names = ", ".join(name for bit, name in _NAMES.items() if needed & 1 << bit)
        raise LayerMissing(Layer.UID, f"cannot become uid {uid}: give the server {names}, or do not run it as root")
    try:
        prctl(_PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        _set_capabilities(kept)
    except OSError as error:
        raise LayerMissing(Layer.UID, f"cannot become uid {uid}: {error.strerror}") from error


def drop_capabilities(*, keeping: Iterable[int] = ()) -> None:
    """Give up every capability except `keeping`; a child without its own uid does so."""
    _set_capabilities(_permitted_capabilities() & sum(1 << capability for capability in keeping))


def forbid_inspection() -> None:
    """Hide this process's memory, environment and descriptors from processes of the same user (no ptrace, no /proc).

    The kernel undoes this at each change of user, so call it afterwards.
    """
    prctl(PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    """Give up permanently all rights that running a program could add; seccomp and Landlock require it."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, or end now if the parent is gone already.

    Call it after a change of user. The kernel sends the signal with the parent's rights: a parent with another uid
    needs CAP_KILL.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def dies_with_parent() -> bool:
    number = ctypes.c_int(0)
    prctl(PR_GET_PDEATHSIG, ctypes.addressof(number))
    return number.value == signal.SIGKILL


def is_inspectable() -> bool:
    return prctl(PR_GET_DUMPABLE) != 0


def place_descriptors(descriptors: Sequence[int]) -> None:
    """Move these descriptors to 3, 4, 5 …; close no other descriptor."""
    above = FIRST_DESCRIPTOR + len(descriptors)
    # First move all of them above the targets, so that no move overwrites a descriptor that is still to be moved.
    moved = [_duplicate_above(descriptor, above) for descriptor in descriptors]
    for index, descriptor in enumerate(moved):
        os.dup2(descriptor, FIRST_DESCRIPTOR + index, inheritable=False)
        os.close(descriptor)


def close_descriptors_from(first: int) -> None:
    """Close every descriptor of this process that is `first` or higher."""
    os.closerange(first, 1 << 20)


def _duplicate_above(descriptor: int, lowest: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)


def _permitted_capabilities() -> int:
    records = ctypes.create_string_buffer(_CAPABILITY_RECORDS.size)
    _capability_call("capget", records)
    _, low, _, _, high, _ = _CAPABILITY_RECORDS.unpack(records.raw)
    return int(low | high << 32)


def _set_capabilities(mask: int) -> None:
    low, high = mask & 0xFFFFFFFF, mask >> 32
    _capability_call("capset", ctypes.create_string_buffer(_CAPABILITY_RECORDS.pack(low, low, 0, high, high, 0)))


def _capability_call(name: str, records: ctypes.Array[ctypes.c_char]) -> None:
    architecture = find_architecture()
    if architecture is None:
        raise LayerMissing(Layer.UID, f"no table of system calls for {os.uname().machine}")
    header = ctypes.create_string_buffer(struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0))
    syscall(architecture[name], header, records)


def _is_readable_by_others(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
        if not mode & stat.S_IROTH or (stat.S_ISDIR(mode) and not mode & stat.S_IXOTH):
            return False
        return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)
    except OSError:
        return False
