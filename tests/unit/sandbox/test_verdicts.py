"""What the server says of what a child left."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from src.domain.errors import (
    InvalidInput,
    MissingLibrary,
    ModelRejected,
    TimedOut,
    UnsupportedFormat,
)
from src.domain.model_files import SandboxMode
from src.domain.signals import OutputKind
from src.sandbox import verdicts
from src.sandbox.layers import ALL_LAYERS, Layer, refusal
from src.sandbox.tasks import Outcome
from src.sandbox.wire import Status, answer_size
from tests.unit.sandbox.test_wire import answered


def outcome(status: Status, text: dict[str, object], wait_status: int | None = 0) -> Outcome:
    return Outcome(wait_status=wait_status, answer=answered(status, text, [], 0))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.REJECTED, ModelRejected),
        (Status.INVALID_INPUT, InvalidInput),
        (Status.MISSING_LIBRARY, MissingLibrary),
        (Status.UNSUPPORTED_FORMAT, UnsupportedFormat),
        (Status.SANDBOX_BROKEN, verdicts.LayersWanting),
    ],
)
def test_each_status_is_one_error(status: Status, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        verdicts.judge(outcome(status, {"message": "why\x07"}), expected_rows=0, deadline_s=1.0)
    assert type(caught.value) is kind
    assert "\x07" not in str(caught.value)


def test_only_known_fields_are_blamed() -> None:
    for field, shown in (("featureColumns", "featureColumns"), ("password", None), ({"a": 1}, None)):
        error = verdicts.client_error(Status.INVALID_INPUT, {"message": "m", "field": field})
        assert isinstance(error, InvalidInput)
        assert error.field == shown


def test_no_message_is_no_empty_error() -> None:
    assert "no reason" in verdicts.client_error(Status.REJECTED, {}).message


def test_a_deadline_is_a_time_out() -> None:
    with pytest.raises(TimedOut, match=r"2\.5 seconds"):
        verdicts.judge(Outcome(wait_status=None, answer=b""), expected_rows=0, deadline_s=2.5)


@pytest.mark.parametrize(
    ("wait_status", "words"),
    [
        (signal.SIGKILL, "memory"),
        (signal.SIGSYS, "system call"),
        (signal.SIGSEGV, "crashed"),
        (signal.SIGUSR1, "signal 10"),
        (40, "signal 40"),
        (3 << 8, "before it had answered"),
    ],
)
def test_each_death_has_a_reason(wait_status: int, words: str) -> None:
    with pytest.raises(ModelRejected, match=words):
        verdicts.judge(Outcome(wait_status=wait_status, answer=bytes(answer_size(0))), expected_rows=0, deadline_s=1.0)


def test_an_answer_of_a_process_that_crashed_is_none() -> None:
    with pytest.raises(ModelRejected, match="crashed"):
        verdicts.judge(outcome(Status.DONE, {}, signal.SIGSEGV), expected_rows=0, deadline_s=1.0)


def described(**changes: object) -> dict[str, object]:
    fields = {"format": "f", "library": "l", "library_version": None, "n_features": 2, "feature_names": ["a", "b"],
              "output_kind": "value", "warnings": ["w"], "details": {"k": "v"}}  # fmt: skip
    return {"description": fields | changes}


def test_a_description_is_read() -> None:
    description = verdicts.description_of(described())
    assert description.feature_names == ("a", "b")
    assert description.output_kind is OutputKind.VALUE
    assert description.details == {"k": "v"}


@pytest.mark.parametrize(
    "changes",
    [
        {"n_features": -1}, {"n_features": True}, {"n_features": "2"}, {"n_features": 10**9}, {"feature_names": "ab"},
        {"feature_names": ["a"] * 10_001}, {"output_kind": "magic"}, {"output_kind": ["value"]}, {"warnings": {}},
    ],
)  # fmt: skip
def test_a_forged_description_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ModelRejected, match="no model gives"):
        verdicts.description_of(described(**changes))


def test_no_description_is_refused() -> None:
    with pytest.raises(ModelRejected):
        verdicts.description_of({})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (OutputKind.PROBABILITY, [0.0, 1.0, 1.0000001], 1.01),
        (OutputKind.BINARY_LABEL, [0.0, 1.0], 2.0),
        (OutputKind.SIGNED_LABEL, [-1.0, 0.0, 1.0], 0.5),
    ],
)
def test_values_must_be_what_they_are_called(kind: OutputKind, good: list[float], bad: float) -> None:
    verdicts.check_values(np.array(good), kind, is_declared=True)
    with pytest.raises(ModelRejected, match=f"outputKind is {kind.value}") as caught:
        verdicts.check_values(np.array([*good, bad]), kind, is_declared=True)
    assert caught.value.field == "outputKind"


def test_what_nobody_declared_is_not_said_to_be_declared() -> None:
    with pytest.raises(ModelRejected, match=r"says 2 \(row 1\).*Train it with classes 0 and 1") as caught:
        verdicts.check_values(np.array([1.0, 2.0]), OutputKind.BINARY_LABEL, is_declared=False)
    assert "outputKind is" not in caught.value.message
    assert caught.value.field == "mlModelFile"


def test_plain_values_may_be_anything() -> None:
    verdicts.check_values(np.array([-1e9, 3.0]), OutputKind.VALUE, is_declared=False)


MISSING = dict.fromkeys(Layer, "not there")


@pytest.mark.parametrize(
    ("mode", "missing", "is_root", "keeps_files", "accepted"),
    [
        (SandboxMode.STRICT, set(), True, True, True),
        (SandboxMode.STRICT, {Layer.UID}, False, True, True),
        (SandboxMode.STRICT, {Layer.UID}, True, True, False),
        (SandboxMode.STRICT, {Layer.LANDLOCK}, True, True, False),
        (SandboxMode.STRICT, {Layer.SECCOMP}, False, True, False),
        (SandboxMode.DEGRADED, {Layer.LANDLOCK}, True, True, True),
        (SandboxMode.DEGRADED, {Layer.LANDLOCK}, True, False, False),
        (SandboxMode.DEGRADED, {Layer.LANDLOCK, Layer.UID}, False, False, False),
        (SandboxMode.DEGRADED, {Layer.SECCOMP}, True, True, False),
        (SandboxMode.DEGRADED, {Layer.LIMITS}, True, True, False),
        (SandboxMode.OFF, set(ALL_LAYERS), True, False, True),
    ],
)
def test_what_each_mode_demands(
    mode: SandboxMode, missing: set[Layer], is_root: bool, keeps_files: bool, accepted: bool
) -> None:
    reason = refusal(mode, {layer: MISSING[layer] for layer in missing}, is_root=is_root, keeps_files=keeps_files)
    assert (reason is None) is accepted
