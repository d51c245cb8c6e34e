"""The layers of the sandbox, and which of them each mode requires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from src.domain.sandbox_mode import SandboxMode


class Layer(StrEnum):
    """One barrier between a model file and the machine; each works without the others."""

    SESSION = "session"
    """Has no descriptor but the task's and no terminal; cannot outlive the zygote or be inspected."""
    LIMITS = "limits"
    """Bounds on memory, processor time, descriptors, threads and file size."""
    UID = "uid"
    """A user of its own, without capabilities."""
    LANDLOCK = "landlock"
    """May read the interpreter and the libraries; may not write."""
    SECCOMP = "seccomp"
    """May make only the system calls that computing needs."""


ALL_LAYERS: Final = frozenset(Layer)


class LayerMissing(Exception):
    """This machine cannot apply a layer; the message tells the operator why."""

    def __init__(self, layer: Layer, reason: str) -> None:
        super().__init__(f"{layer.value}: {reason}")
        self.layer = layer
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxReport:
    """The result of the canary attacks.

    `missing` maps each layer that does not hold to the reason; `breaches` are attacks that had an effect.
    """

    mode: SandboxMode
    layers: frozenset[Layer]
    missing: Mapping[Layer, str] = field(default_factory=dict)
    breaches: tuple[str, ...] = ()
    refusal: str | None = None

    @property
    def accepts_models(self) -> bool:
        return self.refusal is None


def find_refusal(mode: SandboxMode, missing: Mapping[Layer, str], *, is_root: bool, keeps_files: bool) -> str | None:
    """Return why model files are not opened in this mode; None if they are.

    Parameters
    ----------
    missing
        The layers that do not hold, each with its reason.
    is_root
        Whether the server runs as root: only root can give a child another uid.
    keeps_files
        Whether the child could not read the server's and the users' files, whichever layer prevented it.
    """
    if mode is SandboxMode.OFF:
        return None
    if mode is SandboxMode.STRICT:
        needed = ALL_LAYERS if is_root else ALL_LAYERS - {Layer.UID}
    else:
        needed = frozenset({Layer.SESSION, Layer.LIMITS, Layer.SECCOMP})
    reasons = [f"{layer.value}: {reason}" for layer, reason in sorted(missing.items()) if layer in needed]
    if mode is SandboxMode.DEGRADED and not keeps_files:
        reasons.append("files: neither landlock nor another uid keeps the server's files and STORAGE_DIR from a model")
    return "; ".join(reasons) or None
