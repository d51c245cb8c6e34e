"""Attack the sandbox from inside a child at start: each attack tries what one layer must prevent.

An attack returns its effect, or None if it was stopped. An attack that succeeds changes nothing on the machine.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from src.sandbox import identity, limits
from src.sandbox.kernel import Argument, syscall
from src.sandbox.layers import Layer
from src.sandbox.memory_files import REPLY_DESCRIPTOR
from src.sandbox.syscalls import find_architecture
from src.sandbox.wire import ChildTask

SERVER_FILE: Final = "server file"
"""Name of the attacks that read a file which only the server's user may read."""

_CLONE_NEWUSER: Final = 0x10000000
_SMALL_STACK_BYTES: Final = 64 * 1024
_FORBIDDEN_CALLS: Final[tuple[tuple[str, tuple[Argument, ...]], ...]] = (
    # With these arguments a call that the filter lets through fails with another error, or does no harm.
    ("socket", (2, 1, 0)),  # Internet, stream
    ("socket", (1, 1, 0)),  # Unix, stream
    ("socket", (16, 3, 0)),  # netlink
    ("socketpair", (1, 1, 0, None)),
    ("execve", (None, None, None)),
    ("execveat", (-1, None, None, None, 0)),
    ("ptrace", (0xFFFF, 0, 0, 0)),
    ("unshare", (_CLONE_NEWUSER,)),
    ("setns", (-1, 0)),
    ("mount", (None, None, None, 0, None)),
    ("chroot", (None,)),
    ("io_uring_setup", (1, None)),
    ("memfd_create", (None, 0)),
    ("keyctl", (0, -1, 0)),
    ("add_key", (None, None, None, 0, 0)),
    ("bpf", (-1, None, 0)),
    ("userfaultfd", (-1,)),
    ("process_vm_readv", (-1, None, 0, None, 0, 0)),
    ("process_vm_writev", (-1, None, 0, None, 0, 0)),
    ("pidfd_open", (1, 0)),
    ("perf_event_open", (None, 0, 0, -1, 0)),
    ("open_by_handle_at", (-1, None, 0)),
    ("kcmp", (1, 1, 0, 0, 0)),
    ("personality", (0xFFFFFFFF,)),
    ("shmget", (0, 4096, 0)),
    ("mq_open", (None, 0, 0, None)),
    ("seccomp", (0xFFFF, 0, None)),
    ("setuid", (0,)),
    ("capset", (None, None)),
    ("symlinkat", (None, -1, None)),
    ("mkdirat", (-1, None, 0)),
    ("unlinkat", (-1, None, 0)),
    ("fchmodat", (-1, None, 0)),
    ("sched_setaffinity", (1, 0, None)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """An attack that had an effect."""

    attack: str
    layer: Layer
    effect: str

    def __str__(self) -> str:
        return f"{self.attack} ({self.layer.value}): {self.effect}"


def run_all(task: ChildTask) -> list[Breach]:
    """Run every attack on the layers of this process."""
    return [
        Breach(attack=name, layer=layer, effect=effect)
        for name, layer, attack in _attacks(task)
        if (effect := attack()) is not None
    ]


def self_test(task: ChildTask) -> list[Breach]:
    """Run one attack for each layer that this process claims to have; every child does so before it opens a model."""
    quick = {
        Layer.SESSION: ("inspection", _inspection),
        Layer.LIMITS: ("limits", lambda: _unmet_limits(task)),
        Layer.UID: ("user", lambda: _user(task)),
        Layer.LANDLOCK: ("public file", _public_file),
        Layer.SECCOMP: ("socket", lambda: _forbidden_call("socket", (2, 1, 0))),
    }
    return [
        Breach(attack=quick[layer][0], layer=layer, effect=effect)
        for layer in task.layers
        if (effect := quick[layer][1]()) is not None
    ]


def _attacks(task: ChildTask) -> Iterator[tuple[str, Layer, Callable[[], str | None]]]:
    yield "inspection", Layer.SESSION, _inspection
    yield "session", Layer.SESSION, lambda: None if os.getsid(0) == os.getpid() else "is in the zygote's session"
    yield "orphan", Layer.SESSION, lambda: None if identity.dies_with_parent() else "outlives the zygote"
    yield "descriptors", Layer.SESSION, _foreign_descriptors
    yield "limits", Layer.LIMITS, lambda: _unmet_limits(task)
    yield "memory", Layer.LIMITS, lambda: _too_much_memory(task)
    if task.uid is not None:
        yield "user", Layer.UID, lambda: _user(task)
    yield "public file", Layer.LANDLOCK, _public_file
    yield "folder", Layer.LANDLOCK, _root_folder
    for path in task.server_files:
        yield SERVER_FILE, Layer.LANDLOCK, partial(_opened, path)
    yield "signal", Layer.SECCOMP, _signal
    yield "process", Layer.SECCOMP, _process
    yield "clone3", Layer.SECCOMP, lambda: _forbidden_call("clone3", (None, 0), errno.ENOSYS)
    yield "file for writing", Layer.SECCOMP, _file_for_writing
    for name, arguments in _FORBIDDEN_CALLS:
        yield name, Layer.SECCOMP, partial(_forbidden_call, name, arguments)
    # Last, because forking with threads is unsafe. The kernel does not bound root's threads, so for root the uid layer
    # must.
    yield "threads", Layer.LIMITS if os.geteuid() else Layer.UID, lambda: _too_many_threads(task)


def _inspection() -> str | None:
    return "others of the same user may inspect it" if identity.is_inspectable() else None


def _foreign_descriptors() -> str | None:
    def is_open(descriptor: int) -> bool:
        try:
            fcntl.fcntl(descriptor, fcntl.F_GETFD)
        except OSError:
            return False
        return True

    found = [descriptor for descriptor in range(REPLY_DESCRIPTOR + 1, 256) if is_open(descriptor)]
    return f"has descriptors {found}" if found else None


def _unmet_limits(task: ChildTask) -> str | None:
    return "; ".join(limits.list_unmet(task.limits, has_own_uid=Layer.UID in task.layers)) or None


def _too_much_memory(task: ChildTask) -> str | None:
    try:
        mmap.mmap(-1, task.limits.memory_bytes).close()
    except (OSError, ValueError):
        return None
    return f"maps more than {task.limits.memory_bytes} bytes"


def _too_many_threads(task: ChildTask) -> str | None:
    most = task.limits.threads + limits.TASK_COUNT_STEP
    started, is_over = 0, threading.Event()
    threading.stack_size(_SMALL_STACK_BYTES)
    try:
        while started <= most:
            threading.Thread(target=is_over.wait, daemon=True).start()
            started += 1
    except RuntimeError:
        return None
    finally:
        is_over.set()
        threading.stack_size(0)
    return f"starts more than {most} threads"


def _user(task: ChildTask) -> str | None:
    users = {*os.getresuid(), *os.getresgid()}
    return None if users == {task.uid} else f"has the users and groups {sorted(users)}"


def _public_file() -> str | None:
    return _opened("/proc/version")


def _opened(path: str) -> str | None:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return None
    return f"reads {Path(path).name}"


def _root_folder() -> str | None:
    try:
        os.listdir("/")  # noqa: PTH208 - the attack is the call itself
    except OSError:
        return None
    return "lists the root folder"


def _file_for_writing() -> str | None:
    try:
        os.close(os.open("/dev/null", os.O_WRONLY))
    except OSError:
        return None
    return "opens a file for writing"


def _signal() -> str | None:
    try:
        os.kill(os.getppid(), 0)
    except PermissionError as error:
        return None if error.errno == errno.EPERM else str(error)
    return "may signal the zygote"


def _process() -> str | None:
    architecture = find_architecture()
    if architecture is None:
        return None
    try:
        pid = syscall(architecture["clone"], signal.SIGCHLD, 0, 0, 0, 0)
    except OSError:
        return None
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "starts processes"


def _forbidden_call(name: str, arguments: tuple[Argument, ...], expected: int = errno.EPERM) -> str | None:
    architecture = find_architecture()
    if architecture is None:
        return None
    try:
        result = syscall(architecture[name], *arguments)
    except OSError as error:
        return None if error.errno == expected else f"{name} gets through ({error.strerror})"
    if name in {"socket", "io_uring_setup", "userfaultfd", "memfd_create", "pidfd_open"}:
        os.close(result)
    return f"{name} succeeds"
