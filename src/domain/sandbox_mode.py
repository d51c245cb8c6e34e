"""Whether model files are opened if the sandbox is incomplete."""

from __future__ import annotations

from enum import StrEnum


class SandboxMode(StrEnum):
    """What happens if a layer of the sandbox is missing on this machine."""

    STRICT = "strict"
    """Model files are rejected."""
    DEGRADED = "degraded"
    """Model files are opened with the available layers, if those suffice."""
    OFF = "off"
    """Model files are opened in a plain child process, for an operator who trusts every file."""
