"""What surrounds a hostile model in a test: things it must not touch, and whether it did."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from tests.security.hostile import ROOT

SECRET_WORD = "SeCrEt-WoRd-42"


class World:
    """A folder that anyone may write, a secret that anyone may read, and listeners that anyone may call."""

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
        self._shared_memory = Path("/dev/shm") / f"canary-{os.getpid()}"
        self._before = self._seen()

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
        """Name what is not as it was."""
        found = [] if self._seen() == self._before else [f"{self._before} became {self._seen()}"]
        if self._shared_memory.exists():
            found.append("shared memory was made")
        for listener in self._sockets:
            try:
                listener.recv(1) if listener is self._udp else listener.accept()
            except BlockingIOError:
                continue
            found.append(f"a model reached {listener}")
        return found

    def close(self) -> None:
        for listener in self._sockets:
            listener.close()
        shutil.rmtree(self.folder)

    def _seen(self) -> dict[str, object]:
        state = self.victim.stat()
        return {
            "names": sorted(path.name for path in self.folder.iterdir()),
            "victim": self.victim.read_text(),
            "mode": state.st_mode,
            "time": state.st_mtime_ns,
            "links": state.st_nlink,
        }
