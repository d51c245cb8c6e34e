"""Apply the layer SECCOMP: a list of allowed system calls, as a BPF program that the kernel runs before each call.

Threads are allowed. New processes, programs, sockets, signals to others, tracing, namespaces and all calls that are not
listed here fail with EPERM. `clone3` fails with ENOSYS: BPF cannot read its flags, which lie in memory, and glibc then
falls back to `clone`, whose flags BPF can read. A call of a foreign ABI (32-bit, x32) kills the process, because the
numbers below mean other calls there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import Final

from src.sandbox.kernel import (
    PR_GET_DUMPABLE,
    PR_GET_NAME,
    PR_GET_NO_NEW_PRIVS,
    PR_GET_PDEATHSIG,
    PR_SET_NAME,
    syscall,
)
from src.sandbox.layers import Layer, LayerMissing
from src.sandbox.syscalls import Architecture, find_architecture

_FILES: Final = """
    read readv pread64 preadv write writev pwrite64 lseek close close_range dup dup2 dup3 fstat newfstatat stat lstat
    statx access faccessat faccessat2 readlink readlinkat getcwd getdents64 statfs fstatfs fadvise64 ftruncate
"""
_WAITING: Final = "pipe pipe2 eventfd2 epoll_create1 epoll_ctl epoll_wait epoll_pwait poll ppoll select pselect6"
_MEMORY_AND_THREADS: Final = """
    mmap munmap mprotect mremap madvise brk membarrier futex set_robust_list rseq set_tid_address sched_yield
    sched_getaffinity arch_prctl exit exit_group restart_syscall
"""
_CLOCKS_IDENTITY_OWN_SIGNALS: Final = """
    nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getrusage getrlimit getpid gettid
    getppid getresuid getresgid getuid geteuid getgid getegid getgroups getpgrp getpgid getsid uname sysinfo getcpu
    getrandom rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
"""
ALLOWED: Final = frozenset(" ".join((_FILES, _WAITING, _MEMORY_AND_THREADS, _CLOCKS_IDENTITY_OWN_SIGNALS)).split())
"""Calls that are allowed with any arguments."""

CLONE_THREAD: Final = 0x00010000
_CLONE_FORBIDDEN: Final = (
    0x00002000  # PTRACE
    | 0x00004000  # VFORK
    | 0x00020000  # NEWNS
    | 0x02000000  # NEWCGROUP
    | 0x04000000  # NEWUTS
    | 0x08000000  # NEWIPC
    | 0x10000000  # NEWUSER
    | 0x20000000  # NEWPID
    | 0x40000000  # NEWNET
)
_OPEN_FOR_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | 0o20000000  # __O_TMPFILE
_PR_SET_VMA: Final = 0x53564D41  # glibc and Python use it to name their memory areas
_PRCTL_OPTIONS: Final = (PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_GET_NO_NEW_PRIVS, _PR_SET_VMA)
# F_DUPFD…F_SETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS; not F_SETOWN or F_SETSIG, which signal other processes.
_FCNTL_COMMANDS: Final = (0, 1, 2, 3, 4, 1030, 1033, 1034)
# TCGETS (isatty), FIONREAD, FIONCLEX, FIOCLEX; not TIOCSTI, which types into a terminal.
_IOCTL_REQUESTS: Final = (0x5401, 0x541B, 0x5450, 0x5451)

_RET_KILL_PROCESS: Final = 0x80000000
_RET_ERRNO: Final = 0x00050000
_RET_ALLOW: Final = 0x7FFF0000
_X32_BIT: Final = 0x40000000
_SECCOMP_SET_MODE_FILTER: Final = 1

# linux/bpf_common.h: class | size or operation | mode or source.
_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_JUMP_ABOVE: Final = 0x25
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]; both architectures are little-endian.
_NUMBER_OFFSET: Final = 0
_ARCH_OFFSET: Final = 4

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false (both counted from the next instruction), operand."""


def build_filter(architecture: Architecture, own_pid: int, *, may_write: bool = False) -> list[Instruction]:
    """Build the filter for one process, which may signal only `own_pid`.

    With `may_write` it may also create folders and files, as far as Landlock allows.
    """
    number = architecture.numbers
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH_OFFSET),
        (_JUMP_EQUAL, 1, 0, architecture.audit_token),
        (_RETURN, 0, 0, _RET_KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    if architecture.name == "x86_64":
        code += [(_JUMP_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _RET_KILL_PROCESS)]
    allowed = ALLOWED | {"open", "openat", "mkdir", "mkdirat"} if may_write else ALLOWED
    for first, last in _ranges(sorted(number[name] for name in allowed if name in number)):
        code += [(_JUMP_AT_LEAST, 0, 2, first), (_JUMP_ABOVE, 1, 0, last), (_RETURN, 0, 0, _RET_ALLOW)]
    code += _only_if(number["clone"], _without(0, _CLONE_FORBIDDEN) + _with(0, CLONE_THREAD))
    code += _only_if(number["openat"], _without(2, _OPEN_FOR_WRITING))
    if "open" in number:
        code += _only_if(number["open"], _without(1, _OPEN_FOR_WRITING))
    code += _only_if(number["prctl"], _among(0, _PRCTL_OPTIONS))
    code += _only_if(number["fcntl"], _among(1, _FCNTL_COMMANDS))
    code += _only_if(number["ioctl"], _among(1, _IOCTL_REQUESTS))
    code += _only_if(number["tgkill"], _among(0, (own_pid,)))
    # A process may read its own limits: pid 0, and no new value (a 64-bit address, hence two words).
    code += _only_if(number["prlimit64"], _among(0, (0,)) + _among(2, (0,)) + _among(2, (0,), high_word=True))
    code += [
        (_JUMP_EQUAL, 0, 1, number["clone3"]),
        (_RETURN, 0, 0, _RET_ERRNO | errno.ENOSYS),
        (_RETURN, 0, 0, _RET_ERRNO | errno.EPERM),
    ]
    return code


def apply(*, may_write: bool = False) -> None:
    """Install the filter in this process permanently; it needs NO_NEW_PRIVS, and must be the last layer.

    Raises LayerMissing if the architecture has no table here or the kernel has no seccomp filters.
    """
    architecture = find_architecture()
    if architecture is None:
        raise LayerMissing(Layer.SECCOMP, f"no table of system calls for {os.uname().machine}")
    code = build_filter(architecture, os.getpid(), may_write=may_write)
    packed = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *instruction) for instruction in code))
    # struct sock_fprog: unsigned short len; struct sock_filter *filter.
    header = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(packed)))
    try:
        syscall(architecture["seccomp"], _SECCOMP_SET_MODE_FILTER, 0, header)
    except OSError as error:
        raise LayerMissing(Layer.SECCOMP, f"the kernel refuses the filter ({error.strerror})") from error


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    start = previous = numbers[0]
    for number in numbers[1:]:
        if number != previous + 1:
            yield start, previous
            start = number
        previous = number
    yield start, previous


def _only_if(number: int, conditions: list[Instruction]) -> list[Instruction]:
    """Allow call `number` if no condition returns first; the accumulator holds the call's number."""
    body = [*conditions, (_RETURN, 0, 0, _RET_ALLOW)]
    return [(_JUMP_EQUAL, 0, len(body), number), *body]


def _without(argument: int, bits: int) -> list[Instruction]:
    return [_load_argument(argument), (_JUMP_ANY_BIT, 0, 1, bits), (_RETURN, 0, 0, _RET_ERRNO | errno.EPERM)]


def _with(argument: int, bits: int) -> list[Instruction]:
    return [_load_argument(argument), (_JUMP_ANY_BIT, 1, 0, bits), (_RETURN, 0, 0, _RET_ERRNO | errno.EPERM)]


def _among(argument: int, values: tuple[int, ...], *, high_word: bool = False) -> list[Instruction]:
    last = len(values) - 1
    tests = [(_JUMP_EQUAL, last - index + 1, 0, value) for index, value in enumerate(values)]
    return [_load_argument(argument, high_word=high_word), *tests, (_RETURN, 0, 0, _RET_ERRNO | errno.EPERM)]


def _load_argument(index: int, *, high_word: bool = False) -> Instruction:
    return (_LOAD, 0, 0, 16 + 8 * index + (4 if high_word else 0))
