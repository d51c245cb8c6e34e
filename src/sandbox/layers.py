"""What stands between a model file and the machine: the layers, and how many of them each mode demands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from src.domain.model_files import SandboxMode


class Layer(StrEnum):
    """One barrier; each has its own file and holds without the others."""

    SESSION = "session"
    """No descriptor but the task's, no terminal, cannot outlive the zygote, cannot be inspected."""
    LIMITS = "limits"
    """Bounds on memory, processor time, descriptors, threads and file size."""
    UID = "uid"
    """A user of its own, without capabilities."""
    LANDLOCK = "landlock"
    """Reads the interpreter and the libraries, and writes nowhere."""
    SECCOMP = "seccomp"
    """Makes only the system calls that computing needs."""


ALL_LAYERS: Final = frozenset(Layer)


class LayerMissing(Exception):
    """This machine cannot give a layer; the message says why, for the operator."""

    def __init__(self, layer: Layer, reason: str) -> None:
        super().__init__(f"{layer.value}: {reason}")
        self.layer = layer
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxReport:
    """What the canary attacks found at start.

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


def refusal(mode: SandboxMode, missing: Mapping[Layer, str], *, is_root: bool, keeps_files: bool) -> str | None:
    """Say why model files are not opened in this mode, or None where they are.

    Parameters
    ----------
    missing
        The layers that do not hold, each with its reason.
    is_root
        Whether the server runs as root: only then is there another uid to be had.
    keeps_files
        Whether the server's and the users' files stayed closed to the child, whichever layer saw to that.
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
