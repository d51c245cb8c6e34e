"""The child: put on every layer, see that they hold, open the one model, compute, write the answer, end.

It runs in a fork of the zygote and never returns. Nothing it writes is believed by the server.
"""

from __future__ import annotations

import dataclasses
import importlib
import mmap
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, MissingLibrary, ModelRejected, ServiceError, UnsupportedFormat
from src.domain.model_files import ModelDescription
from src.domain.signals import OutputKind
from src.features.rows import complete_rows
from src.features.selection import choose_columns
from src.ports import Predictor
from src.sandbox import canaries, identity, landlock, limits, seccomp
from src.sandbox.layers import Layer, LayerMissing
from src.sandbox.memory_files import ANSWER_DESCRIPTOR, JOB_DESCRIPTOR
from src.sandbox.wire import Job, Status, TextTooLong, read_job, write_answer

_STATUS_OF: Final[Mapping[type[ServiceError], Status]] = {
    ModelRejected: Status.REJECTED,
    MissingLibrary: Status.MISSING_LIBRARY,
    UnsupportedFormat: Status.UNSUPPORTED_FORMAT,
    InvalidInput: Status.INVALID_INPUT,
}
_MESSAGE_CHARACTERS: Final = 2000


def run(zygote_pid: int, model: int, job: int, answer: int) -> None:
    """Do one job with these descriptors in this freshly forked process; ends it."""
    identity.place_descriptors((model, job, answer))
    order, values = read_job(JOB_DESCRIPTOR, os.fstat(JOB_DESCRIPTOR).st_size)
    os.close(JOB_DESCRIPTOR)
    memory = mmap.mmap(ANSWER_DESCRIPTOR, os.fstat(ANSWER_DESCRIPTOR).st_size)
    missing = put_on_layers(order, zygote_pid)
    if order.task == "attack":
        breaches = [(breach.attack, breach.layer, breach.effect) for breach in canaries.run_all(order)]
        write_answer(memory, Status.DONE, {"missing": missing, "breaches": breaches})
    elif broken := missing or {breach.layer: str(breach) for breach in canaries.self_test(order)}:
        write_answer(memory, Status.SANDBOX_BROKEN, {"missing": broken})
    else:
        _answer(memory, order, values)
    os._exit(0)


def put_on_layers(job: Job, zygote_pid: int) -> dict[Layer, str]:
    """Put on the job's layers, in their order; return those that this machine refuses, with the reason."""
    has_own_uid = Layer.UID in job.layers and job.uid is not None

    def uid() -> None:
        if job.uid is not None:
            identity.take_uid(job.uid, capabilities=job.capabilities)

    def session() -> None:
        # After the change of user, which undoes two of these, as does giving up capabilities.
        if not has_own_uid:
            identity.drop_capabilities(keeping=job.capabilities)
        os.setsid()
        identity.close_descriptors_from(ANSWER_DESCRIPTOR + 1)
        identity.forbid_inspection()
        identity.die_with(zygote_pid)

    steps: tuple[tuple[Layer, Callable[[], None]], ...] = (
        (Layer.LIMITS, lambda: limits.apply(job.limits, has_own_uid=has_own_uid)),
        (Layer.UID, uid),
        (Layer.SESSION, session),
        (Layer.LANDLOCK, lambda: landlock.apply(job.readable, writable)),
        (Layer.SECCOMP, lambda: seccomp.apply(may_write=bool(writable))),
    )
    writable = (job.folder,) if job.task == "unpack" and job.folder is not None else ()
    missing: dict[Layer, str] = {}
    if job.layers:
        identity.forbid_new_privileges()
    for layer, put_on in steps:
        if layer not in job.layers:
            continue
        try:
            put_on()
        except LayerMissing as error:
            missing[layer] = error.reason
        except (OSError, ValueError) as error:
            missing[layer] = f"the kernel refuses it: {error}"
    return missing


def _answer(memory: mmap.mmap, job: Job, values: NDArray[np.float64]) -> None:
    try:
        text, parts = _compute(job, values)
        write_answer(memory, Status.DONE, text, parts)
    except ServiceError as error:
        status = next((code for kind, code in _STATUS_OF.items() if isinstance(error, kind)), Status.REJECTED)
        text = {"message": error.message[:_MESSAGE_CHARACTERS], "field": getattr(error, "field", None)}
        write_answer(memory, status, text)
    except TextTooLong as error:
        message = (
            f"What the file says of itself, such as the names of its columns, takes {error}. Train the model on fewer "
            "columns, or give them shorter names."
        )
        write_answer(memory, Status.REJECTED, {"message": message})
    except MemoryError:
        message = f"the model needs more than the {job.limits.memory_bytes >> 20} MiB of memory that one may use"
        write_answer(memory, Status.REJECTED, {"message": message})
    except BaseException as error:  # noqa: BLE001 - a model's code may raise anything, SystemExit included
        message = f"the model failed: {type(error).__name__}: {error}"[:_MESSAGE_CHARACTERS]
        write_answer(memory, Status.REJECTED, {"message": message})


def _compute(job: Job, values: NDArray[np.float64]) -> tuple[dict[str, Any], list[NDArray[np.float64]]]:
    registry = importlib.import_module(job.registry)
    if job.task == "unpack":
        registry.prepare(Path(job.model_path), job.extension, Path(str(job.folder)))
        return {}, []
    predictor: Predictor = registry.load_model(Path(job.model_path), job.extension)
    description = predictor.description
    text: dict[str, Any] = {"description": _plain(description)}
    if job.task == "inspect":
        return text, []
    columns = choose_columns(job.names, job.requested, description.feature_names, description.n_features)
    chosen = values[:, [job.names.index(name) for name in columns]]
    is_complete = complete_rows(values, job.names, columns)
    parts: list[NDArray[np.float64]] = []
    kind = job.declared or description.output_kind or OutputKind.VALUE
    for start, stop in job.ranges:
        asked = start + np.flatnonzero(is_complete[start:stop])
        part = np.zeros(stop - start)
        if len(asked):
            # Row by row in memory, whatever was chosen: the last bits of a matrix product depend on it.
            predicted, kind = predictor.predict(np.ascontiguousarray(chosen[asked]), columns, job.declared)
            part[asked - start] = _checked(np.asarray(predicted, dtype=np.float64), asked)
        parts.append(part)
    return text | {"kind": kind, "columns": columns}, parts


def _checked(predicted: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the predictions of these rows; raises ModelRejected if they are not one finite number each."""
    if predicted.shape != rows.shape:
        raise ModelRejected(f"the model answers {len(rows)} rows with an array of shape {predicted.shape}")
    is_finite = np.isfinite(predicted)
    if not is_finite.all():
        wrong = int(np.argmin(is_finite))
        raise ModelRejected(f"the model's prediction for row {rows[wrong]} is {predicted[wrong]}, not a finite number")
    return predicted


def _plain(description: ModelDescription) -> dict[str, Any]:
    fields = {item.name: getattr(description, item.name) for item in dataclasses.fields(description)}
    return fields | {"details": dict(description.details)}
