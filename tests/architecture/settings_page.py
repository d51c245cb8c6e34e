"""The settings as text: what `.env.example` holds."""

from __future__ import annotations

import enum

from src.settings import Settings
from tests.architecture.test_floors import ROOT

ENV_EXAMPLE = ROOT / ".env.example"

HEAD = """\
# Every setting of the service, with its default. Copy this file to .env, and take the # off what you change;
# variables of the environment count for more than .env. Each default is left out here so that a container
# started with this file keeps its own (HOST=0.0.0.0, STORAGE_DIR=/data).
"""


def default_text(name: str) -> str:
    """Write a setting's default as one would in `.env`; nothing where the default is none."""
    default = Settings.model_fields[name].default
    if default is None or default == ():
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    if isinstance(default, enum.Enum):
        return str(default.value)
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    return str(default).rstrip("/")


def settings_page() -> str:
    """Return `.env.example`: above each setting its meaning, in the order of the class."""
    blocks = [
        f"# {field.description}\n#{name.upper()}={default_text(name)}\n"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([HEAD, *blocks])
