"""Open model files in one-shot child processes: `SandboxedModelRunner`, the server's side of the sandbox.

A task, in order: 1. waits for a slot (`fair_queue`); 2. takes a thread of a pool of `max_children`; 3. copies the model
into sealed memory; 4. has the family's zygote fork a child; 5. waits for the child's end, until a deadline; 6. reads
the reply. Canary attacks test the layers once, before the first model; their report and the mode decide whether models
are opened.
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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from src.concurrency.child_process import SOURCE_ROOT, KillSwitch
from src.concurrency.fair_queue import FairQueue, Refusals
from src.concurrency.paid_work import paid_by
from src.concurrency.threads import run_in_pool
from src.domain.errors import Conflict, ModelNotFound, SandboxUnavailable, ServiceError
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.sandbox_mode import SandboxMode
from src.domain.signals import Features, OutputKind, Predictions
from src.features.made_up import made_up_features
from src.features.rows import complete_rows
from src.observing.meters import UNMEASURED, Meters
from src.ports.rates import CoreBudget
from src.sandbox import identity, outcomes
from src.sandbox.archives import lay_out_model
from src.sandbox.children import Children, group_by_family
from src.sandbox.layers import ALL_LAYERS, Layer, SandboxReport
from src.sandbox.memory_files import ContentChanged, ReplyTampered
from src.sandbox.probe import try_layers
from src.sandbox.tasks import Task
from src.sandbox.wire import Reply
from src.sandbox.zygote_link import SandboxClosed, ZygoteFailed

logger = logging.getLogger(__name__)
_GIBIBYTE: Final = 1024**3
_UNSAFE: Final = "Model files cannot be opened safely on this server: {reason}."

_REFUSALS: Final = Refusals(
    full="{waiting} models are already queued. Retry in {retry} s.",
    late="The model was queued for {waited:g} s, and others are still before it. Retry in {retry} s.",
    closed=lambda: SandboxUnavailable("The service is stopping and opens no more models. Try again later."),
)


class SandboxedModelRunner:
    """A ModelRunner that opens each model in a child of its own, behind the layers of `Layer`.

    Parameters
    ----------
    mode
        What to do if this machine lacks a layer.
    registry
        Name of the module that lists the formats.
    max_children
        How many models may be open at once; further calls wait. None: one for each core, at least two.
    max_waiting
        How many calls of all users may wait. If the queue is full, a user with fewer of them displaces one with more.
    max_wait_s
        Seconds after which a waiting call is rejected.
    deadline_s
        Seconds after which a child is killed.
    memory_bytes
        Address space of one child, its libraries included.
    layers
        The layers to use, for an operator who must do without one; a layer left out counts as missing.
    storage
        A folder with the permissions of the users' folders; the canaries try to read a file in it.
    meters
        Counts the callers that wait, and the ends of children.
    budget
        Charges the processor time of children to the owners of models; None if that is not limited.
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
        meters: Meters = UNMEASURED,
        budget: CoreBudget | None = None,
    ) -> None:
        self._mode = mode
        self._storage = storage
        self._is_root = os.geteuid() == 0
        self._enabled = layers if mode is not SandboxMode.OFF else frozenset()
        self._max_children = max_children or max(2, os.cpu_count() or 1)
        self._queue = FairQueue(
            slots=self._max_children,
            max_waiting=max_waiting,
            max_wait_s=max_wait_s,
            refusals=_REFUSALS,
            meter=meters.queue("models"),
        )
        self._threads = ThreadPoolExecutor(self._max_children, thread_name_prefix="sandbox")
        self._children = Children(
            registry=registry,
            source_root=SOURCE_ROOT,
            max_at_once=self._max_children,
            deadline_s=deadline_s,
            memory_bytes=memory_bytes,
            uses_uids=self._is_root and Layer.UID in self._enabled,
            meter=meters.sandbox,
            budget=budget,
        )
        self._budget = budget
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
        """The report of the canaries; None before they have run."""
        return self._report

    async def probe(self) -> SandboxReport:
        """Run the canary attacks, once, and return their report; raises SandboxUnavailable if no child can start."""
        return await asyncio.to_thread(self._probe)

    async def warm_up(self) -> None:
        """Run the canaries and start the zygote of every family whose libraries are installed."""
        report = await self.probe()
        if not report.accepts_models:
            return
        installed = [
            family
            for family, extensions in group_by_family(self._children.registry).items()
            if all(
                importlib.util.find_spec(module.split(".")[0])
                for extension in extensions
                for module in self._registry.FORMATS[extension].preload
            )
        ]
        # Not in the pool of tasks, so that a model whose family is ready does not wait for other families.
        await asyncio.gather(*(asyncio.to_thread(self._start, family) for family in installed))

    async def inspect(self, file: ModelFile) -> ModelDescription:
        """Open the model once, try it on made-up rows and return its description.

        Raises ModelRejected, MissingLibrary or UnsupportedFormat if the file cannot be used; ModelNotFound, Conflict,
        TimedOut, Busy, SandboxUnavailable.
        """
        made_up = await asyncio.to_thread(made_up_features)
        rows = made_up.values[complete_rows(made_up.values, made_up.names, made_up.names)]
        reply = await self._run_queued(file, partial(Task, kind="inspect", names=made_up.names, values=rows))
        return outcomes.read_description(reply.text, self._children.registry)

    async def predict(
        self,
        file: ModelFile,
        features: Features,
        feature_columns: Sequence[str] | None,
        kind: OutputKind | None,
        *,
        audit_seed: int | None = None,
    ) -> Predictions:
        """Predict every row of `features` that has all columns the model reads; the other rows get NaN.

        Parameters
        ----------
        feature_columns
            The columns that the model receives, in its order; None leaves the choice to the model file.
        kind
            The declared meaning of the predictions; None leaves it to the model file.
        audit_seed
            The order in which the same child then predicts the rows again; None for no audit (see `ModelRunner`).

        Raises InvalidInput if `featureColumns` or `outputKind` does not fit the model; ModelRejected, MissingLibrary,
        UnsupportedFormat, ModelNotFound, Conflict, TimedOut, Busy, SandboxUnavailable.
        """
        task = _prediction_task(features, feature_columns, kind, (len(features.values),))
        reply = await self._run_queued(file, partial(task, audit_seed=audit_seed if len(features.values) else None))
        # In a thread: reading the rows of a million bars would block the event loop.
        return await asyncio.to_thread(_read_predictions, reply, features, is_declared=kind is not None)

    async def predict_prefixes(
        self,
        file: ModelFile,
        features: Features,
        feature_columns: Sequence[str] | None,
        kind: OutputKind | None,
        *,
        lengths: Sequence[int],
    ) -> Sequence[Predictions]:
        """Predict the first rows alone, once for each of these lengths (1 to n), in one child.

        Shorter prefixes are predicted first. Every child starts with the same random numbers. Otherwise, a model that
        draws random numbers would predict all n rows exactly as in `predict`, and would seem repeatable.

        Raises ValueError if there is no length or one is outside 1 to n; the errors of `predict`.
        """
        if not lengths or not all(1 <= length <= len(features.values) for length in lengths):
            raise ValueError(f"lengths {tuple(lengths)}; each must be from 1 to {len(features.values)}")
        rising = sorted(set(lengths))
        reply = await self._run_queued(file, _prediction_task(features, feature_columns, kind, rising))

        def read() -> Sequence[Predictions]:
            parts = np.split(reply.values, np.cumsum(rising)[:-1])
            found = {
                len(part): _read_predictions(
                    replace(reply, values=part), features.head(len(part)), is_declared=kind is not None
                )
                for part in parts
            }
            return [found[length] for length in lengths]

        return await asyncio.to_thread(read)

    async def close(self) -> None:
        """End every zygote and child; calls that still run fail."""
        self._queue.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._children.close)
        await asyncio.to_thread(self._threads.shutdown)

    async def _run_queued(self, file: ModelFile, task: Callable[..., Task]) -> Reply:
        switch = KillSwitch()
        if self._budget is not None:
            self._budget.admit(file.user_id)
        async with self._queue.slot(file.user_id):
            try:
                with paid_by(file.user_id):
                    return await run_in_pool(self._threads, self._run_task, file, task, switch)
            except asyncio.CancelledError:
                switch.cancel()
                raise

    def _run_task(self, file: ModelFile, task: Callable[..., Task], switch: KillSwitch) -> Reply:
        extension = file.extension.lower()
        family = self._registry.family_of(extension)
        report = self._probe()
        if report.refusal is not None:
            raise SandboxUnavailable(_UNSAFE, reason=report.refusal)
        asked = task(family=family, extension=extension, layers=report.layers, model=file.path, sha256=file.sha256)
        try:
            with self._children.slot() as slot, lay_out_model(self._children, asked, slot, switch) as ready:
                outcome = self._children.run(ready, slot, switch)
            return outcomes.to_reply(
                outcome, asked, deadline_s=self._children.deadline_s, registry=self._children.registry
            )
        except outcomes.LayersFailed as claim:
            raise self._check_claim(claim, report) from claim
        except FileNotFoundError as error:
            raise ModelNotFound("The model file does not exist any more.") from error
        except ContentChanged as error:
            logger.error("model file changed on disk: file=%s user=%s", file.path.name, file.user_id)
            raise Conflict(
                "The model file on the server is not the one that was uploaded: it was changed since. Delete it and "
                "upload it again."
            ) from error
        except ZygoteFailed as error:
            logger.error("zygote failed: error=%s", error)
            raise SandboxUnavailable("The process that opens model files failed. Try again.") from error
        except ReplyTampered as error:
            raise outcomes.build_malformed_error(error) from error

    def _check_claim(self, claim: outcomes.LayersFailed, believed: SandboxReport) -> ServiceError:
        """Test the layers again, because a hostile file may report them broken; return the error for the client."""
        report = self._probe(is_anew=True)
        if report.refusal is None and report.layers == believed.layers:
            return outcomes.build_malformed_error(claim)
        logger.error("sandbox layers failed in a child: missing=%s", claim)
        return SandboxUnavailable(_UNSAFE, reason="a layer of the sandbox failed")

    def _probe(self, *, is_anew: bool = False) -> SandboxReport:
        with self._report_lock:
            if self._report is None or is_anew:
                try:
                    self._report = try_layers(self._children, self._mode, self._enabled, self._storage)
                except SandboxClosed as error:
                    raise SandboxUnavailable("The service is stopping and opens no more models.") from error
                except (ZygoteFailed, ReplyTampered, ServiceError) as error:
                    logger.error("canary attacks failed to run: error=%s", error)
                    raise SandboxUnavailable("The process that opens model files cannot be started.") from error
            return self._report

    def _start(self, family: str) -> None:
        try:
            self._children.start(family)
        except SandboxClosed:
            logger.debug("zygote not started, sandbox is closed: family=%s", family)
        except ZygoteFailed as error:
            # The next request for this family starts it again, and reports a failure to its client.
            logger.error("zygote failed to start: family=%s error=%s", family, error)


def _prediction_task(
    features: Features, feature_columns: Sequence[str] | None, kind: OutputKind | None, lengths: Sequence[int]
) -> Callable[..., Task]:
    """Return the rows for a child to predict: the first rows alone, for each of these lengths."""
    return partial(
        Task,
        kind="predict",
        names=features.names,
        requested=tuple(feature_columns) if feature_columns else None,
        values=features.values,
        ranges=tuple((0, length) for length in lengths if length),
        declared=kind,
    )


def _read_predictions(reply: Reply, features: Features, *, is_declared: bool) -> Predictions:
    """Read the predictions in a child's reply; raises ModelRejected if they are invalid."""
    meaning = outcomes.read_output_kind(reply.text)
    columns = outcomes.read_columns(reply.text, features.names)
    is_asked = complete_rows(features.values, features.names, columns)
    outcomes.check_values(reply.values[is_asked], meaning, is_declared=is_declared)
    return Predictions(
        # The child writes 0 for a row without a prediction.
        values=np.where(is_asked, reply.values, np.nan),
        kind=meaning,
        feature_columns=columns,
        warnings=outcomes.read_warnings(reply.text, is_declared=is_declared),
        among_others=None if reply.audit is None else np.where(is_asked, reply.audit, np.nan),
        audit_failure=reply.audit_failure,
    )
