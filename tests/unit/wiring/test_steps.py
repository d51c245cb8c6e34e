"""The steps of a service's start, as the settings order them."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.sandbox.runner import SandboxedModelRunner
from src.settings import Settings
from src.wiring.services import build_services


@pytest.mark.parametrize("preloads", [True, False])
def test_model_libraries_are_loaded_only_if_set(preloads: bool, tmp_path: Path) -> None:
    services = build_services(Settings(_env_file=None, storage_dir=tmp_path, preload_models=preloads))
    owners = [getattr(step, "__self__", None) for step in services.steps.following]
    assert any(isinstance(owner, SandboxedModelRunner) for owner in owners) is preloads
