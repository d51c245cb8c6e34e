"""Call the kernel through the C library: `syscall` and `prctl`, which Python does not offer; errors are OSErrors."""

from __future__ import annotations

import ctypes
import os
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_GET_PDEATHSIG: Final = 2
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_SET_NAME: Final = 15
PR_GET_NAME: Final = 16
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

Argument = int | bytes | None | ctypes.Array[ctypes.c_char] | ctypes.Structure


def syscall(number: int, *arguments: Argument) -> int:
    """Make a system call by its number; raises OSError with the kernel's errno.

    Integers are passed as 64-bit words; bytes, arrays and structures by address.
    """
    result = int(_libc.syscall(ctypes.c_long(number), *(_as_word(argument) for argument in arguments)))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def prctl(option: int, value: int = 0) -> int:
    """Change or read an attribute of this process; raises OSError.

    `value` is an integer or, for options that write their result to memory, an address.
    """
    zero = ctypes.c_ulong(0)
    result = int(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def _as_word(argument: Argument) -> object:
    if argument is None:
        return ctypes.c_void_p(None)
    if isinstance(argument, int):
        return ctypes.c_long(argument)
    if isinstance(argument, bytes):
        return ctypes.c_char_p(argument)
    return ctypes.byref(argument)
