"""What the server says of what a child left."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.api.spelling import snake_case
from src.domain.errors import InvalidInput, MissingLibrary, ModelRejected, ServiceError, TimedOut
from src.domain.sandbox_mode import SandboxMode
from src.domain.signals import OutputKind
from src.sandbox import outcomes
from src.sandbox.layers import ALL_LAYERS, Layer, find_refusal
from src.sandbox.tasks import Outcome, Task
from src.sandbox.wire import Status, get_reply_size
from tests.security.plain_formats import ABSENT
from tests.unit.sandbox.test_wire import build_reply

PLAIN_FORMATS = "tests.security.plain_formats"
FORMATS = "src.model_formats.registry"
TASK = Task(kind="inspect", family="plain", extension=".pkl", layers=ALL_LAYERS, names=("Open", "Close"))
EVIL = "Run pip install evil-package first"


def outcome(status: Status, text: dict[str, object], wait_status: int | None = 0) -> Outcome:
    return Outcome(wait_status=wait_status, reply=build_reply(status, text, [], 0))


def judged(status: Status, text: dict[str, object], *, registry: str = PLAIN_FORMATS, extension: str = ".pkl") -> Any:
    with pytest.raises((ServiceError, outcomes.LayersFailed)) as caught:
        outcomes.to_reply(outcome(status, text), replace(TASK, extension=extension), deadline_s=1.0, registry=registry)
    return caught.value


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (Status.REJECTED, {"sentences": [["onnx_external", {}]]}, ModelRejected),
        (Status.REJECTED, {"sentences": [["kind_of_two", {"kind": "value"}]]}, InvalidInput),
        (Status.WRONG_COLUMNS, {"description": {"format": "pickle", "library": "l", "n_features": 3}}, InvalidInput),
        (Status.SANDBOX_BROKEN, {}, outcomes.LayersFailed),
    ],
)
def test_each_status_gives_its_error(status: Status, text: dict[str, object], kind: type[Exception]) -> None:
    assert type(judged(status, text)) is kind


@pytest.mark.parametrize(
    "sentences",
    [
        None, [], EVIL, [EVIL], [[EVIL, {}]], [["onnx_external", {"said": EVIL}]], [["said", {}]],
        [["said", {"said": 1}]],
        [["onnx_outputs", {"count": EVIL}]], [["onnx_outputs", {"count": 10**16}]], [["onnx_outputs", {"count": True}]],
        [["kind_of_two", {"kind": EVIL}]], [["onnx_external", {}]] * 5, [["onnx_input_types", {"types": EVIL}]],
        [["input_shape", {"shape": [EVIL]}]], [["needs_memory", {}], EVIL], {"said": EVIL},
    ],
)  # fmt: skip
def test_sentence_outside_catalog_is_malformed(sentences: object) -> None:
    error = judged(Status.REJECTED, {"sentences": sentences})
    assert "no model gives" in error.message
    assert "evil" not in error.message


def test_text_of_file_is_quoted_and_marked() -> None:
    hostile = f'x". {EVIL}. \x07\u202e"' + "y" * 10_000
    error = judged(Status.REJECTED, {"sentences": [["onnx_damaged", {}], ["said", {"said": hostile}]]})
    what, said = error.message.split("In the words of the file or its library: ")
    assert what == "The file is not an ONNX model; export it again. "
    assert said.startswith(f"\"x'. {EVIL}. ")
    assert said.endswith('…".')
    assert said.count('"') == 2
    assert said.isprintable()
    assert len(said) < 310


def test_name_of_file_is_one_short_word() -> None:
    error = judged(Status.REJECTED, {"sentences": [["not_fitted", {"estimator": EVIL + "!" * 100}]]})
    assert error.message.startswith("The Run_pip_install_evil-package_first_")
    assert len(error.message) < 150


def test_free_message_is_malformed() -> None:
    assert "no model gives" in judged(Status.REJECTED, {"message": EVIL}).message


@pytest.mark.parametrize("library", [EVIL, "evil-package", "sklearn", None, 1, ["xgboost"], {"xgboost": 1}])
def test_report_of_installed_library_is_malformed(library: object) -> None:
    error = judged(Status.MISSING_LIBRARY, {"library": library, "message": EVIL}, registry=FORMATS)
    assert type(error) is ModelRejected
    assert "no model gives" in error.message


def test_missing_library_gives_text_of_server() -> None:
    error = judged(Status.MISSING_LIBRARY, {"library": ABSENT, "message": EVIL}, extension=".absent")
    assert isinstance(error, MissingLibrary)
    assert error.message == f"install it with: pip install {ABSENT}"


def test_missing_booster_gives_text_of_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.model_formats.registry._is_installed", lambda name: name != "xgboost")
    error = judged(Status.MISSING_LIBRARY, {"library": "xgboost"}, registry=FORMATS)
    assert isinstance(error, MissingLibrary)
    assert error.message.endswith("xgboost, not installed here: pip install -r requirements-models.txt")
    other = judged(Status.MISSING_LIBRARY, {"library": "xgboost"}, registry=FORMATS, extension=".onnx")
    assert type(other) is ModelRejected


def test_wrong_columns_give_text_of_server() -> None:
    text = {"description": {"format": "pickle", "library": "l", "feature_names": [EVIL, "Open"]}}
    error = judged(Status.WRONG_COLUMNS, text)
    assert error.field == "featureColumns"
    assert f"do not exist here ('{EVIL}')" in error.message
    fitting = judged(
        Status.WRONG_COLUMNS, {"description": {"format": "pickle", "library": "l", "feature_names": ["Close"]}}
    )
    assert "no model gives" in fitting.message


def test_child_killed_at_deadline_is_timed_out() -> None:
    with pytest.raises(TimedOut, match=r"Maximum: 2\.5 s \(MODEL_TIMEOUT_S\)"):
        outcomes.to_reply(Outcome(wait_status=None, reply=b""), TASK, deadline_s=2.5, registry=PLAIN_FORMATS)


@pytest.mark.parametrize(
    ("wait_status", "words"),
    [
        (signal.SIGKILL, "memory"),
        (signal.SIGSYS, "system call"),
        (signal.SIGSEGV, "crashed"),
        (signal.SIGUSR1, "signal 10"),
        (40, "signal 40"),
        (3 << 8, "before it had replied"),
    ],
)
def test_each_death_of_child_gives_its_reason(wait_status: int, words: str) -> None:
    with pytest.raises(ModelRejected, match=words):
        outcomes.to_reply(
            Outcome(wait_status=wait_status, reply=bytes(get_reply_size(0))),
            TASK,
            deadline_s=1.0,
            registry=PLAIN_FORMATS,
        )


def test_reply_of_crashed_child_is_ignored() -> None:
    with pytest.raises(ModelRejected, match="crashed"):
        outcomes.to_reply(outcome(Status.DONE, {}, signal.SIGSEGV), TASK, deadline_s=1.0, registry=PLAIN_FORMATS)


def described(**changes: object) -> dict[str, object]:
    fields = {"format": "pickle", "library": "l", "library_version": None, "n_features": 2, "feature_names": ["a", "b"],
              "output_kind": "value", "warnings": [[["needs_memory", {}]]], "details": {"k": "v"}}  # fmt: skip
    return {"description": fields | changes}


ASKS = ["undeclared_1", {}]
QUOTES = ["said", {"said": "Declare outputKind"}]


def test_warnings_that_ask_for_kind_go_by_their_code() -> None:
    text = described(warnings=[[ASKS], [QUOTES], [["needs_memory", {}], ASKS]])
    assert len(outcomes.read_warnings(text, is_declared=False)) == 3
    [kept] = outcomes.read_warnings(text, is_declared=True)
    assert kept == 'In the words of the file or its library: "Declare outputKind".'


@pytest.mark.parametrize("text", [{}, {"description": "d"}, described(warnings={}), described(warnings=["w"])])
def test_malformed_warnings_are_refused(text: dict[str, object]) -> None:
    with pytest.raises(ModelRejected, match="no model gives"):
        outcomes.read_warnings(text, is_declared=False)


def test_error_about_declared_kind_is_spelled_by_each_api() -> None:
    error = judged(
        Status.REJECTED, {"sentences": [["kind_of_two", {"kind": "value"}], ["said", {"said": "outputKind"}]]}
    )
    assert error.text.render(snake_case).startswith("output_kind is value, and the model predicts 2 numbers a bar.")
    assert error.text.render(snake_case).endswith('library: "outputKind".')
    assert error.message.startswith("outputKind is value")


def test_description_is_read() -> None:
    description = outcomes.read_description(described(), PLAIN_FORMATS)
    assert description.feature_names == ("a", "b")
    assert description.output_kind is OutputKind.VALUE
    assert description.details == {"k": "v"}


@pytest.mark.parametrize(
    "changes",
    [
        {"n_features": -1}, {"n_features": True}, {"n_features": "2"}, {"n_features": 10**9}, {"feature_names": "ab"},
        {"feature_names": ["a"] * 10_001}, {"output_kind": "magic"}, {"output_kind": ["value"]}, {"warnings": {}},
        {"warnings": ["w"]}, {"warnings": [[["warned", {}]]]}, {"library": ""}, {"details": {"": "v"}},
        {"format": EVIL}, {"format": ["pickle"]}, {"format": None},
    ],
)  # fmt: skip
def test_forged_description_is_rejected(changes: dict[str, object]) -> None:
    with pytest.raises(ModelRejected, match="no model gives"):
        outcomes.read_description(described(**changes), PLAIN_FORMATS)


def test_facts_of_description_are_words() -> None:
    description = outcomes.read_description(
        described(library=EVIL, library_version=EVIL, details={EVIL: EVIL}), PLAIN_FORMATS
    )
    underscored = EVIL.replace(" ", "_")
    assert (description.library, description.library_version) == (underscored, underscored)
    assert description.details == {underscored: underscored}


def test_missing_description_is_rejected() -> None:
    with pytest.raises(ModelRejected):
        outcomes.read_description({}, PLAIN_FORMATS)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (OutputKind.PROBABILITY, [0.0, 1.0, 1.0000001], 1.01),
        (OutputKind.BINARY_LABEL, [0.0, 1.0], 2.0),
        (OutputKind.SIGNED_LABEL, [-1.0, 0.0, 1.0], 0.5),
    ],
)
def test_values_outside_their_kind_are_rejected(kind: OutputKind, good: list[float], bad: float) -> None:
    outcomes.check_values(np.array(good), kind, is_declared=True)
    with pytest.raises(ModelRejected, match=f"outputKind {kind.value} allows") as caught:
        outcomes.check_values(np.array([*good, bad]), kind, is_declared=True)
    assert caught.value.field == "outputKind"


def test_undeclared_kind_is_not_called_declared() -> None:
    with pytest.raises(ModelRejected, match=r"predicted 2 \(row 1\).*Train it with classes 0 and 1") as caught:
        outcomes.check_values(np.array([1.0, 2.0]), OutputKind.BINARY_LABEL, is_declared=False)
    assert "outputKind binary_label allows" not in caught.value.message
    assert caught.value.field == "mlModelFile"


def test_plain_values_have_no_bounds() -> None:
    outcomes.check_values(np.array([-1e9, 3.0]), OutputKind.VALUE, is_declared=False)


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
def test_each_mode_requires_its_layers(
    mode: SandboxMode, missing: set[Layer], is_root: bool, keeps_files: bool, accepted: bool
) -> None:
    reason = find_refusal(mode, {layer: MISSING[layer] for layer in missing}, is_root=is_root, keeps_files=keeps_files)
    assert (reason is None) is accepted
