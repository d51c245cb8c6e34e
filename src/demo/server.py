"""Run the service as a process of its own for the demo."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NoReturn

import httpx

from src.files.temporary_folders import TemporaryFolder
from src.settings import Settings

PROJECT: Final = Path(__file__).parents[2]
START_LIMIT_S: Final = 240.0
"""Seconds until it must be ready; the first start compiles, which takes most of a minute on a slow machine."""

STOP_LIMIT_S: Final = 10.0
EXCHANGE_DEADLINE_S: Final = 4.0
"""Seconds for the exchange to respond, short because simulated bars can be shown instead."""

SHOWN_LOG_BYTES: Final = 4000


class ServiceFailed(Exception):
    """The service's process ended or never became ready; the message holds the end of its output."""


@dataclass(slots=True, kw_only=True)
class RunningService:
    """A started service: its address, its process, and its output."""

    address: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def wait_until_ready(self, on_wait: Callable[[float], None], limit_s: float = START_LIMIT_S) -> float:
        """Request `/ready` until it succeeds; return how many seconds it took.

        Parameters
        ----------
        on_wait
            Called with the seconds since the start, several times a second.

        Raises
        ------
        ServiceFailed
        """
        started = time.monotonic()
        with httpx.Client(base_url=self.address, trust_env=False, timeout=5.0) as client:
            while (elapsed := time.monotonic() - started) < limit_s:
                if (code := self.process.poll()) is not None:
                    raise ServiceFailed(f"{self._last_words()}\nthe service ended with exit code {code}")
                with contextlib.suppress(httpx.TransportError):  # not listening yet
                    if client.get("/ready").is_success:
                        return elapsed
                on_wait(elapsed)
                time.sleep(0.2)
        raise ServiceFailed(f"{self._last_words()}\nthe service was not ready within {limit_s:.0f} s")

    def wait_until_it_ends(self) -> NoReturn:
        """Wait for the service's process, which ends by itself only if it fails.

        Raises ServiceFailed when it has ended.
        """
        code = self.process.wait()
        raise ServiceFailed(f"{self._last_words()}\nthe service ended with exit code {code}")

    def _last_words(self) -> str:
        self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, self.log.tell() - SHOWN_LOG_BYTES))
        return self.log.read().decode(errors="replace").strip()


@contextlib.contextmanager
def running_service(settings: Settings, application: str) -> Iterator[RunningService]:
    """Start the service on a free port with its own store; in the end, stop it and remove that store."""
    with (
        TemporaryFolder("demo") as folder,
        tempfile.TemporaryFile() as log,
        socket.socket() as listener,
    ):
        listener.bind(("127.0.0.1", 0))
        # The service inherits the bound socket, so no other process can take the port meanwhile.
        arguments = ["--fd", str(listener.fileno()), "--app-dir", str(PROJECT), "--log-level", "warning"]
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", application, *arguments],
            cwd=folder,  # not the project's: the user's `.env` may name a real database
            env=_variables(settings, folder),
            pass_fds=(listener.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        port = listener.getsockname()[1]
        try:
            yield RunningService(address=f"http://127.0.0.1:{port}", process=process, log=log)
        finally:
            _stop(process)


def _variables(settings: Settings, folder: Path) -> dict[str, str]:
    own = {name.upper() for name in Settings.model_fields}
    return {name: value for name, value in os.environ.items() if name.upper() not in own} | {
        "STORAGE_DIR": str(folder / "storage"),
        "BINANCE_API_URL": str(settings.binance_api_url),
        "BINANCE_FALLBACK_URL": str(settings.binance_fallback_url or "none"),
        "BINANCE_FUTURES_URL": str(settings.binance_futures_url or "none"),
        "BINANCE_DEADLINE_S": str(EXCHANGE_DEADLINE_S),
        "LOG_LEVEL": "WARNING",
    }


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
