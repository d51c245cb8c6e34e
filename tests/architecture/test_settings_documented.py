"""`.env.example` says what the settings are: each of them, its default, one line of why, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.settings import Settings
from tests.architecture.settings_page import ENV_EXAMPLE, settings_page

AGAIN = "write it anew with: python -m tests.architecture.draw"


def documented() -> dict[str, str]:
    lines = [line for line in ENV_EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_setting_is_there_and_nothing_else() -> None:
    assert list(documented()) == [name.upper() for name in Settings.model_fields], AGAIN


def test_each_has_its_meaning_above_it() -> None:
    assert all(field.description for field in Settings.model_fields.values())
    assert ENV_EXAMPLE.read_text() == settings_page(), AGAIN


def test_the_file_as_it_stands_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in documented():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert Settings(_env_file=ENV_EXAMPLE) == Settings(_env_file=None)
