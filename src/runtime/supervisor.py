"""Start workers that share one listening socket, replace those that die, and end them without failing a request.

A worker is replaced only when its process ends. uvicorn's own supervisor kills workers that do not respond to a ping
within 5 s: on a busy machine every worker then still imports its libraries, so none ever starts.

The end, in order:

1. SIGTERM or SIGHUP: all workers drain (`DrainingServer`), for `drain_s`. SIGINT, from a terminal, skips this.
2. The kernel drops new connections, and the workers accept those that wait (`listener`).
3. The workers stop accepting and finish their requests, for `timeout_graceful_shutdown` at most.

Each further signal ends the current step; in step 3 the second further signal aborts the requests.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from src.runtime.listener import is_queue_empty, refuse_new_connections
from src.runtime.server import run_worker

logger = logging.getLogger("uvicorn.error")

HANDSHAKE_S: Final = 0.25
"""Seconds that handshakes in progress get to finish once new ones are dropped: a round trip around the world."""

ACCEPT_S: Final = 5.0
"""Seconds in which the workers accept the waiting connections; busy workers may need some."""

CLOSING_S: Final = 10.0
"""Seconds for stores and sandboxes to close after the last request; then a worker is killed."""

STEADY_S: Final = 30.0
"""Seconds after which a worker counts as started, and its earlier deaths are forgotten."""

MAX_PAUSE_S: Final = 10.0
"""The longest pause before a worker that keeps dying is restarted; the first restart is at once, then it doubles."""


@dataclass(slots=True)
class _Worker:
    """A slot for a worker: its process, or the time at which to start the next one."""

    process: SpawnProcess | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    deaths: int = field(default=0)
    """Deaths in a row of workers that ended within `STEADY_S`."""


class Supervisor:
    """Workers, from start to stop.

    Parameters
    ----------
    config
        What each worker serves; `workers` of them are started.
    drain_s
        Seconds of draining, ≥ 0.
    graceful_stop_s
        Seconds that requests get to finish, ≥ 0; the same as the workers' own `timeout_graceful_shutdown`.
    """

    def __init__(self, config: uvicorn.Config, *, drain_s: float, graceful_stop_s: float) -> None:
        self._config = config
        self._drain_s = drain_s
        self._graceful_stop_s = graceful_stop_s
        self._workers = [_Worker() for _ in range(config.workers)]
        self._signals: list[int] = []
        self._wake_reader, self._wake_writer = os.pipe()

    def run(self) -> int:
        """Serve until a signal ends it; return 0, or STARTUP_FAILURE if a worker cannot start."""
        listener = self._config.bind_socket()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        with listener:
            while not self._signals:
                if not self._fill_slots(listener):
                    self._end(listener)
                    return STARTUP_FAILURE
                self._wait(self._processes(), self._next_due())
            logger.info("stopping: signal=%s", signal.Signals(self._signals[0]).name)
            if self._signals[0] != signal.SIGINT:
                self._drain()
            self._empty_queue(listener)
            self._end(listener)
        return 0

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
        os.write(self._wake_writer, b"\0")

    def _fill_slots(self, listener: socket.socket) -> bool:
        """Start a worker in each empty slot whose time has come; return False if one has failed to start."""
        now = time.monotonic()
        for worker in self._workers:
            if worker.process is not None and worker.process.exitcode is not None:
                pid, code = worker.process.pid, worker.process.exitcode
                if code == STARTUP_FAILURE:
                    logger.error("worker cannot start: pid=%s", pid)
                    return False
                worker.deaths = 1 if now - worker.started_at > STEADY_S else worker.deaths + 1
                pause_s = min(MAX_PAUSE_S, 0.5 * (2.0 ** (worker.deaths - 1) - 1))
                worker.process, worker.due_at = None, now + pause_s
                logger.error("worker died: pid=%s exitcode=%s restart_in_s=%.1f", pid, code, pause_s)
            if worker.process is None and now >= worker.due_at:
                # Spawned, because numeric libraries and their threads do not survive a fork.
                worker.process = get_context("spawn").Process(target=run_worker, args=(self._config, listener))
                worker.process.start()
                worker.started_at = time.monotonic()
        return True

    def _next_due(self) -> float | None:
        """Return the seconds until a slot must be filled; None if all are filled."""
        due = [worker.due_at for worker in self._workers if worker.process is None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _processes(self) -> list[SpawnProcess]:
        return [worker.process for worker in self._workers if worker.process is not None]

    def _living(self) -> list[SpawnProcess]:
        return [process for process in self._processes() if process.exitcode is None]

    def _wait(self, processes: Sequence[SpawnProcess], timeout_s: float | None) -> None:
        """Wait until one of these processes has ended, a signal arrives or the time is over."""
        wait([self._wake_reader, *(process.sentinel for process in processes)], timeout_s)
        while select.select([self._wake_reader], [], [], 0)[0]:
            os.read(self._wake_reader, 4096)

    def _wait_unless(self, is_over: Callable[[], bool], timeout_s: float, step_s: float | None = None) -> None:
        """Wait until `is_over`, the time is over, a further signal arrives or no worker runs."""
        signals, deadline = len(self._signals), time.monotonic() + timeout_s
        while (living := self._living()) and len(self._signals) == signals and not is_over():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            self._wait(living, left_s if step_s is None else min(left_s, step_s))

    def _signal_workers(self, number: int) -> None:
        for process in self._living():
            if process.pid is not None:
                os.kill(process.pid, number)

    def _drain(self) -> None:
        logger.info("draining: seconds=%g", self._drain_s)
        self._signal_workers(signal.SIGUSR1)
        self._wait_unless(lambda: False, self._drain_s)

    def _empty_queue(self, listener: socket.socket) -> None:
        if refuse_new_connections(listener):
            self._wait_unless(lambda: False, HANDSHAKE_S)
        self._wait_unless(lambda: is_queue_empty(listener), ACCEPT_S, step_s=0.01)

    def _end(self, listener: socket.socket) -> None:
        """Have the workers finish; kill those that take too long."""
        self._signal_workers(signal.SIGTERM)
        listener.close()
        deadline = time.monotonic() + self._graceful_stop_s + CLOSING_S
        while self._living() and (left_s := deadline - time.monotonic()) > 0:
            signals = len(self._signals)
            self._wait_unless(lambda: False, left_s)
            if len(self._signals) > signals:
                logger.warning("stopping at once, running requests are cut off")
                self._signal_workers(signal.SIGTERM)
                deadline = min(deadline, time.monotonic() + CLOSING_S)
        for process in self._living():
            logger.error("worker killed: pid=%s reason=it did not end", process.pid)
            process.kill()
            process.join()
