"""Which messages are logged, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from src.settings.letters import LOWERCASE, UPPERCASE


class LogSettings(BaseModel):
    """The level and the format of log lines."""

    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], UPPERCASE] = Field(
        "INFO", description="Least severe message logged."
    )
    log_format: Annotated[Literal["text", "json"], LOWERCASE] = Field(
        "text", description="How log lines are written: text, or json for one JSON object a line."
    )
