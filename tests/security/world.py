"""Build what a hostile model must not touch in a test, and check whether it did."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from tests.security.hostile import ROOT

SECRET_WORD = "SeCrEt-WoRd-42"


class _Watch:
    """Notices each opening of a file, by any process and any of its names (Linux's inotify)."""

    _IN_OPEN = 0x20

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watch = libc.inotify_add_watch(self._descriptor, bytes(path), ctypes.c_uint32(self._IN_OPEN))
        assert self._descriptor >= 0, os.strerror(ctypes.get_errno())
        assert watch >= 0, os.strerror(ctypes.get_errno())

    def was_opened(self) -> bool:
        try:
            return bool(os.read(self._descriptor, 65_536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._descriptor)


class World:
    """A folder that any user may write, a secret that any user may read, and listeners that any process may call."""

    def __init__(self) -> None:
        # Not under pytest's own folder, which others may not enter: the sandbox alone must keep the model out.
        self.folder = Path(tempfile.mkdtemp(prefix="security-test-"))
        self.folder.chmod(0o777)
        self.canary = self.folder / "canary"
        self.victim = self.folder / "victim"
        self.victim.write_text("untouched")
        self.victim.chmod(0o666)
        self.secret = self.folder / "secret"
        self.secret.write_text(SECRET_WORD)
        self.models = self.folder / "models"
        self.models.mkdir(mode=0o700)
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(self._tcp.getsockname())
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(self.folder / "listener"))
        (self.folder / "listener").chmod(0o777)
        self._unix.listen()
        self._sockets = (self._tcp, self._udp, self._unix)
        for listener in self._sockets:
            listener.setblocking(False)
        self._watch = _Watch(self.secret)
        self._shared_memory = Path("/dev/shm") / f"canary-{os.getpid()}"
        self._before: dict[str, Any] = self._seen()

    def fill(self, source: str) -> str:
        for word, value in {
            "CANARYNAME": self._shared_memory.name,
            "CANARY": self.canary,
            "VICTIM": self.victim,
            "SECRET": self.secret,
            "FOLDER": self.folder,
            "SERVER": os.getpid(),
            "PORT": self._tcp.getsockname()[1],
            "UNIX": self.folder / "listener",
            "ROOT": ROOT,
        }.items():
            source = source.replace(word, str(value))
        return source

    def harm(self) -> list[str]:
        """Name everything that has changed."""
        found = [] if self._seen() == self._before else [f"{self._before} became {self._seen()}"]
        if self._shared_memory.exists():
            found.append("shared memory was made")
        if self._watch.was_opened():
            found.append("the secret was opened")
        for listener in self._sockets:
            try:
                if listener is self._udp:
                    listener.recv(1)
                else:
                    listener.accept()[0].close()
            except BlockingIOError:
                continue
            found.append(f"a model reached {listener}")
        return found

    def close(self) -> None:
        for listener in self._sockets:
            listener.close()
        self._watch.close()
        shutil.rmtree(self.folder)

    @property
    def address(self) -> tuple[str, int]:
        """Where the test listens."""
        host, port = self._tcp.getsockname()
        return host, port

    def settle(self) -> None:
        """Take the present state as the expected one."""
        self._before = self._seen()

    def restore(self) -> None:
        """Undo what a model was allowed to do."""
        for path in self.folder.iterdir():
            if path.name not in self._before["names"]:
                path.unlink()

    def _seen(self) -> dict[str, object]:
        state = self.victim.stat()
        return {
            "names": sorted(path.name for path in self.folder.iterdir()),
            "victim": self.victim.read_text(),
            "mode": state.st_mode,
            "time": state.st_mtime_ns,
            "links": state.st_nlink,
        }
