"""Run a zygote: a process with the libraries of one model family imported that forks a child for each task.

It starts with an environment of its own, gives up root before it imports anything of the family, and reads nothing
but the server's command "fork". It ends when the server does, because the channel then reads as closed; the kernel
kills its children with it (`identity.die_with`).

Packets on the channel: zygote → `{"pid", …}` once when ready, or `{"error"}`; server → `fork` with four descriptors
(model, task, reply, a pipe for the wait status); zygote → the child's pid with its pidfd. When the child has ended, the
zygote writes its wait status and its processor seconds to the pipe.
"""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from src.sandbox import huge_pages, identity, worker
from src.sandbox.layers import LayerMissing

FORK: Final = b"fork"
DESCRIPTORS_PER_TASK: Final = 4
END: Final = struct.Struct("<id")
"""How a child ended: its wait status, and the processor seconds that it used."""


class Zygote:
    """Forks children for the server at the other end of `channel`, until the channel closes."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._pid = os.getpid()
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._ends: dict[int, tuple[int, int]] = {}
        """pidfd → (pid, pipe for the wait status)"""

    def serve(self) -> None:
        """Fork at each command of the server; return when the server has closed the channel."""
        is_open = True
        while is_open:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._channel.fileno():
                    is_open = self._fork()
                else:
                    self._report_end(descriptor)

    def _fork(self) -> bool:
        word, descriptors, _, _ = socket.recv_fds(self._channel, len(FORK), DESCRIPTORS_PER_TASK)
        if not word:
            return False
        if word != FORK or len(descriptors) != DESCRIPTORS_PER_TASK:
            raise RuntimeError(f"unknown word {word!r} with {len(descriptors)} descriptors")
        model, task, reply, end = descriptors
        try:
            pid = os.fork()
            if pid == 0:
                self._become_child(model, task, reply)
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            os.close(end)
            self._channel.send(str(error).encode())
        else:
            self._ends[pidfd] = (pid, end)
            self._poll.register(pidfd, select.POLLIN)
            socket.send_fds(self._channel, [str(pid).encode()], [pidfd])
        finally:
            for descriptor in (model, task, reply):
                os.close(descriptor)
        return True

    def _become_child(self, model: int, task: int, reply: int) -> None:
        try:
            worker.run(self._pid, model, task, reply)
        finally:
            # A child must never return into the zygote's loop.
            os._exit(3)

    def _report_end(self, pidfd: int) -> None:
        pid, end = self._ends.pop(pidfd)
        self._poll.unregister(pidfd)
        _, status, used = os.wait4(pid, 0)
        os.close(pidfd)
        try:
            os.write(end, END.pack(status, used.ru_utime + used.ru_stime))
        except BrokenPipeError:
            pass  # the server has stopped waiting for this child
        finally:
            os.close(end)


class _Hider(importlib.abc.MetaPathFinder):
    """An import hook that makes modules look as if they were not installed, here and in every child."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def main() -> None:
    """Run as the zygote that the JSON object in the first argument describes."""
    options: dict[str, Any] = json.loads(sys.argv[1])
    channel = socket.socket(fileno=options["channel"])
    try:
        greeting = _prepare(options)
    except Exception as error:  # noqa: BLE001 - the server must learn of any failure
        channel.send(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}).encode())
        return
    # Every child shares the objects that exist now; without this a garbage collection would copy their pages.
    gc.collect()
    gc.freeze()
    huge_pages.collapse()
    channel.send(json.dumps(greeting).encode())
    Zygote(channel).serve()
    os._exit(0)  # the libraries need no orderly shutdown


def _prepare(options: dict[str, Any]) -> dict[str, Any]:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    greeting: dict[str, Any] = {"pid": os.getpid()}
    _prefer_oom_kill()
    if options["uid"] is not None:
        try:
            identity.take_uid(options["uid"], capabilities=options["capabilities"])
        except LayerMissing as error:
            greeting["uid_missing"] = error.reason
    identity.forbid_inspection()
    identity.forbid_new_privileges()
    registry = importlib.import_module(options["registry"])
    sys.meta_path.insert(0, _Hider(registry.HIDDEN_MODULES))
    for module in _list_modules(registry, options["family"]):
        try:
            importlib.import_module(module)
        except ImportError:
            # A child reports the missing library if a model needs it.
            greeting.setdefault("not_installed", []).append(module)
    # A fork keeps only the calling thread: a child works without a library's idle threads, not without working ones.
    greeting["threads"] = len(list(Path("/proc/self/task").iterdir()))
    return greeting


def _list_modules(registry: Any, family: str) -> list[str]:
    entries = [entry for entry in registry.FORMATS.values() if entry.family == family]
    return list(dict.fromkeys(module for entry in entries for module in entry.preload))


def _prefer_oom_kill() -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return  # some containers mount /proc read-only; the limits still hold
