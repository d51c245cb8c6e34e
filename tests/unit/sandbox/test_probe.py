"""The canaries: silent where every layer holds, and each layer's absence is noticed by its own."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from src.concurrency.child_process import KillSwitch
from src.domain.sandbox_mode import SandboxMode
from src.sandbox import canaries, outcomes
from src.sandbox.children import Children
from src.sandbox.layers import ALL_LAYERS, Layer
from src.sandbox.probe import build_report, try_layers
from src.sandbox.tasks import Task
from src.sandbox.wire import Reply
from tests.security.hostile import PLAIN_FORMATS, ROOT, Laboratory


def attacked(lab: Laboratory, folder: Path, without: set[Layer]) -> Reply:
    secret = folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    layers = ALL_LAYERS - without - (set() if lab.children.has_uids else {Layer.UID})
    task = Task(kind="attack", family="plain", extension=".pkl", layers=layers, server_files=(str(secret),))
    with lab.children.slot() as slot:
        outcome = lab.children.run(task, slot, KillSwitch())
    return outcomes.to_reply(outcome, task, deadline_s=1.0, registry=PLAIN_FORMATS)


def breached_layers(reply: Reply) -> set[str]:
    return {layer for _, layer, _ in reply.text["breaches"]}


def test_with_every_layer_no_attack_succeeds(lab: Laboratory, tmp_path: Path) -> None:
    reply = attacked(lab, tmp_path, set())
    assert reply.text == {"missing": {}, "breaches": []}
    assert build_report(reply, SandboxMode.STRICT, {}).accepts_models


@pytest.mark.parametrize("layer", [Layer.SESSION, Layer.LIMITS, Layer.LANDLOCK, Layer.SECCOMP])
def test_missing_layer_is_found_by_its_canaries(lab: Laboratory, tmp_path: Path, layer: Layer) -> None:
    reply = attacked(lab, tmp_path, {layer})
    assert breached_layers(reply) == {layer.value}
    report = build_report(reply, SandboxMode.STRICT, {})
    assert layer.value in (report.refusal or "")
    assert layer not in report.layers


def test_most_forbidden_calls_succeed_without_seccomp(lab: Laboratory, tmp_path: Path) -> None:
    effects = [effect for _, layer, effect in attacked(lab, tmp_path, {Layer.SECCOMP}).text["breaches"]]
    assert len(effects) > 15
    assert any("starts processes" in effect for effect in effects)


def test_unbounded_threads_are_found_by_canary(lab: Laboratory, tmp_path: Path) -> None:
    assert "threads" in {attack for attack, _, _ in attacked(lab, tmp_path, {Layer.LIMITS}).text["breaches"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another uid to give")
def test_missing_uid_is_found_by_canary(lab: Laboratory, tmp_path: Path) -> None:
    assert breached_layers(attacked(lab, tmp_path, {Layer.UID})) == {Layer.UID.value}


def test_degraded_mode_requires_server_files_closed(lab: Laboratory, tmp_path: Path) -> None:
    reply = attacked(lab, tmp_path, {Layer.LANDLOCK, Layer.UID})
    assert canaries.SERVER_FILE in {attack for attack, _, _ in reply.text["breaches"]}
    assert "the server's files and STORAGE_DIR" in (build_report(reply, SandboxMode.DEGRADED, {}).refusal or "")


@pytest.mark.parametrize(("mode", "is_kept"), [(0o700, True), (0o755, False)])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another uid to give")
def test_degraded_mode_requires_user_files_closed(mode: int, is_kept: bool) -> None:
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


def test_layer_refused_by_kernel_is_missing_with_reason() -> None:
    reply = Reply(status=1, values=[], text={"missing": {"landlock": "not\x00here"}, "breaches": []})  # type: ignore[arg-type]
    report = build_report(reply, SandboxMode.STRICT, {Layer.UID: "no root"})
    assert report.missing == {Layer.LANDLOCK: "not here", Layer.UID: "no root"}
    assert "landlock: not here" in (report.refusal or "")
