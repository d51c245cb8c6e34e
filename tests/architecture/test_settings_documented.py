"""`.env.example` says what the settings are: each of them, its default, one line of why, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from src.settings import Settings
from tests.architecture.settings_page import ENV_EXAMPLE, settings_page

AGAIN = "write it anew with: python -m tests.architecture.draw"


def documented() -> dict[str, str]:
    return dict(re.findall(r"^#([A-Z_]+)=(.*)$", ENV_EXAMPLE.read_text(), re.MULTILINE))


def test_every_setting_is_there_and_nothing_else() -> None:
    assert list(documented()) == [name.upper() for name in Settings.model_fields], AGAIN


def test_each_has_its_meaning_above_it() -> None:
    assert all(field.description for field in Settings.model_fields.values())
    assert ENV_EXAMPLE.read_text() == settings_page(), AGAIN


def test_with_every_line_taken_it_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in documented():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.env").write_text("\n".join(f"{name}={value}" for name, value in documented().items()))
    assert Settings(_env_file=tmp_path / "taken.env") == Settings(_env_file=None)


def test_as_it_stands_it_overrides_nothing_that_a_container_sets() -> None:
    assert not re.search(r"^[A-Z_]+=", ENV_EXAMPLE.read_text(), re.MULTILINE)
