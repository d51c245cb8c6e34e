"""Run each task in a new child process, forked by the zygote of its model family, and wait for it or kill it."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from src.concurrency.child_process import KillSwitch
from src.concurrency.paid_work import payer
from src.observing.meters import UNMEASURED, ChildEnd, SandboxMeter
from src.ports.rates import CoreBudget
from src.sandbox import identity, landlock
from src.sandbox.layers import Layer, LayerMissing
from src.sandbox.limits import Limits
from src.sandbox.memory_files import create_reply_file, create_sealed_copy, create_sealed_file, read_reply
from src.sandbox.staging import StagingFolder
from src.sandbox.tasks import Outcome, Task
from src.sandbox.wire import ChildTask, get_reply_size, write_task
from src.sandbox.zygote_link import Child, SandboxClosed, ZygoteFailed, ZygoteLink, ZygoteOptions

logger = logging.getLogger(__name__)
_UNPACKED_BYTES: Final = 1 << 30
"""Maximum size of a file unpacked from an archive."""

_KILL_SECONDS: Final = 10.0
"""Time that a killed child may take to disappear, as the kernel must tear down its memory."""


class Children:
    """Runs tasks in children; `run` blocks, and at most `max_at_once` threads may be in it.

    Parameters
    ----------
    registry
        Name of the module that lists the formats (`src.model_formats.registry`).
    source_root
        The folder that holds the package `src`.
    uses_uids
        Whether zygotes and children take uids of their own; only root can give them.
    meter
        Counts the ends of children.
    budget
        Charges the processor time of children to the user who pays for this task; None if that is not limited.
    """

    def __init__(
        self,
        *,
        registry: str,
        source_root: Path,
        max_at_once: int,
        deadline_s: float,
        memory_bytes: int,
        uses_uids: bool,
        meter: SandboxMeter = UNMEASURED,
        budget: CoreBudget | None = None,
    ) -> None:
        self._meter = meter
        self._budget = budget
        self.registry = registry
        self.deadline_s = deadline_s
        self.limits = Limits.for_deadline(deadline_s, memory_bytes)
        self.uid_missing: str | None = None
        """Why there are no uids although `uses_uids` is set."""
        self._source_root = source_root
        self._readable = landlock.list_library_paths(source_root)
        self.staging = StagingFolder(importlib.import_module(registry).FORMATS)
        self._zygotes: dict[str, ZygoteLink] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(max_at_once):
            self._slots.put(slot)
        self._reserved: identity.ReservedUids | None = None
        is_open_to_all = identity.are_readable_by_others(self._readable)
        self._capabilities = () if is_open_to_all else (identity.CAP_DAC_READ_SEARCH,)
        if uses_uids:
            self._reserve_uids(1 + max_at_once)

    @property
    def has_uids(self) -> bool:
        return self._reserved is not None and self.uid_missing is None

    @contextlib.contextmanager
    def slot(self) -> Iterator[int]:
        """Take one of the slots for children; its uid belongs to the child until the context ends."""
        slot = self._slots.get()
        try:
            yield slot
        finally:
            self._slots.put(slot)

    def get_uid(self, slot: int) -> int | None:
        """Return the uid of the child in a slot; None if it has the server's."""
        return self._reserved.uids[1 + slot] if self._reserved is not None and self.uid_missing is None else None

    def run(self, task: Task, slot: int, switch: KillSwitch) -> Outcome:
        """Run one task in a child of its own and wait for its end; release every descriptor.

        Raises ZygoteFailed if no child can be forked; OSError if the model file cannot be read; ContentChanged if it
        has another SHA-256 than the task.
        """
        opened: list[int] = []
        try:
            opened.append(create_sealed_file() if task.model is None else create_sealed_copy(task.model, task.sha256))
            child_task = self._child_task(task, slot)
            opened.append(write_task(child_task, task.values))
            is_audited = task.audit_seed is not None
            size = get_reply_size(child_task.reply_rows, is_audited=is_audited)
            opened.append(create_reply_file(size))
            wait_status = self._run_child(task, tuple(opened), switch)
            # A child that was killed during the audit may have replied before.
            reply = b"" if wait_status is None and not is_audited else read_reply(opened[-1], size)
            outcome = Outcome(wait_status=wait_status, reply=reply)
            if task.kind != "attack":  # canaries are killed at every start
                self._meter.count_end(ChildEnd.CANCELLED if switch.is_cancelled else outcome.end)
            return outcome
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def start(self, family: str) -> ZygoteLink:
        """Return the family's zygote, and start it if it does not run; raises ZygoteFailed."""
        with self._lock:
            lock = self._locks.setdefault(family, threading.Lock())
        with lock:
            link = self._zygotes.get(family)
            return self._start(family) if link is None else link

    def close(self) -> None:
        """End every zygote and its children; do not wait for zygotes that are starting."""
        with self._lock:
            self._is_closed = True
            links = list(self._zygotes.values())
            self._zygotes.clear()
        for link in links:
            link.close()
        self.staging.close()
        if self._reserved is not None:
            self._reserved.close()

    def _start(self, family: str) -> ZygoteLink:
        with self._lock:
            if self._is_closed:
                raise SandboxClosed("the sandbox is closed")
            # Registered before it is ready, so that `close` finds it.
            link = self._zygotes[family] = ZygoteLink(self._options(family))
        try:
            link.wait_until_ready()
        except BaseException as error:
            self._forget(family, link)
            if self._is_closed:
                raise SandboxClosed("the sandbox was closed meanwhile") from error
            raise
        self.uid_missing = self.uid_missing or link.greeting.get("uid_missing")
        logger.info("zygote ready: family=%s greeting=%s", family, link.greeting)
        return link

    def _forget(self, family: str, link: ZygoteLink) -> None:
        with self._lock:
            if self._zygotes.get(family) is link:
                del self._zygotes[family]

    def _run_child(self, task: Task, descriptors: tuple[int, ...], switch: KillSwitch) -> int | None:
        child = self._fork(task.family, descriptors)
        try:
            switch.watch(child)
            return child.wait(self.deadline_s)
        finally:
            # The next child gets this slot and its uid, so this child must be gone.
            try:
                child.end(_KILL_SECONDS)
            finally:
                child.close()
                if task.kind != "attack":  # no user asked for the canaries
                    self._charge(child)

    def _charge(self, child: Child) -> None:
        user_id = payer()
        if self._budget is not None and user_id is not None and child.processor_s is not None:
            self._budget.charge(user_id, child.processor_s)

    def _fork(self, family: str, descriptors: tuple[int, ...]) -> Child:
        link = self.start(family)
        try:
            return link.fork(descriptors)
        except ZygoteFailed:
            self._forget(family, link)
            link.close()
            return self.start(family).fork(descriptors)

    def _child_task(self, task: Task, slot: int) -> ChildTask:
        return ChildTask(
            kind=task.kind,
            registry=self.registry,
            extension=task.extension,
            model_path=str(task.opened_path or self.staging.link(task.extension)),
            layers=tuple(layer for layer in Layer if layer in task.layers),
            limits=self.limits if task.kind != "unpack" else replace(self.limits, file_bytes=_UNPACKED_BYTES),
            uid=self.get_uid(slot),
            capabilities=self._capabilities,
            readable=self._readable if task.folder is None else (*self._readable, str(task.folder)),
            names=task.names,
            requested=task.requested,
            ranges=task.ranges,
            audit_seed=task.audit_seed,
            declared=task.declared,
            folder=None if task.folder is None else str(task.folder),
            server_files=task.server_files,
        )

    def _options(self, family: str) -> ZygoteOptions:
        return ZygoteOptions(
            family=family,
            registry=self.registry,
            source_root=self._source_root,
            uid=None if self._reserved is None else self._reserved.uids[0],
            capabilities=(identity.CAP_KILL, identity.CAP_SETUID, identity.CAP_SETGID, *self._capabilities),
            environment=importlib.import_module(self.registry).ENVIRONMENT,
        )

    def _reserve_uids(self, count: int) -> None:
        try:
            self._reserved = identity.ReservedUids(count)
        except LayerMissing as error:
            self.uid_missing = error.reason


def group_by_family(registry: str) -> dict[str, list[str]]:
    """Return the registry's extensions, grouped by family."""
    by_family: dict[str, list[str]] = {}
    for extension, entry in importlib.import_module(registry).FORMATS.items():
        by_family.setdefault(entry.family, []).append(extension)
    return by_family
