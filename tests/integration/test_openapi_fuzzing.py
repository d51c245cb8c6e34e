"""Send requests that fit our schemas, and others, to a real server: the former are accepted, the latter refused.

`tests/openapi/schemathesis.toml` lists what the OpenAPI document cannot express. For longer runs with other seeds see
CONTRIBUTING.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.domain.identity import AuthMode
from tests.everyday import make_key
from tests.thoroughness import often

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "tests" / "openapi"
MAX_S, HALF_S, QUARTER_S = (str(often(each_commit, 5 * each_commit)) for each_commit in (10, 5, 3))
TIMEOUT_S = 300
"""A run ends by itself after `--max-time`; the rest is for a busy machine."""


def fuzz(config: str, address: str, folder: Path, *options: str) -> str:
    """Run schemathesis with a fixed seed; return its output, with its exit code at the end."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGS / config), "run", address, "--seed", "9",
        "--no-color", "--generation-database", "none", "--continue-on-failure", *options,
    ]  # fmt: skip
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}  # for the hooks that the configuration names
    ran = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    return f"{ran.stdout}\n{ran.stderr}\nexit code {ran.returncode}"


@pytest.mark.timeout(TIMEOUT_S + 30)
def test_openapi_document_declares_every_refusal(own_service: Callable[..., Any], tmp_path: Path) -> None:
    service, _ = own_service(max_bars=500)
    found = fuzz("schemathesis.toml", f"{service}/openapi.json", tmp_path, "--max-time", MAX_S)
    assert found.endswith("exit code 0"), found
    assert "Operations:       64 selected / 64 total" in found


@pytest.mark.timeout(2 * TIMEOUT_S)
def test_callers_with_keys_meet_declared_refusals(own_service: Callable[..., Any], tmp_path: Path) -> None:
    """Also that no operation responds without a key that says it needs one (schemathesis' `ignored_auth`)."""
    key = make_key(tmp_path / "storage", "fuzzer")
    # The tool sends wrong keys as fast as it can, and expects a 401 each time.
    service, _ = own_service(max_bars=500, auth=AuthMode.KEYS, max_failed_sign_ins_per_minute=0)
    options = ("--header", f"X-API-Key: {key}")
    found = fuzz("schemathesis.toml", f"{service}/openapi.json", tmp_path, "--max-time", HALF_S, *options)
    assert found.endswith("exit code 0"), found
    found = fuzz("schemathesis-graphql.toml", f"{service}/graphql", tmp_path, "--max-time", QUARTER_S, *options)
    assert found.endswith("exit code 0"), found
    assert httpx.get(f"{service}/ready").status_code == 200


@pytest.mark.timeout(TIMEOUT_S + 30)
def test_fuzzed_graphql_meets_no_unexpected_error(own_service: Callable[..., Any], tmp_path: Path) -> None:
    service, _ = own_service(max_bars=500)
    found = fuzz("schemathesis-graphql.toml", f"{service}/graphql", tmp_path, "--max-time", HALF_S)
    assert found.endswith("exit code 0"), found
    assert "Operations:       34 selected / 38 total" in found
    assert httpx.get(f"{service}/ready").status_code == 200
