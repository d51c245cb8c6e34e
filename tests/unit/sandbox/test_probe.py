"""The canaries: silent where every layer holds, and each layer's absence is noticed by its own."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from src.concurrency.child_process import KillSwitch
from src.domain.model_files import SandboxMode
from src.sandbox import canaries, outcomes
from src.sandbox.children import Children
from src.sandbox.layers import ALL_LAYERS, Layer
from src.sandbox.probe import try_layers, weigh
from src.sandbox.tasks import Task
from src.sandbox.wire import Answer
from tests.security.hostile import PLAIN_FORMATS, ROOT, Laboratory


def attacked(lab: Laboratory, folder: Path, without: set[Layer]) -> Answer:
    secret = folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    layers = ALL_LAYERS - without - (set() if lab.children.has_uids else {Layer.UID})
    task = Task(kind="attack", family="plain", extension=".pkl", layers=layers, server_files=(str(secret),))
    with lab.children.slot() as slot:
        outcome = lab.children.run(task, slot, KillSwitch())
    return outcomes.judge(outcome, task, deadline_s=1.0, registry=PLAIN_FORMATS)


def breached_layers(answer: Answer) -> set[str]:
    return {layer for _, layer, _ in answer.text["breaches"]}


def test_with_every_layer_no_attack_succeeds(lab: Laboratory, tmp_path: Path) -> None:
    answer = attacked(lab, tmp_path, set())
    assert answer.text == {"missing": {}, "breaches": []}
    assert weigh(answer, SandboxMode.STRICT, {}).accepts_models


@pytest.mark.parametrize("layer", [Layer.SESSION, Layer.LIMITS, Layer.LANDLOCK, Layer.SECCOMP])
def test_a_missing_layer_is_noticed_by_its_own_canaries(lab: Laboratory, tmp_path: Path, layer: Layer) -> None:
    answer = attacked(lab, tmp_path, {layer})
    assert breached_layers(answer) == {layer.value}
    report = weigh(answer, SandboxMode.STRICT, {})
    assert layer.value in (report.refusal or "")
    assert layer not in report.layers


def test_without_seccomp_nearly_every_forbidden_call_gets_through(lab: Laboratory, tmp_path: Path) -> None:
    effects = [effect for _, layer, effect in attacked(lab, tmp_path, {Layer.SECCOMP}).text["breaches"]]
    assert len(effects) > 15
    assert any("starts processes" in effect for effect in effects)


def test_threads_without_bound_are_noticed(lab: Laboratory, tmp_path: Path) -> None:
    assert "threads" in {attack for attack, _, _ in attacked(lab, tmp_path, {Layer.LIMITS}).text["breaches"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another uid to give")
def test_a_missing_uid_is_noticed(lab: Laboratory, tmp_path: Path) -> None:
    assert breached_layers(attacked(lab, tmp_path, {Layer.UID})) == {Layer.UID.value}


def test_degraded_needs_somebody_to_keep_the_servers_files(lab: Laboratory, tmp_path: Path) -> None:
    answer = attacked(lab, tmp_path, {Layer.LANDLOCK, Layer.UID})
    assert canaries.SERVER_FILE in {attack for attack, _, _ in answer.text["breaches"]}
    assert "the server's files and STORAGE_DIR" in (weigh(answer, SandboxMode.DEGRADED, {}).refusal or "")


@pytest.mark.parametrize(("mode", "is_kept"), [(0o700, True), (0o755, False)])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another uid to give")
def test_degraded_needs_users_files_to_be_closed_to_another_uid(mode: int, is_kept: bool) -> None:
    """Without Landlock only the other uid is between a model and them."""
    children = Children(
        registry=PLAIN_FORMATS,
        source_root=ROOT,
        max_at_once=1,
        deadline_s=5.0,
        memory_bytes=1 << 30,
        uses_uids=True,
    )
    # As where the interpreter can be read by all.
    whole = children._child_task
    children._child_task = lambda task, slot: replace(whole(task, slot), capabilities=())  # type: ignore[method-assign]
    storage = Path(tempfile.mkdtemp(prefix="storage-"))
    storage.chmod(mode)
    try:
        report = try_layers(children, SandboxMode.DEGRADED, ALL_LAYERS - {Layer.LANDLOCK}, storage)
        assert report.accepts_models is is_kept, report
        assert ("STORAGE_DIR" in (report.refusal or "")) is not is_kept
        assert list(storage.iterdir()) == []
    finally:
        children.close()
        storage.rmdir()


def test_what_the_kernel_refuses_is_missing_with_its_reason() -> None:
    answer = Answer(status=1, values=[], text={"missing": {"landlock": "not\x00here"}, "breaches": []})  # type: ignore[arg-type]
    report = weigh(answer, SandboxMode.STRICT, {Layer.UID: "no root"})
    assert report.missing == {Layer.LANDLOCK: "not here", Layer.UID: "no root"}
    assert "landlock: not here" in (report.refusal or "")
