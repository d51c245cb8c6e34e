"""The client's key: sent with each request, shown nowhere."""

from __future__ import annotations

import pytest

from backtesting_client import Client, InvalidRequest
from backtesting_client.access import KEY_VARIABLE
from tests.client.test_transport import NOTHING, Scripted, found, refusal
from tests.server import serving

KEY = "bt_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
SIGNED_IN = found({"auth": "keys", "user_id": "ann", "can_sign_in": True, "expires": None})


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.mark.parametrize("given", [{"api_key": KEY}, {"token": KEY}, {"api_key": f" {KEY}\n"}])
def test_key_and_token_are_sent_as_bearer(given: dict[str, str]) -> None:
    service = Scripted(NOTHING)
    with serving(service.app) as url, Client(url, user="ann", **given) as bt:
        bt.runs()
    assert service.headers["authorization"] == f"Bearer {KEY}"
    assert service.requests == [("GET", "/api/backtests")]


def test_key_of_the_environment_is_used_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    service = Scripted(NOTHING)
    with serving(service.app) as url:
        with Client(url, user="ann") as bt:
            bt.runs()
        assert service.headers["authorization"] == f"Bearer {KEY}"
        with Client(url, user="ann", token="other") as bt:
            bt.runs()
        assert service.headers["authorization"] == "Bearer other"


def test_user_is_asked_once_if_a_key_is_given() -> None:
    service = Scripted(SIGNED_IN, NOTHING)
    with serving(service.app) as url, Client(url, api_key=KEY) as bt:
        bt.runs()
        assert bt.user == "ann"
    assert service.requests == [("GET", "/api/session"), ("GET", "/api/backtests")]


def test_client_without_key_is_the_user_me() -> None:
    service = Scripted(NOTHING)
    with serving(service.app) as url, Client(url) as bt:
        bt.runs()
        assert bt.user == "me"
    assert service.requests == [("GET", "/api/backtests")]
    assert "authorization" not in service.headers


def test_older_service_that_knows_nobody_is_used_as_me() -> None:
    service = Scripted(refusal("NOT_FOUND", 404, None), NOTHING)
    with serving(service.app) as url, Client(url, token="x") as bt:
        bt.runs()
        assert bt.user == "me"


def test_key_is_shown_nowhere() -> None:
    service = Scripted(refusal("INVALID_CREDENTIALS", 401, None))
    with serving(service.app) as url, Client(url, user="ann", api_key=KEY) as bt:
        with pytest.raises(InvalidRequest) as refused:
            bt.runs()
        shown = [
            repr(bt),
            str(refused.value),
            repr(refused.value),
            repr(bt._transport),
            repr(bt._transport._http.headers),
        ]
    assert all(KEY[3:] not in text for text in shown)


@pytest.mark.parametrize("given", [{"api_key": ""}, {"token": " "}, {"api_key": "a b"}, {"token": "schlüssel"}])
def test_text_that_is_no_key_is_refused_without_showing_it(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="api_key or token") as refused:
        Client("http://127.0.0.1:1", **given)
    assert all(value.strip() not in str(refused.value) for value in given.values() if value.strip())


def test_key_and_token_together_are_refused() -> None:
    with pytest.raises(ValueError, match="both given"):
        Client("http://127.0.0.1:1", api_key=KEY, token=KEY)
