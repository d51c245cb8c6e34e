"""The server's side of the sandbox: `SandboxedModelRunner`, a ModelRunner that opens model files in one-shot children.

Each task waits for a slot (`fair_queue`), takes a thread of a pool of `max_children`, copies the model into sealed
memory, has the family's zygote fork a child, waits for its end with a deadline, and only then reads what it left. The
machine's layers are tried once, by canary attacks, before the first model; what they find and the mode decide whether
models are opened at all.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from src.concurrency.child_process import SOURCE_ROOT, KillSwitch
from src.concurrency.fair_queue import FairQueue, Refusals
from src.domain.errors import Conflict, ModelNotFound, SandboxUnavailable, ServiceError
from src.domain.model_files import ModelDescription, ModelFile, SandboxMode
from src.domain.signals import Features, OutputKind, Predictions
from src.features.made_up import made_up_features
from src.features.rows import complete_rows
from src.model_formats.undeclared import without_requests
from src.sandbox import identity, outcomes
from src.sandbox.archives import laid_out
from src.sandbox.children import Children, families
from src.sandbox.layers import ALL_LAYERS, Layer, SandboxReport
from src.sandbox.memory_files import AnswerTampered, ContentChanged
from src.sandbox.probe import try_layers
from src.sandbox.tasks import Task
from src.sandbox.wire import Answer
from src.sandbox.zygote_link import SandboxClosed, ZygoteFailed

logger = logging.getLogger(__name__)
_GIBIBYTE: Final = 1024**3

_REFUSALS: Final = Refusals(
    full=lambda _, waiting: f"{waiting} models wait to be opened, which is as many as may; try again later.",
    late=lambda seconds: (
        f"The model waited {seconds:g} s for its turn to be opened, and others are still before it; try again later."
    ),
    closed=lambda: SandboxUnavailable("the service is stopping and opens no more models; try again later"),
)


class SandboxedModelRunner:
    """Opens each model in a child of its own, behind the layers of `Layer`.

    Parameters
    ----------
    mode
        What to do where this machine lacks a layer.
    registry
        Name of the module that knows the formats.
    max_children
        How many models may be open at once; further calls wait their turn. None: one for each core, at least two.
    max_waiting
        How many calls may wait, of all users together; who has fewer of them takes the place of one who has more.
    max_wait_s
        Seconds after which one that waits is refused.
    deadline_s
        Seconds that one task may take in its child; then it is killed.
    memory_bytes
        Address space of one child, its libraries included.
    layers
        The layers to use, for an operator who must do without one; a layer left out counts as missing.
    storage
        A folder closed as those with users' files are; the canaries try to read a file in it.
    """

    def __init__(
        self,
        *,
        mode: SandboxMode = SandboxMode.STRICT,
        registry: str = "src.model_formats.registry",
        max_children: int | None = None,
        max_waiting: int = 32,
        max_wait_s: float = 60.0,
        deadline_s: float = 30.0,
        memory_bytes: int = 4 * _GIBIBYTE,
        layers: frozenset[Layer] = ALL_LAYERS,
        storage: Path | None = None,
    ) -> None:
        self._mode = mode
        self._storage = storage
        self._is_root = os.geteuid() == 0
        self._enabled = layers if mode is not SandboxMode.OFF else frozenset()
        self._max_children = max_children or max(2, os.cpu_count() or 1)
        self._queue = FairQueue(
            slots=self._max_children, max_waiting=max_waiting, max_wait_s=max_wait_s, refusals=_REFUSALS
        )
        self._threads = ThreadPoolExecutor(self._max_children, thread_name_prefix="sandbox")
        self._children = Children(
            registry=registry,
            source_root=SOURCE_ROOT,
            max_at_once=self._max_children,
            deadline_s=deadline_s,
            memory_bytes=memory_bytes,
            uses_uids=self._is_root and Layer.UID in self._enabled,
        )
        self._registry = importlib.import_module(registry)
        self._report: SandboxReport | None = None
        if sys.platform == "linux":
            # The server's memory holds secrets; a child of the same user must not be able to read it through /proc.
            identity.forbid_inspection()
        else:
            self._report = SandboxReport(mode=mode, layers=frozenset(), refusal="the sandbox needs Linux")
        self._report_lock = threading.Lock()

    @property
    def report(self) -> SandboxReport | None:
        """What the canaries found; None before they have run."""
        return self._report

    async def probe(self) -> SandboxReport:
        """Run the canary attacks, once, and return what they found.

        Raises
        ------
        SandboxUnavailable
            Where not even a child could be started to run them.
        """
        return await asyncio.to_thread(self._probe)

    async def warm_up(self) -> None:
        """Run the canaries and start the zygote of every family whose libraries are installed."""
        report = await self.probe()
        if not report.accepts_models:
            return
        installed = [
            family
            for family, extensions in families(self._children.registry).items()
            if all(
                importlib.util.find_spec(module.split(".")[0])
                for extension in extensions
                for module in self._registry.FORMATS[extension].preload
            )
        ]
        # On threads of their own: a model of a family that is ready need not wait for the others.
        await asyncio.gather(*(asyncio.to_thread(self._start, family) for family in installed))

    async def inspect(self, file: ModelFile) -> ModelDescription:
        """Open the model once, try it on made-up rows and say what it is.

        Raises
        ------
        ModelRejected, MissingLibrary, UnsupportedFormat
            What is wrong with the file, in words for the client.
        ModelNotFound, Conflict, TimedOut, Busy, SandboxUnavailable
        """
        made_up = await asyncio.to_thread(made_up_features)
        rows = made_up.values[complete_rows(made_up.values, made_up.names, made_up.names)]
        answer = await self._in_turn(file, partial(Task, kind="inspect", names=made_up.names, values=rows))
        return outcomes.description_of(answer.text, self._children.registry)

    async def predict(
        self, file: ModelFile, features: Features, feature_columns: Sequence[str] | None, kind: OutputKind | None
    ) -> Predictions:
        """Ask the model about every row of `features` that has the columns which it reads; the others get NaN.

        Parameters
        ----------
        feature_columns
            The columns that the model receives, in its order; None leaves the choice to the model file.
        kind
            What the user says that the predictions mean; None leaves it to the model file.

        Raises
        ------
        InvalidInput
            On `featureColumns` or `outputKind`.
        ModelRejected, MissingLibrary, UnsupportedFormat, ModelNotFound, Conflict, TimedOut, Busy, SandboxUnavailable
        """
        rows = len(features.values)
        task = partial(
            Task,
            kind="predict",
            names=features.names,
            requested=tuple(feature_columns) if feature_columns else None,
            values=features.values,
            ranges=((0, rows),) if rows else (),
            declared=kind,
        )
        answer = await self._in_turn(file, task)
        # In a thread: the rows of a million bars would hold the event loop.
        return await asyncio.to_thread(
            _read_predictions, answer, features, self._children.registry, is_declared=kind is not None
        )

    async def close(self) -> None:
        """End every zygote and child; calls that still run fail."""
        self._queue.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._children.close)
        await asyncio.to_thread(self._threads.shutdown)

    async def _in_turn(self, file: ModelFile, task: Callable[..., Task]) -> Answer:
        switch = KillSwitch()
        async with self._queue.slot(file.user_id):
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, file, task, switch)
            except asyncio.CancelledError:
                switch.cancel()
                raise

    def _answer(self, file: ModelFile, task: Callable[..., Task], switch: KillSwitch) -> Answer:
        extension = file.extension.lower()
        family = self._registry.family_of(extension)
        report = self._probe()
        if report.refusal is not None:
            raise SandboxUnavailable(f"model files cannot be opened safely on this server: {report.refusal}")
        asked = task(family=family, extension=extension, layers=report.layers, model=file.path, sha256=file.sha256)
        try:
            with self._children.slot() as slot, laid_out(self._children, asked, slot, switch) as ready:
                outcome = self._children.run(ready, slot, switch)
            return outcomes.judge(
                outcome, asked, deadline_s=self._children.deadline_s, registry=self._children.registry
            )
        except outcomes.LayersWanting as claim:
            raise self._judged(claim, report) from claim
        except FileNotFoundError as error:
            raise ModelNotFound("the model file does not exist any more") from error
        except ContentChanged as error:
            logger.error("sandbox: the model file %s of user %s was changed on the disk", file.path.name, file.user_id)
            raise Conflict(
                "The model file on the server is not the one that was uploaded: it was changed since. Delete it and "
                "upload it again."
            ) from error
        except ZygoteFailed as error:
            logger.error("sandbox: %s", error)
            raise SandboxUnavailable("the process that opens model files failed; try again") from error
        except AnswerTampered as error:
            raise outcomes.nonsense(error) from error

    def _judged(self, claim: outcomes.LayersWanting, believed: SandboxReport) -> ServiceError:
        """Try the layers anew to tell a machine that has lost one from a file that says so."""
        report = self._probe(is_anew=True)
        if report.refusal is None and report.layers == believed.layers:
            return outcomes.nonsense(claim)
        logger.error("sandbox: a child found its layers wanting: %s", claim)
        return SandboxUnavailable("model files cannot be opened safely on this server: a layer of the sandbox failed")

    def _probe(self, *, is_anew: bool = False) -> SandboxReport:
        with self._report_lock:
            if self._report is None or is_anew:
                try:
                    self._report = try_layers(self._children, self._mode, self._enabled, self._storage)
                except SandboxClosed as error:
                    raise SandboxUnavailable("the service is stopping and opens no more models") from error
                except (ZygoteFailed, AnswerTampered, ServiceError) as error:
                    logger.error("sandbox: the canary attacks could not be run: %s", error)
                    raise SandboxUnavailable("the process that opens model files cannot be started") from error
            return self._report

    def _start(self, family: str) -> None:
        try:
            self._children.start(family)
        except SandboxClosed:
            logger.debug("sandbox: %s is not started any more", family)
        except ZygoteFailed as error:
            # The next request for this family tries again and then says so to its client.
            logger.error("sandbox: %s", error)


def _read_predictions(answer: Answer, features: Features, registry: str, *, is_declared: bool) -> Predictions:
    """Return what a child predicted; raises ModelRejected if it cannot be a prediction."""
    meaning = outcomes.output_kind(answer.text)
    columns = outcomes.chosen_columns(answer.text, features.names)
    is_asked = complete_rows(features.values, features.names, columns)
    outcomes.check_values(answer.values[is_asked], meaning, is_declared=is_declared)
    warnings = outcomes.description_of(answer.text, registry).warnings
    return Predictions(
        # The number that the child left for a row without a prediction means nothing.
        values=np.where(is_asked, answer.values, np.nan),
        kind=meaning,
        feature_columns=columns,
        warnings=without_requests(warnings) if is_declared else warnings,
    )
