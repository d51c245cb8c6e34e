"""Turn the outcome of a child into a model's description, its predictions, or an error for the client."""

from __future__ import annotations

import importlib
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, ModelRejected, ServiceError, TimedOut
from src.domain.model_files import ModelDescription
from src.domain.signals import OutputKind
from src.features.selection import choose_columns
from src.model_formats.catalog import OUTPUT_KIND
from src.model_formats.hostile_text import clean
from src.model_formats.sentences import NoSentence, Sentences, from_plain, word
from src.model_formats.undeclared import asks_for_kind
from src.sandbox.layers import Layer
from src.sandbox.tasks import Outcome, Task
from src.sandbox.wire import MalformedReply, Reply, Status, parse_audit, parse_reply

logger = logging.getLogger(__name__)

_MAX_NAMES: Final = 10_000
_MAX_WARNINGS: Final = 20
_MAX_FEATURES: Final = 1_000_000
_PROBABILITY_SLACK: Final = 1e-6
"""How far a probability may lie outside 0…1: float32 models round."""

_SIGNAL_REASONS: Final[Mapping[int, str]] = {
    signal.SIGKILL: "it used more processor time or memory than a model may",
    signal.SIGXCPU: "it used more processor time than a model may",
    signal.SIGXFSZ: "it tried to write a file",
    signal.SIGSYS: "it made a system call that no model needs",
    signal.SIGSEGV: "it crashed (invalid memory access)",
    signal.SIGBUS: "it crashed (bus error)",
    signal.SIGABRT: "its library aborted",
    signal.SIGILL: "it crashed (illegal instruction)",
    signal.SIGFPE: "it crashed (arithmetic error)",
}


class LayersFailed(Exception):
    """A child reports that its own layers do not hold; a hostile model may report that too."""

    def __init__(self, missing: Mapping[Layer, str]) -> None:
        super().__init__(", ".join(f"{layer.value}: {reason}" for layer, reason in missing.items()) or "no layer named")


def to_reply(outcome: Outcome, task: Task, *, deadline_s: float, registry: str) -> Reply:
    """Return the reply of a child that did its task; `registry` names the module that lists the formats.

    Raises TimedOut if the child was killed at its deadline; LayersFailed if it reports that its layers do not hold;
    ModelRejected, MissingLibrary or InvalidInput if it reports an error or died.
    """
    audited = _read_audited(outcome, task) if task.audit_seed is not None else None
    if audited is not None:
        return audited
    if outcome.wait_status is None:
        raise TimedOut("The model took too long. Maximum: {most:g} s (MODEL_TIMEOUT_S).", most=deadline_s)
    try:
        reply = parse_reply(outcome.reply, task.rows)
    except MalformedReply as error:
        raise build_malformed_error(error) from error
    if outcome.wait_status != 0 or reply is None:
        raise build_death_error(outcome.wait_status)
    if reply.status is Status.SANDBOX_BROKEN:
        raise LayersFailed(read_missing_layers(reply.text))
    if reply.status is not Status.DONE:
        raise build_client_error(reply, task, registry)
    return reply


def _read_audited(outcome: Outcome, task: Task) -> Reply | None:
    """Return the reply of a child that predicted and was then audited, however the audit ended; None if it did not
    predict.
    """
    try:
        reply = parse_reply(outcome.reply, task.rows)
    except MalformedReply:
        return None
    if reply is None or reply.status is not Status.DONE:
        return None
    audit = parse_audit(outcome.reply, task.rows) if outcome.wait_status == 0 else None
    if audit is not None:
        return replace(reply, audit=audit)
    end = "failed" if outcome.wait_status == 0 else "took too long" if outcome.wait_status is None else "crashed"
    return replace(reply, audit_failure=f"The model {end} when the same rows were predicted once more.")


def build_malformed_error(error: Exception) -> ModelRejected:
    """Build the error for a reply that no honest child writes, and log what is wrong with it."""
    logger.warning("malformed reply of a sandboxed model: error=%s", clean(str(error)))
    return ModelRejected("The model file was stopped: it gave a reply that no model gives.", field="mlModelFile")


def build_death_error(wait_status: int) -> ModelRejected:
    """Build the error for a child that ended without a reply."""
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        reason = _SIGNAL_REASONS.get(number, f"it ended by signal {number}")
    else:
        reason = "it ended the process before it had replied"
    return ModelRejected("The model file was stopped: {reason}.", field="mlModelFile", reason=reason)


def build_client_error(reply: Reply, task: Task, registry: str) -> ServiceError:
    """Build the error that the child reported; `reply.status` is neither DONE nor SANDBOX_BROKEN.

    The text is the service's own: the child sends codes and parts of the catalog, or facts that are checked here.
    """
    try:
        if reply.status is Status.MISSING_LIBRARY:
            return _missing_library(reply.text, task, registry)
        if reply.status is Status.WRONG_COLUMNS:
            return _wrong_columns(reply.text, task, registry)
        message = from_plain(reply.text.get("sentences"))
    except (MalformedReply, NoSentence) as error:
        return build_malformed_error(error)
    if message.items[0][0] in OUTPUT_KIND:
        return InvalidInput(message, field="outputKind")
    return ModelRejected(message, field="mlModelFile")


def _missing_library(text: Mapping[str, Any], task: Task, registry: str) -> ServiceError:
    error: ServiceError | None = importlib.import_module(registry).reported_missing(text.get("library"), task.extension)
    if error is None:
        raise MalformedReply("no library that the format needs is missing")
    return error


def _wrong_columns(text: Mapping[str, Any], task: Task, registry: str) -> ServiceError:
    described = _description(text.get("description"), registry)
    try:
        choose_columns(task.names, task.requested, described.feature_names, described.n_features)
    except InvalidInput as error:
        return error
    raise MalformedReply("nothing is wrong with the columns")


def read_description(text: Mapping[str, Any], registry: str) -> ModelDescription:
    """Read the description that the child sent; raises ModelRejected if a part of it is invalid."""
    try:
        return _description(text.get("description"), registry)
    except (MalformedReply, NoSentence) as error:
        raise build_malformed_error(error) from error


def read_warnings(text: Mapping[str, Any], *, is_declared: bool) -> tuple[str, ...]:
    """Read the warnings that the child sent; those that ask for `outputKind` are left out if it is declared.

    Raises ModelRejected if one is invalid.
    """
    described = text.get("description")
    try:
        warnings = _warnings(described.get("warnings", []) if isinstance(described, dict) else None)
    except (MalformedReply, NoSentence) as error:
        raise build_malformed_error(error) from error
    return tuple(str(warning) for warning in warnings if not (is_declared and asks_for_kind(warning)))


def _description(given: object, registry: str) -> ModelDescription:
    if not isinstance(given, dict):
        raise MalformedReply("no description")
    n_features = given.get("n_features")
    if n_features is not None and not (type(n_features) is int and 0 < n_features <= _MAX_FEATURES):
        raise MalformedReply("n_features is not a count")
    file_format = given.get("format")
    if not isinstance(file_format, str) or file_format not in importlib.import_module(registry).FORMAT_NAMES:
        raise MalformedReply("an unknown format")
    names = given.get("feature_names")
    details = given.get("details")
    return ModelDescription(
        format=file_format,
        library=word(given.get("library")),
        library_version=word(given["library_version"]) if given.get("library_version") else None,
        n_features=n_features,
        feature_names=None if names is None else _lines(names, _MAX_NAMES),
        output_kind=None if given.get("output_kind") is None else _kind(given["output_kind"]),
        warnings=tuple(map(str, _warnings(given.get("warnings", [])))),
        details={
            word(name): word(value)
            for name, value in list(details.items() if isinstance(details, dict) else ())[:_MAX_WARNINGS]
        },
    )


def read_output_kind(text: Mapping[str, Any]) -> OutputKind:
    """Read what the predictions mean; raises ModelRejected if it is not an output kind."""
    try:
        return _kind(text.get("kind"))
    except MalformedReply as error:
        raise build_malformed_error(error) from error


def read_columns(text: Mapping[str, Any], known: tuple[str, ...]) -> tuple[str, ...]:
    """Read which feature columns the model was given; raises ModelRejected if one is not in `known`."""
    columns = text.get("columns")
    if not isinstance(columns, list) or not all(column in known for column in columns):
        raise build_malformed_error(MalformedReply("the columns are not those of the features"))
    return tuple(columns)


def check_values(values: NDArray[np.float64], kind: OutputKind, *, is_declared: bool) -> None:
    """Check that predictions fit `kind`, which the user declared (`is_declared`) or the file implies.

    Raises ModelRejected if one does not; it names the first such row, counted among the predicted rows.
    """
    if kind is OutputKind.PROBABILITY:
        fits = (values >= -_PROBABILITY_SLACK) & (values <= 1 + _PROBABILITY_SLACK)
        allowed = "from 0 to 1"
    elif kind is OutputKind.BINARY_LABEL:
        fits, allowed = np.isin(values, (0.0, 1.0)), "0 or 1"
    elif kind is OutputKind.SIGNED_LABEL:
        fits, allowed = np.isin(values, (-1.0, 0.0, 1.0)), "-1, 0 or 1"
    else:
        return
    if not fits.all():
        row = int(np.argmin(fits))
        if is_declared:
            raise ModelRejected(
                "The model predicted {got:g} (row {row}). {field} {kind} allows {allowed}.",
                field="outputKind", got=values[row], row=row, kind=kind.value, allowed=allowed,
            )  # fmt: skip
        raise ModelRejected(
            "The model predicted {got:g} (row {row}). Its file says {kind}, which allows {allowed}. Train it with "
            "classes 0 and 1 (flat, long) or -1, 0 and 1 (sell, keep, buy), or declare what its numbers mean as "
            "{@outputKind}.",
            field="mlModelFile", got=values[row], row=row, kind=kind.value, allowed=allowed,
        )  # fmt: skip


def read_missing_layers(text: Mapping[str, Any]) -> dict[Layer, str]:
    """Read which layers a child reports as missing, with cleaned reasons."""
    missing = text.get("missing")
    pairs = missing.items() if isinstance(missing, dict) else ()
    return {Layer(layer): clean(reason, 300) for layer, reason in pairs if layer in Layer.__members__.values()}


def _lines(value: object, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise MalformedReply("a list of words is not one, or too long")
    return tuple(clean(item, 200) for item in value)


def _warnings(value: object) -> tuple[Sentences, ...]:
    if not isinstance(value, list) or len(value) > _MAX_WARNINGS:
        raise MalformedReply("the warnings are no list, or too many")
    return tuple(from_plain(item) for item in value)


def _kind(value: object) -> OutputKind:
    if value not in OutputKind.__members__.values():
        raise MalformedReply("unknown output kind")
    return OutputKind(str(value))
