"""The filter's verdicts on both architectures, read by a small interpreter of BPF, and its effect on a real child."""

from __future__ import annotations

import errno
import os
import platform
import signal
import socket

import pytest

from src.sandbox import seccomp
from src.sandbox.layers import Layer
from src.sandbox.syscalls import ARCHITECTURES, Architecture
from tests.security.hostile import Laboratory

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
OWN_PID = 4242


def verdict(program: list[seccomp.Instruction], token: int, number: int, *arguments: int) -> int:
    """Run a program as the kernel does, on little-endian `struct seccomp_data`."""
    memory = number.to_bytes(4, "little") + token.to_bytes(4, "little") + bytes(8)
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    memory += b"".join((value & (1 << 64) - 1).to_bytes(8, "little") for value in padded)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            accumulator = int.from_bytes(memory[operand : operand + 4], "little")
        elif code == 0x06:
            return operand
        else:
            holds = {
                0x15: accumulator == operand,
                0x35: accumulator >= operand,
                0x25: accumulator > operand,
                0x45: bool(accumulator & operand),
            }[code]
            at += if_true if holds else if_false


@pytest.fixture(params=sorted(ARCHITECTURES))
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return ARCHITECTURES[request.param]


def ask(architecture: Architecture, name: str, *arguments: int, may_write: bool = False) -> int:
    program = seccomp.build_filter(architecture, OWN_PID, may_write=may_write)
    return verdict(program, architecture.audit_token, architecture[name], *arguments)


def test_filter_allows_exactly_listed_calls(architecture: Architecture) -> None:
    conditional = {"clone", "clone3", "openat", "open", "prctl", "fcntl", "ioctl", "tgkill", "prlimit64"}
    program = seccomp.build_filter(architecture, OWN_PID)
    allowed = {architecture[name] for name in seccomp.ALLOWED if name in architecture.numbers}
    decided_by_arguments = {architecture[name] for name in conditional if name in architecture.numbers}
    for number in set(range(1024)) - decided_by_arguments:
        expected = ALLOW if number in allowed else EPERM
        assert verdict(program, architecture.audit_token, number) == expected, number


@pytest.mark.parametrize("name", ["execve", "socket", "ptrace", "io_uring_setup", "unshare", "keyctl", "bpf", "kill"])
def test_filter_refuses_calls_no_model_needs(architecture: Architecture, name: str) -> None:
    assert name not in seccomp.ALLOWED
    assert ask(architecture, name) == EPERM


def test_clone_allows_threads_only(architecture: Architecture) -> None:
    pthread = 0x003D0F00  # what glibc's pthread_create passes
    assert ask(architecture, "clone", pthread) == ALLOW
    assert ask(architecture, "clone", signal.SIGCHLD) == EPERM
    for namespace in (0x00020000, 0x10000000, 0x20000000, 0x40000000):
        assert ask(architecture, "clone", pthread | namespace) == EPERM
    assert ask(architecture, "clone3") == ENOSYS


def test_open_allows_reading_only(architecture: Architecture) -> None:
    assert ask(architecture, "openat", -100, 0, os.O_RDONLY | os.O_CLOEXEC) == ALLOW
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE):
        assert ask(architecture, "openat", -100, 0, flags) == EPERM
        assert ask(architecture, "openat", -100, 0, flags, may_write=True) == ALLOW
    if "open" in architecture.numbers:
        assert ask(architecture, "open", 0, os.O_WRONLY) == EPERM


def test_tgkill_allows_own_process_only(architecture: Architecture) -> None:
    assert ask(architecture, "tgkill", OWN_PID, 1, signal.SIGABRT) == ALLOW
    assert ask(architecture, "tgkill", OWN_PID + 1, 1, signal.SIGABRT) == EPERM


def test_prlimit_allows_reading_only(architecture: Architecture) -> None:
    assert ask(architecture, "prlimit64", 0, 7, 0, 1) == ALLOW
    assert ask(architecture, "prlimit64", 0, 7, 0xDEAD, 1) == EPERM
    assert ask(architecture, "prlimit64", 0, 7, 0xDEAD << 32, 1) == EPERM
    assert ask(architecture, "prlimit64", 17, 7, 0, 1) == EPERM


def test_prctl_fcntl_ioctl_allow_listed_options_only(architecture: Architecture) -> None:
    assert ask(architecture, "prctl", 15) == ALLOW  # PR_SET_NAME
    assert ask(architecture, "prctl", 1) == EPERM  # PR_SET_PDEATHSIG: would outlive the zygote
    assert ask(architecture, "prctl", 4) == EPERM  # PR_SET_DUMPABLE
    assert ask(architecture, "fcntl", 3, 1030) == ALLOW  # F_DUPFD_CLOEXEC
    assert ask(architecture, "fcntl", 3, 8) == EPERM  # F_SETOWN
    assert ask(architecture, "ioctl", 0, 0x5401) == ALLOW  # TCGETS
    assert ask(architecture, "ioctl", 0, 0x5412) == EPERM  # TIOCSTI


def test_call_of_foreign_abi_is_killed(architecture: Architecture) -> None:
    program = seccomp.build_filter(architecture, OWN_PID)
    for token in {0x40000003, 0x40000028, 0xC000003E, 0xC00000B7} - {architecture.audit_token}:
        assert verdict(program, token, 1) == KILL


def test_call_of_x32_abi_is_killed() -> None:
    assert verdict(seccomp.build_filter(ARCHITECTURES["x86_64"], OWN_PID), 0xC000003E, 0x40000001) == KILL


def test_call_numbers_agree_with_python_here() -> None:
    architecture = ARCHITECTURES.get(platform.machine())
    assert architecture is not None
    from src.sandbox.kernel import syscall

    assert syscall(architecture["getpid"]) == os.getpid()
    assert syscall(architecture["getuid"]) == os.getuid()


SOCKETS = {
    "internet": (socket.AF_INET, socket.SOCK_STREAM, 0),
    "datagram": (socket.AF_INET6, socket.SOCK_DGRAM, 0),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM, 0),
    "netlink": (socket.AF_NETLINK, socket.SOCK_RAW, 0),
}


@pytest.mark.parametrize("kind", SOCKETS)
def test_child_cannot_open_socket(lab: Laboratory, kind: str) -> None:
    source = f"import socket; attempt(lambda: socket.socket(*{tuple(int(part) for part in SOCKETS[kind])}).family)"
    assert "stopped by PermissionError 1" in lab.run(source)
    assert "reports: got" in lab.run(source, without={Layer.SECCOMP})


def test_child_cannot_start_process(lab: Laboratory) -> None:
    source = """
def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "forked"
attempt(fork)
"""
    assert "stopped by PermissionError 1" in lab.run(source)
    assert "got 'forked'" in lab.run(source, without={Layer.SECCOMP})


def test_child_can_start_threads(lab: Laboratory) -> None:
    source = """
import threading
found = []
thread = threading.Thread(target=lambda: found.append(42)); thread.start(); thread.join()
report(found)
"""
    assert "reports: [42]" in lab.run(source)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the machine code is x86-64's")
def test_call_of_32_bit_abi_kills_child(lab: Laboratory) -> None:
    source = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3")  # mov eax, 20 (getpid); int 0x80; ret
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
report(call() > 0)
"""
    if "reports: True" not in lab.run(source, without={Layer.SECCOMP}):
        pytest.skip("this kernel has no 32-bit calls")
    assert "system call" in lab.run(source)
