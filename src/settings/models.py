"""How model files are contained, and what one may take."""

from __future__ import annotations

from pydantic import BaseModel, Field

from src.domain.sandbox_mode import SandboxMode


class ModelSettings(BaseModel):
    """The sandbox of model files and its limits."""

    model_sandbox: SandboxMode = Field(
        SandboxMode.STRICT, description="How model files are contained: strict, degraded or off."
    )
    model_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="Seconds that one model file may take; then it is killed."
    )
    model_memory_mb: int = Field(4096, ge=512, le=65536, description="Address space of one model's process, in MiB.")
    model_processes: int = Field(
        0, ge=0, le=64, description="Model files open at once in a worker; 0 means one per core, at least two."
    )
    preload_models: bool = Field(
        True,
        description="Whether each worker loads the libraries of all installed model formats after its start; if not, "
        "the first model of a format waits some seconds for them.",
    )
