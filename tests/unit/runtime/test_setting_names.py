from __future__ import annotations

from pathlib import Path

import pytest

from src.runtime.setting_names import find_unknown_settings
from src.settings import Settings


def in_environment(name: str) -> list[str]:
    return list(find_unknown_settings({name: "secret-value"}, Path("no-such-file")))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MODEL_TIMEOUT", "MODEL_TIMEOUT_S"),
        ("MODEL_TIMEOUT_SECONDS", "MODEL_TIMEOUT_S"),
        ("MAX_UPLOAD_BYTES", "MAX_UPLOAD_MB"),
        ("MONGO_URI", "MONGODB_URI"),
        ("GRAPHQL_DEPTH", "GRAPHQL_MAX_DEPTH"),
        ("worker", "WORKERS"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
    ],
)
def test_misspelled_setting_in_environment_is_reported(name: str, meant: str) -> None:
    assert in_environment(name) == [f"Unknown setting {name!r} in the environment is ignored. Did you mean {meant}?"]


@pytest.mark.parametrize(
    "name",
    [
        "BINANCE_API_KEY",
        "BINANCE_API_SECRET",
        "MODEL_DIR",
        "HOSTNAME",
        "HOME",
        "PATH",
        "SERVICE_PORT",
        "LOGNAME",
        "LANG",
    ],
)
def test_variables_of_other_programs_are_not_reported(name: str) -> None:
    assert in_environment(name) == []


def test_every_setting_is_known_in_any_case() -> None:
    names = [*Settings.model_fields, *(name.upper() for name in Settings.model_fields)]
    assert list(find_unknown_settings(dict.fromkeys(names, "1"), Path("no-such-file"))) == []


def test_unknown_names_in_file_are_reported_without_values(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "PORT=1\nport=2\nMAX_UPLOAD=secret-value\nANYTHING=secret-value\nexport STORAGE_DIR=x\n# WORKER=1\n"
        "COMPOSE_PROJECT_NAME=b\nNUMBA_CACHE_DIR=/c\nTZ=UTC\n"
    )
    warnings = list(find_unknown_settings({}, file))
    assert warnings == [
        f"Unknown setting 'MAX_UPLOAD' in {file} is ignored. Did you mean MAX_UPLOAD_MB?",
        f"Unknown setting 'ANYTHING' in {file} is ignored.",
    ]
