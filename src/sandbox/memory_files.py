"""Create and read the memory files (memfd) that carry a model, its task and its reply between server and child.

The child may not enter the folder of a model file. So the server copies the file into a sealed memfd and passes the
descriptor: its bytes can no longer change, and the child needs no right on any folder.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from pathlib import Path
from typing import Final

from src.sandbox.identity import FIRST_DESCRIPTOR

MODEL_DESCRIPTOR: Final = FIRST_DESCRIPTOR
TASK_DESCRIPTOR: Final = FIRST_DESCRIPTOR + 1
REPLY_DESCRIPTOR: Final = FIRST_DESCRIPTOR + 2

# include/uapi/linux/fcntl.h and memfd.h; as numbers, so that this file can be imported on other systems.
_F_ADD_SEALS: Final = 1033
_F_SEAL_SEAL: Final = 0x0001
_F_SEAL_SHRINK: Final = 0x0002
_F_SEAL_GROW: Final = 0x0004
_F_SEAL_WRITE: Final = 0x0008
_MFD_NOEXEC_SEAL: Final = 0x0008

_UNMAPPING_S: Final = 1.0
"""Maximum time that the mapping of a child may survive after its end."""
_UNMAPPING_POLL_S: Final = 0.005

_FIXED_SIZE: Final = _F_SEAL_GROW | _F_SEAL_SHRINK
_READ_ONLY: Final = _FIXED_SIZE | _F_SEAL_WRITE | _F_SEAL_SEAL


class ReplyTampered(Exception):
    """The reply's memory file has other seals or another size, or can still be written to."""


class ContentChanged(Exception):
    """A file has another SHA-256 than when it was received."""


def check_content(descriptor: int, sha256: str | None) -> None:
    """Compare the content of a descriptor with a SHA-256; None matches everything. Raises ContentChanged."""
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ContentChanged


def create_sealed_copy(path: Path, sha256: str | None = None) -> int:
    """Return a descriptor of a sealed memfd with the bytes of a regular file.

    Raises OSError; ContentChanged if the copy, which can no longer change, has another SHA-256.
    """
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        memory = _create("model")
        try:
            remaining = os.fstat(source).st_size
            while remaining > 0 and (sent := os.sendfile(memory, source, None, remaining)) > 0:
                remaining -= sent
            fcntl.fcntl(memory, _F_ADD_SEALS, _READ_ONLY)
            check_content(memory, sha256)
        except BaseException:
            os.close(memory)
            raise
        return memory
    finally:
        os.close(source)


def create_sealed_file(*parts: bytes | memoryview) -> int:
    """Return a descriptor of a sealed memfd with these parts one after the other."""
    memory = _create("task")
    try:
        for part in parts:
            view = memoryview(part).cast("B")
            while view:
                view = view[os.write(memory, view) :]
        fcntl.fcntl(memory, _F_ADD_SEALS, _READ_ONLY)
    except BaseException:
        os.close(memory)
        raise
    return memory


def create_reply_file(size: int) -> int:
    """Return a descriptor of a memfd of `size` zero bytes: writable, and fixed in size."""
    memory = _create("reply")
    try:
        os.ftruncate(memory, size)
        fcntl.fcntl(memory, _F_ADD_SEALS, _FIXED_SIZE)
    except BaseException:
        os.close(memory)
        raise
    return memory


def read_reply(memory: int, size: int) -> bytes:
    """Return the reply of a child that has ended.

    Raises ReplyTampered if its seals or size are not those it was created with, or if a writable mapping survives:
    such a reply could still change.
    """
    _forbid_writing(memory)
    content = os.pread(memory, size, 0) if os.fstat(memory).st_size == size else b""
    while 0 < len(content) < size:  # one read gives at most 2 GiB
        more = os.pread(memory, size - len(content), len(content))
        if not more:
            break
        content += more
    if len(content) != size:
        raise ReplyTampered("has another size")
    return content


def _forbid_writing(memory: int) -> None:
    """Seal a reply; raises ReplyTampered.

    A child's mappings outlive it while another process reads its /proc, as ps and monitoring agents do.
    """
    deadline_s = time.monotonic() + _UNMAPPING_S
    while True:
        try:
            fcntl.fcntl(memory, _F_ADD_SEALS, _F_SEAL_WRITE)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline_s:
                raise ReplyTampered(f"cannot be sealed: {error.strerror}") from error
            time.sleep(_UNMAPPING_POLL_S)
        else:
            return


def _create(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_NOEXEC_SEAL)
    except OSError:
        return os.memfd_create(name, flags)  # kernels before 6.3 do not know the flag
