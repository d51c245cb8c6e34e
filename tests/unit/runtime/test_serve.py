from __future__ import annotations

from pathlib import Path

import pytest

from src.concurrency.cores import available_cores
from src.runtime.serve import main


@pytest.mark.parametrize(("text", "cores"), [("150000 100000", 1), ("50000 100000", 1), ("100000 100000", 1)])
def test_container_quota_limits_workers(tmp_path: Path, text: str, cores: int) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text(text)
    assert available_cores(limit) == cores


def test_every_core_counts_without_quota(tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    unlimited = available_cores(limit)
    assert unlimited >= 1
    for text in ("max 100000\n", "6400000 100000\n", "nonsense"):
        limit.write_text(text)
        assert available_cores(limit) == unlimited


def test_wrong_setting_stops_start_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PORT", "99999")
    assert main([]) == 2
    assert "PORT is '99999'" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--reload"]])
def test_unusable_store_stops_start(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONGODB_URI", "nonsense")
    assert main(options) == 2
    assert "MONGODB_URI is not a MongoDB connection string" in capsys.readouterr().err


def test_unknown_settings_are_warned_of_at_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_TIMEOUT", "1")
    monkeypatch.setattr("src.runtime.serve.serve", lambda settings, *, is_reloading: 0)
    assert main([]) == 0
    assert "WARNING: Unknown setting 'MODEL_TIMEOUT' in the environment is ignored." in capsys.readouterr().err
