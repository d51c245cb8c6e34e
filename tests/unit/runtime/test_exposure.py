"""What is said at start about who can reach users' things."""

from __future__ import annotations

from typing import Any

import pytest

from src.domain.identity import AuthMode
from src.runtime.exposure import find_exposure
from src.settings import Settings


def sentences(**given: Any) -> list[str]:
    return list(find_exposure(Settings(_env_file=None, **given)))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.5"])
@pytest.mark.parametrize("auth", [AuthMode.NONE, AuthMode.HEADER, AuthMode.KEYS])
def test_own_machine_is_no_exposure(host: str, auth: AuthMode) -> None:
    assert sentences(host=host, auth=auth) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "backtests.example"])
def test_open_service_without_identities_is_said_loudly(host: str) -> None:
    [sentence] = sentences(host=host)
    assert sentence.startswith(f"HOST IS {host} AND AUTH IS none: EVERY CLIENT")


def test_open_port_behind_a_gateway_is_said() -> None:
    [sentence] = sentences(host="192.0.2.1", auth=AuthMode.HEADER, auth_header="X-User")
    assert sentence.endswith("can name any user in X-User.")


def test_open_service_with_keys_is_no_exposure() -> None:
    assert sentences(host="192.0.2.1", auth=AuthMode.KEYS) == []
