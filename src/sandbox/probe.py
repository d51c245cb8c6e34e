"""Test the layers at start: one child attacks its own sandbox, and the server reports which layers hold."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from src.concurrency.child_process import KillSwitch
from src.domain.sandbox_mode import SandboxMode
from src.sandbox import canaries, outcomes
from src.sandbox.children import Children, group_by_family
from src.sandbox.layers import ALL_LAYERS, Layer, SandboxReport, find_refusal
from src.sandbox.tasks import Task
from src.sandbox.wire import Reply

logger = logging.getLogger(__name__)
_CANARY: Final = "sandbox-canary-"


def try_layers(
    children: Children, mode: SandboxMode, enabled: frozenset[Layer], storage: Path | None = None
) -> SandboxReport:
    """Run the canary attacks in a child; report which layers hold, and whether models are opened in this mode.

    Parameters
    ----------
    storage
        A folder with the permissions of the users' folders; one attack tries to read a file in it.

    Raises ZygoteFailed, ServiceError or ReplyTampered if no child could be started, or it sent no report.
    """
    if mode is SandboxMode.OFF:
        return SandboxReport(mode=mode, layers=frozenset(), missing=dict.fromkeys(Layer, "switched off"))
    family, entries = next(iter(group_by_family(children.registry).items()))
    children.start(family)
    absent = dict.fromkeys(ALL_LAYERS - enabled, "switched off")
    if Layer.UID in enabled and not children.has_uids:
        absent[Layer.UID] = children.uid_missing or "the server does not run as root, so it has only its own"
    with contextlib.ExitStack() as stack:
        server_files = [stack.enter_context(tempfile.NamedTemporaryFile(prefix=_CANARY)).name]
        if storage is not None and storage.is_dir():
            server_files.append(stack.enter_context(_create_stored_file(storage)))
        task = Task(
            kind="attack",
            family=family,
            extension=entries[0],
            layers=ALL_LAYERS - absent.keys(),
            server_files=tuple(server_files),
        )
        with children.slot() as slot:
            outcome = children.run(task, slot, KillSwitch())
    reply = outcomes.to_reply(outcome, task, deadline_s=children.deadline_s, registry=children.registry)
    return build_report(reply, mode, absent)


@contextlib.contextmanager
def _create_stored_file(storage: Path) -> Iterator[str]:
    """Create a file that anyone may read; the folder must keep other users out."""
    with tempfile.NamedTemporaryFile(prefix=f".{_CANARY}", dir=storage) as file:
        Path(file.name).chmod(0o644)
        yield file.name


def build_report(reply: Reply, mode: SandboxMode, absent: dict[Layer, str]) -> SandboxReport:
    """Turn the child's report into the server's; `absent` are the layers that the child did not apply."""
    missing = absent | {Layer(name): reason for name, reason in outcomes.read_missing_layers(reply.text).items()}
    breaches = [
        canaries.Breach(attack=attack, layer=Layer(layer), effect=effect)
        for attack, layer, effect in reply.text["breaches"]
    ]
    for breach in breaches:
        missing.setdefault(breach.layer, f"does not hold against {breach.attack}: {breach.effect}")
    report = SandboxReport(
        mode=mode,
        layers=ALL_LAYERS - missing.keys(),
        missing=missing,
        breaches=tuple(str(breach) for breach in breaches),
        refusal=find_refusal(
            mode,
            missing,
            is_root=os.geteuid() == 0,
            keeps_files=all(breach.attack != canaries.SERVER_FILE for breach in breaches),
        ),
    )
    _log_report(report)
    return report


def _log_report(report: SandboxReport) -> None:
    layers = ",".join(sorted(report.layers)) or "none"
    if report.refusal is not None:
        logger.error("sandbox refuses model files: reason=%s", report.refusal)
    elif report.mode is SandboxMode.DEGRADED and report.missing:
        logger.warning("sandbox is degraded: layers=%s missing=%s", layers, dict(report.missing))
    else:
        logger.info("sandbox is ready: layers=%s", layers)
