"""Models are opened only behind the layers that the mode demands."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from src.domain.errors import ModelRejected, SandboxUnavailable
from src.domain.sandbox_mode import SandboxMode
from src.sandbox.layers import ALL_LAYERS, Layer
from src.sandbox.runner import SandboxedModelRunner
from tests.security.hostile import PLAIN_FORMATS, model_file
from tests.unit.sandbox.runners import hostile

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_all_layers_hold_on_this_machine(runner: SandboxedModelRunner) -> None:
    report = await runner.probe()
    assert report.refusal is None
    assert report.breaches == ()
    assert report.layers >= ALL_LAYERS - ({Layer.UID} if os.geteuid() else set())
    assert runner.report is report


FORGED = """
import json, mmap, struct
memory = mmap.mmap(5, 0)
text = json.dumps({"missing": {"landlock": "forged"}}).encode()
memory[64 : 64 + len(text)] = text
memory[:24] = struct.pack("<8sIIQ", b"BTans\\0\\0\\1", 6, len(text), 0)
os._exit(0)
"""


async def test_false_report_of_failed_layers_is_rejected(
    runner: SandboxedModelRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ModelRejected, match="a reply that no model gives"):
        await runner.inspect(model_file(hostile(tmp_path, FORGED)))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_lost_layer_stops_opening_of_models(honest: Path, caplog: pytest.LogCaptureFixture) -> None:
    runner = SandboxedModelRunner(registry=PLAIN_FORMATS)
    try:
        report = await runner.probe()
        assert report.refusal is None
        # From now on the kernel refuses a layer: no process may have so many descriptors.
        runner._children.limits = replace(runner._children.limits, descriptors=1 << 31)
        with pytest.raises(SandboxUnavailable, match="a layer of the sandbox failed"):
            await runner.inspect(model_file(honest))
        assert "sandbox layers failed" in caplog.text
        with pytest.raises(SandboxUnavailable, match="limits"):
            await runner.inspect(model_file(honest))
    finally:
        await runner.close()


@pytest.mark.parametrize("layer", [Layer.LANDLOCK, Layer.SECCOMP, Layer.LIMITS, Layer.SESSION])
async def test_strict_mode_without_layer_rejects_models(
    layer: Layer, honest: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = SandboxedModelRunner(registry=PLAIN_FORMATS, layers=ALL_LAYERS - {layer})
    try:
        with caplog.at_level(logging.ERROR):
            report = await runner.probe()
        assert not report.accepts_models
        assert layer in report.missing
        assert layer.value in caplog.text
        with pytest.raises(SandboxUnavailable, match=layer.value):
            await runner.inspect(model_file(honest))
    finally:
        await runner.close()


@pytest.mark.parametrize(
    ("missing", "accepted"),
    [({Layer.LANDLOCK, Layer.UID}, False), ({Layer.UID}, True), ({Layer.SECCOMP}, False), ({Layer.LIMITS}, False)],
)
async def test_degraded_mode_accepts_missing_layers(missing: set[Layer], accepted: bool, honest: Path) -> None:
    runner = SandboxedModelRunner(mode=SandboxMode.DEGRADED, registry=PLAIN_FORMATS, layers=ALL_LAYERS - missing)
    try:
        report = await runner.probe()
        assert report.accepts_models is accepted, report
        if accepted:
            assert (await runner.inspect(model_file(honest))).n_features == 2
    finally:
        await runner.close()


async def test_off_mode_still_uses_child(honest: Path, tmp_path: Path) -> None:
    runner = SandboxedModelRunner(mode=SandboxMode.OFF, registry=PLAIN_FORMATS)
    try:
        assert (await runner.inspect(model_file(honest))).n_features == 2
        with pytest.raises(ModelRejected) as caught:
            await runner.inspect(model_file(hostile(tmp_path, "import os; report(os.getpid())")))
        assert str(os.getpid()) not in caught.value.message
    finally:
        await runner.close()
