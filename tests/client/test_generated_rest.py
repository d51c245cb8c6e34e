"""openapi-python-client generates a client without configuration, and its user runs backtests with it."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.client.generated import run_python, write_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "generated_rest" / "run.py"


@pytest.fixture(scope="module")
def generated(service: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a client that was generated from the running service."""
    if find_spec("openapi_python_client") is None:
        pytest.skip("openapi-python-client is not installed: pip install -r requirements-dev.txt")
    folder = tmp_path_factory.mktemp("generated")
    # From a file: the generator waits 5 s for an address, and a busy machine may take longer.
    (folder / "openapi.json").write_bytes(httpx.get(f"{service}/openapi.json", timeout=60).content)
    printed = run_python("-m", "openapi_python_client", "generate", "--path", "openapi.json", folder=folder)
    assert "Warning" not in printed, printed
    return folder / "backtesting-service-client"


def test_generated_modules_have_plain_names(generated: Path) -> None:
    names = {path.stem for path in (generated / "backtesting_service_client" / "models").glob("*.py")}
    assert {"backtest_request", "strategy_choice", "backtest_result", "bar_interval", "model_backtest_form"} <= names
    # Names that the generator makes up for what has none.
    assert [name for name in names if re.search(r"_type_\d|_item$|_\d|_body|envelope|answer|union", name)] == []


def test_generated_client_runs_backtests(generated: Path, service: str, tmp_path: Path) -> None:
    model = str(write_model(tmp_path))
    lines = run_python(str(EXAMPLE), service, model, folder=tmp_path, PYTHONPATH=str(generated)).splitlines()
    strategy, with_model, uploaded, listed, read, refused = lines
    assert re.fullmatch(r"strategy: -?\d+\.\d\d % on 800 bars, [A-Z_]+", strategy)
    assert re.fullmatch(r"model: -?\d+\.\d\d % on 800 bars, [A-Z_]+", with_model)
    assert re.fullmatch(r"uploaded: .*trend.*\.pkl", uploaded)
    assert listed.count("trades") == 2
    assert "RSI" in listed
    assert read == "read: True buy signal"
    assert refused == "refused: INVALID_INPUT fees"
