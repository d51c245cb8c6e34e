"""The numbers of system calls by name, for the two architectures that the sandbox supports.

Sources: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux. None: the call does not
exist there (aarch64 has only the `…at` forms).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_NUMBERS: Final[Mapping[str, tuple[int, int | None]]] = {
    "access": (21, None), "add_key": (248, 217), "arch_prctl": (158, None), "bpf": (321, 280),
    "brk": (12, 214), "capget": (125, 90), "capset": (126, 91), "chroot": (161, 51),
    "clock_getres": (229, 114), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "clone": (56, 220),
    "clone3": (435, 435), "close": (3, 57), "close_range": (436, 436), "dup": (32, 23),
    "dup2": (33, None), "dup3": (292, 24), "epoll_create1": (291, 20), "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22), "epoll_wait": (232, None), "eventfd2": (290, 19), "execve": (59, 221),
    "execveat": (322, 281), "exit": (60, 93), "exit_group": (231, 94), "faccessat": (269, 48),
    "faccessat2": (439, 439), "fadvise64": (221, 223), "fchmodat": (268, 53), "fcntl": (72, 25),
    "fork": (57, None), "fstat": (5, 80), "fstatfs": (138, 44), "ftruncate": (77, 46),
    "futex": (202, 98), "getcpu": (309, 168), "getcwd": (79, 17), "getdents64": (217, 61),
    "getegid": (108, 177), "geteuid": (107, 175), "getgid": (104, 176), "getgroups": (115, 158),
    "getpgid": (121, 155), "getpgrp": (111, None), "getpid": (39, 172), "getppid": (110, 173),
    "getrandom": (318, 278), "getresgid": (120, 150), "getresuid": (118, 148), "getrlimit": (97, 163),
    "getrusage": (98, 165), "getsid": (124, 156),
    "gettid": (186, 178), "gettimeofday": (96, 169), "getuid": (102, 174), "io_uring_setup": (425, 425),
    "ioctl": (16, 29), "kcmp": (312, 272), "keyctl": (250, 219), "kill": (62, 129),
    "landlock_add_rule": (445, 445), "landlock_create_ruleset": (444, 444), "landlock_restrict_self": (446, 446),
    "lseek": (8, 62), "lstat": (6, None), "madvise": (28, 233), "membarrier": (324, 283),
    "memfd_create": (319, 279), "mkdir": (83, None), "mkdirat": (258, 34), "mmap": (9, 222), "mount": (165, 40),
    "mprotect": (10, 226), "mq_open": (240, 180), "mremap": (25, 216), "munmap": (11, 215),
    "nanosleep": (35, 101), "newfstatat": (262, 79), "open": (2, None), "open_by_handle_at": (304, 265),
    "openat": (257, 56), "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_open": (434, 434),
    "pipe": (22, None), "pipe2": (293, 59), "poll": (7, None), "ppoll": (271, 73),
    "prctl": (157, 167), "pread64": (17, 67), "preadv": (295, 69), "prlimit64": (302, 261),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pselect6": (270, 72), "ptrace": (101, 117),
    "pwrite64": (18, 68), "read": (0, 63), "readlink": (89, None), "readlinkat": (267, 78),
    "readv": (19, 65), "restart_syscall": (219, 128), "rseq": (334, 293), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sched_getaffinity": (204, 123),
    "sched_setaffinity": (203, 122), "sched_yield": (24, 124), "seccomp": (317, 277), "select": (23, None),
    "set_robust_list": (273, 99), "set_tid_address": (218, 96), "setns": (308, 268), "setuid": (105, 146),
    "shmget": (29, 194), "sigaltstack": (131, 132), "socket": (41, 198), "socketpair": (53, 199),
    "stat": (4, None), "statfs": (137, 43), "statx": (332, 291), "symlinkat": (266, 36),
    "sysinfo": (99, 179), "tgkill": (234, 131), "time": (201, None), "times": (100, 153),
    "uname": (63, 160), "unlinkat": (263, 35), "unshare": (272, 97), "userfaultfd": (323, 282),
    "vfork": (58, None), "write": (1, 64), "writev": (20, 66),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One processor family's ABI: its audit token (uapi/linux/audit.h) and its call numbers."""

    name: str
    audit_token: int
    numbers: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]


def _architecture(name: str, audit_token: int, column: int) -> Architecture:
    numbers = {call: pair[column] for call, pair in _NUMBERS.items()}
    return Architecture(
        name=name,
        audit_token=audit_token,
        numbers={call: number for call, number in numbers.items() if number is not None},
    )


ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "x86_64": _architecture("x86_64", 0xC000003E, 0),
    "aarch64": _architecture("aarch64", 0xC00000B7, 1),
}


def find_architecture() -> Architecture | None:
    """Return the ABI of this machine; None if the sandbox has no table for it."""
    return ARCHITECTURES.get(platform.machine())
