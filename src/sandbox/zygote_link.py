"""The server's side of one zygote: start it, have it fork, wait for a child or kill it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from src.concurrency.child_process import start_child
from src.sandbox.zygote import END, FORK

_START_SECONDS: Final = 120.0
_FORK_SECONDS: Final = 30.0
_END_SECONDS: Final = 2.0
_REPORT_SECONDS: Final = 1.0
"""Time for the report on a child that was killed; its zygote does nothing but fork."""
_PACKET_BYTES: Final = 4096
_ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    # Sets in a model then have the same order in every run, so that the same request gives the same bits.
    "PYTHONHASHSEED": "0",
    "HOME": "/nonexistent",
    # joblib needs named semaphores for processes; they are files, which a child may not write. It then uses one thread.
    "JOBLIB_MULTIPROCESSING": "0",
    "HDF5_USE_FILE_LOCKING": "FALSE",
}
_FROM_SERVER: Final = ("LD_LIBRARY_PATH", "TZ")
"""The only variables of the server that a zygote gets: paths of the interpreter's C libraries, and the time zone."""


class ZygoteFailed(Exception):
    """The zygote did not start, or has ended; the message is for the operator."""


class SandboxClosed(ZygoteFailed):
    """No zygote can start, because the server is stopping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZygoteOptions:
    """The options of a zygote: see `zygote.main`."""

    family: str
    registry: str
    source_root: Path
    uid: int | None
    capabilities: tuple[int, ...]
    environment: Mapping[str, str]
    """Variables that the family's libraries need."""


class Child:
    """A forked child: its pid, its pidfd, and the pipe that carries its wait status."""

    def __init__(self, pid: int, pidfd: int, end: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._end = end
        self._lock = threading.Lock()
        self._is_closed = False
        self.processor_s: float | None = None
        """The processor seconds that it used, once `wait` or `end` has read them."""

    def wait(self, seconds: float) -> int | None:
        """Wait until the child has ended; return its wait status (of `os.waitpid`), None after `seconds`.

        Raises ZygoteFailed if the zygote died, and with it the child.
        """
        poll = select.poll()
        poll.register(self._end, select.POLLIN | select.POLLHUP)
        if not poll.poll(max(0.0, seconds) * 1000):
            return None
        report = os.read(self._end, END.size)
        if len(report) != END.size:
            raise ZygoteFailed("it died while a model was running")
        status: int
        status, self.processor_s = END.unpack(report)
        return status

    def kill(self) -> None:
        """Send SIGKILL, from any thread; do nothing if the child has ended."""
        with self._lock:
            if not self._is_closed:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def end(self, seconds: float) -> None:
        """Kill the child and wait until it is gone; raises ZygoteFailed if it is not after `seconds`.

        It need not be a child of the zygote any more: the kernel may have given it another parent.
        """
        self.kill()
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(seconds * 1000):
            raise ZygoteFailed(f"child {self.pid} outlives SIGKILL by {seconds:g} s")
        if self.processor_s is None:
            with contextlib.suppress(ZygoteFailed):  # its processor time then stays unknown
                self.wait(_REPORT_SECONDS)

    def close(self) -> None:
        """Release the descriptors; the child must have ended."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                os.close(self._pidfd)
                os.close(self._end)


class ZygoteLink:
    """One zygote process; every method may be called from any thread.

    Its libraries take seconds to import. `wait_until_ready` waits for that, and `close` does not.
    """

    def __init__(self, options: ZygoteOptions) -> None:
        """Start the process; raises ZygoteFailed if the system starts none."""
        self.greeting: dict[str, Any] = {}
        """What the zygote reported about itself when it became ready."""
        self._family = options.family
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = ours
        self._lock = threading.Lock()
        arguments = {
            "channel": theirs.fileno(),
            "family": options.family,
            "registry": options.registry,
            "uid": options.uid,
            "capabilities": options.capabilities,
        }
        try:
            self._process = start_child(
                "src.sandbox.zygote",
                arguments,
                environment={**_ENVIRONMENT, **options.environment},
                inherited=_FROM_SERVER,
                source_root=options.source_root,
                pass_fds=(theirs.fileno(),),
                has_own_session=True,
            )
        except OSError as error:
            ours.close()
            raise ZygoteFailed(f"cannot be started: {error}") from error
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self, descriptors: Sequence[int]) -> Child:
        """Fork a child with (model, task, reply); the caller keeps the descriptors.

        Raises ZygoteFailed if the zygote has ended or cannot fork.
        """
        end_here, end_there = os.pipe2(os.O_CLOEXEC)
        try:
            with self._lock:
                socket.send_fds(self._channel, [FORK], [*descriptors, end_there])
                reply, received, _, _ = socket.recv_fds(self._channel, _PACKET_BYTES, 1)
        except OSError as error:
            os.close(end_here)
            raise ZygoteFailed(f"it is gone: {error.strerror}") from error
        finally:
            os.close(end_there)
        if not received:
            os.close(end_here)
            raise ZygoteFailed(f"it cannot fork: {reply.decode(errors='replace') or 'it is gone'}")
        os.set_inheritable(received[0], False)
        return Child(int(reply), received[0], end_here)

    def wait_until_ready(self) -> None:
        """Wait for its first packet; raises ZygoteFailed, after closing it, if it cannot serve or was closed."""
        try:
            with self._lock:
                self.greeting = self._read_greeting()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the zygote and its children, and wait until it has ended; calls that wait for it raise ZygoteFailed."""
        with contextlib.suppress(OSError):  # one side is closed already
            self._channel.shutdown(socket.SHUT_RDWR)
        if not self.greeting:  # it is importing its libraries and does not read the channel
            self._process.kill()
        try:
            self._process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._lock:  # no other thread may be using the descriptor: the next file may get its number
            self._channel.close()

    def _read_greeting(self) -> dict[str, Any]:
        self._channel.settimeout(_START_SECONDS)
        started = time.monotonic()
        try:
            packet = self._channel.recv(_PACKET_BYTES)
        except TimeoutError as error:
            raise ZygoteFailed(f"{self._family}: not ready after {time.monotonic() - started:.0f} s") from error
        except OSError as error:
            raise ZygoteFailed(f"{self._family}: closed while starting") from error
        if not packet:
            raise ZygoteFailed(f"{self._family}: ended while starting (exit status {self._process.wait()})")
        self._channel.settimeout(_FORK_SECONDS)
        greeting: dict[str, Any] = json.loads(packet)
        if "error" in greeting:
            raise ZygoteFailed(f"{self._family}: {greeting['error']}")
        return greeting
