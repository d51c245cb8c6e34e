"""Run one task in a child: apply every layer, test them, open the model, compute, write the reply, end.

It runs in a fork of the zygote and never returns. The server trusts nothing that it writes.
"""

from __future__ import annotations

import dataclasses
import importlib
import mmap
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, MissingLibrary, ServiceError
from src.domain.model_files import ModelDescription
from src.domain.signals import OutputKind
from src.features.rows import complete_rows
from src.features.selection import choose_columns
from src.judgement.row_order import draw_parts, join_parts
from src.model_formats.failures import refused
from src.model_formats.sentences import Sentences, sentence, to_plain
from src.ports.computing import Predictor
from src.sandbox import canaries, identity, landlock, limits, seccomp
from src.sandbox.layers import Layer, LayerMissing
from src.sandbox.memory_files import REPLY_DESCRIPTOR, TASK_DESCRIPTOR
from src.sandbox.trial import try_out
from src.sandbox.wire import MAX_TEXT_BYTES, ChildTask, Status, TextTooLong, read_task, write_audit, write_reply

_SAID_CHARACTERS: Final = 2000


class _WrongColumns(Exception):
    """The columns that a backtest offers, or names, are not those that the model expects."""


def run(zygote_pid: int, model: int, task: int, reply: int) -> None:
    """Do one task with these descriptors in this freshly forked process, then end the process."""
    identity.place_descriptors((model, task, reply))
    order, values = read_task(TASK_DESCRIPTOR, os.fstat(TASK_DESCRIPTOR).st_size)
    os.close(TASK_DESCRIPTOR)
    memory = mmap.mmap(REPLY_DESCRIPTOR, os.fstat(REPLY_DESCRIPTOR).st_size)
    missing = apply_layers(order, zygote_pid)
    if order.kind == "attack":
        breaches = [(breach.attack, breach.layer, breach.effect) for breach in canaries.run_all(order)]
        write_reply(memory, Status.DONE, {"missing": missing, "breaches": breaches})
    elif broken := missing or {breach.layer: str(breach) for breach in canaries.self_test(order)}:
        write_reply(memory, Status.SANDBOX_BROKEN, {"missing": broken})
    else:
        _run_task(memory, order, values)
    os._exit(0)


def apply_layers(task: ChildTask, zygote_pid: int) -> dict[Layer, str]:
    """Apply the task's layers, in their order; return those that this machine refuses, with the reason."""
    has_own_uid = Layer.UID in task.layers and task.uid is not None

    def uid() -> None:
        if task.uid is not None:
            identity.take_uid(task.uid, capabilities=task.capabilities)

    def session() -> None:
        # After the change of user and the loss of capabilities, which undo two of these.
        if not has_own_uid:
            identity.drop_capabilities(keeping=task.capabilities)
        os.setsid()
        identity.close_descriptors_from(REPLY_DESCRIPTOR + 1)
        identity.forbid_inspection()
        identity.die_with(zygote_pid)

    steps: tuple[tuple[Layer, Callable[[], None]], ...] = (
        (Layer.LIMITS, lambda: limits.apply(task.limits, has_own_uid=has_own_uid)),
        (Layer.UID, uid),
        (Layer.SESSION, session),
        (Layer.LANDLOCK, lambda: landlock.apply(task.readable, writable)),
        (Layer.SECCOMP, lambda: seccomp.apply(may_write=bool(writable))),
    )
    writable = (task.folder,) if task.kind == "unpack" and task.folder is not None else ()
    missing: dict[Layer, str] = {}
    if task.layers:
        identity.forbid_new_privileges()
    for layer, put_on in steps:
        if layer not in task.layers:
            continue
        try:
            put_on()
        except LayerMissing as error:
            missing[layer] = error.reason
        except (OSError, ValueError) as error:
            missing[layer] = f"the kernel refuses it: {error}"
    return missing


def _run_task(memory: mmap.mmap, task: ChildTask, values: NDArray[np.float64]) -> None:
    described: dict[str, Any] = {}
    try:
        rows = _open(task, values, described)
        predicted = [] if rows is None else _predict_ranges(rows, task, described)
        write_reply(memory, Status.DONE, described, predicted)
    except _WrongColumns:
        write_reply(memory, Status.WRONG_COLUMNS, described)
    except MissingLibrary as error:
        write_reply(memory, Status.MISSING_LIBRARY, {"library": error.library})
    except TextTooLong as error:
        _refuse(memory, sentence("description_too_long", size=error.size_bytes, most=MAX_TEXT_BYTES))
    except MemoryError:
        _refuse(memory, sentence("needs_mebibytes", mebibytes=task.limits.memory_bytes >> 20))
    except BaseException as error:  # noqa: BLE001 - a model's code may raise anything, SystemExit included
        if isinstance(error, ServiceError) and isinstance(error.text, Sentences):
            _refuse(memory, error.text)
        else:
            _refuse(memory, sentence("failed", said=f"{type(error).__name__}: {error}"[:_SAID_CHARACTERS]))
    else:
        if rows is not None and task.audit_seed is not None:
            # The reply is already complete. If the model's code raises here, the server sees that the audit is missing.
            with suppress(BaseException):
                write_audit(memory, rows.predict_in_parts(task.ranges[0], predicted[0], task.audit_seed))


def _refuse(memory: mmap.mmap, message: Sentences) -> None:
    write_reply(memory, Status.REJECTED, {"sentences": to_plain(message)})


class _Rows:
    """Predicts ranges of a task's rows; a row without a column that the model reads gets 0."""

    def __init__(
        self, predictor: Predictor, task: ChildTask, columns: tuple[str, ...], values: NDArray[np.float64]
    ) -> None:
        self.columns = columns
        self.kind = task.declared or predictor.description.output_kind or OutputKind.VALUE
        self._predictor = predictor
        self._declared = task.declared
        self._chosen = values[:, [task.names.index(name) for name in columns]]
        self._is_complete = complete_rows(values, task.names, columns)

    def predict(self, span: tuple[int, int]) -> NDArray[np.float64]:
        """Return the predictions of a range (start, stop) of rows."""
        asked = self._list_complete(span)
        return self._spread(span, asked, self._ask(asked))

    def predict_in_parts(self, span: tuple[int, int], predicted: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
        """Return the predictions of a range (start, stop) of rows that were predicted before, in shuffled parts."""
        asked = self._list_complete(span)
        parts = draw_parts(predicted[asked - span[0]], seed)
        return self._spread(span, asked, join_parts(parts, [self._ask(asked[part]) for part in parts]))

    def _list_complete(self, span: tuple[int, int]) -> NDArray[np.int64]:
        start, stop = span
        return start + np.flatnonzero(self._is_complete[start:stop])

    def _ask(self, asked: NDArray[np.int64]) -> NDArray[np.float64]:
        if not len(asked):
            return np.zeros(0)
        # Contiguous rows for any choice of columns: the last bits of a matrix product depend on the layout.
        rows = np.ascontiguousarray(self._chosen[asked])
        predicted, self.kind = self._predictor.predict(rows, self.columns, self._declared)
        return _checked(np.asarray(predicted, dtype=np.float64), asked)

    @staticmethod
    def _spread(span: tuple[int, int], asked: NDArray[np.int64], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        start, stop = span
        part = np.zeros(stop - start)
        part[asked - start] = predicted
        return part


def _open(task: ChildTask, values: NDArray[np.float64], described: dict[str, Any]) -> _Rows | None:
    """Open the model, describe it in `described` (the JSON of the reply), and return its rows.

    Returns None if there are no rows to predict: the task was to unpack or to inspect, and is then done.
    """
    registry = importlib.import_module(task.registry)
    if task.kind == "unpack":
        registry.prepare(Path(task.model_path), task.extension, Path(str(task.folder)))
        return None
    predictor: Predictor = registry.load_model(Path(task.model_path), task.extension)
    description = predictor.description
    described["description"] = _plain(description)
    if task.kind == "inspect":
        notes = try_out(predictor, task.names, values)
        described["description"]["warnings"] += [to_plain(note) for note in notes]
        return None
    try:
        columns = choose_columns(task.names, task.requested, description.feature_names, description.n_features)
    except InvalidInput as error:
        raise _WrongColumns from error
    return _Rows(predictor, task, columns, values)


def _predict_ranges(rows: _Rows, task: ChildTask, described: dict[str, Any]) -> Sequence[NDArray[np.float64]]:
    parts = [rows.predict(span) for span in task.ranges]
    described |= {"kind": rows.kind, "columns": rows.columns}
    return parts


def _checked(predicted: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the predictions of these rows; raises ModelRejected if they are not one finite number a row."""
    if predicted.shape != rows.shape:
        raise refused("rows_and_shape", rows=len(rows), shape=[int(size) for size in predicted.shape])
    is_finite = np.isfinite(predicted)
    if not is_finite.all():
        raise refused("not_finite", row=int(rows[int(np.argmin(is_finite))]))
    return predicted


def _plain(description: ModelDescription) -> dict[str, Any]:
    fields = {item.name: getattr(description, item.name) for item in dataclasses.fields(description)}
    return fields | {
        "details": dict(description.details),
        "warnings": [to_plain(warning) for warning in description.warnings],
    }
