"""What settings are allowed, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.settings import Settings, SettingsError, read_settings


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("CORS_ORIGINS", "foo", "(not 'foo')"),
        ("CORS_ORIGINS", "https://a.com/path", "Allowed: scheme://host"),
        ("CORS_ORIGINS", "https://a.com, ftp://b.com", "(not 'ftp://b.com')"),
        ("CORS_ORIGINS", "http://:80", "(not 'http://:80')"),
        ("CORS_ORIGINS", "none, https://a.com", "(not 'none')"),
        ("ALLOWED_HOSTS", "http://a.com", "(not 'http://a.com')"),
        ("ALLOWED_HOSTS", "a.com:80", "(not 'a.com:80')"),
        ("ALLOWED_HOSTS", "none", "ALLOWED_HOSTS is 'none'. Allowed: host names, or * for all."),
        ("BINANCE_API_URL", "http://user:s3cret@127.0.0.1:1", "Allowed: an address without user and password."),
        ("BINANCE_ARCHIVE_URL", "http://user@127.0.0.1:1", "Allowed: an address without user and password."),
        ("PORT", "99999", "PORT is '99999'. Allowed: a whole number from 0 to 65535."),
        ("PORT", "abc", "PORT is 'abc'. Allowed: a whole number from 0 to 65535."),
        ("MODEL_TIMEOUT_S", "0", "MODEL_TIMEOUT_S is '0'. Allowed: a number above 0, at most 3600."),
        ("MODEL_SANDBOX", "none", "MODEL_SANDBOX is 'none'. Allowed: 'strict', 'degraded' or 'off'."),
        ("GRAPHQL_INTROSPECTION", "perhaps", "GRAPHQL_INTROSPECTION is 'perhaps'. Allowed: true or false."),
        ("STORAGE_DIR", __file__, "Allowed: a folder"),
        ("AUTH", "password", "AUTH is 'password'. Allowed: 'none', 'header', 'jwt' or 'keys'."),
        ("AUTH", "jwt", "Allowed: jwt only together with JWT_ISSUER, JWT_AUDIENCE, JWT_JWKS; or none, header, keys."),
        ("AUTH_HEADER", "X User", "Allowed: the name of a header, not authorization, cookie"),
        ("AUTH_HEADER", "authorization", "Allowed: the name of a header, not authorization, cookie"),
        ("JWT_ALGORITHMS", "RS256,HS256", "JWT_ALGORITHMS"),
        ("JWT_ALGORITHMS", "none", "JWT_ALGORITHMS"),
        ("JWT_JWKS", "http://issuer.test/jwks", "Allowed: a file that exists, an https:// address"),
        ("OBJECT_STORE_URL", "https://bucket", "OBJECT_STORE_URL is 'https://bucket'. Allowed: s3://bucket or"),
        ("OBJECT_STORE_URL", "s3://bucket/../other", "Allowed: s3://bucket or s3://bucket/prefix"),
        ("OBJECT_STORE_URL", "s3://key:s3cret@bucket", "OBJECT_STORE_URL has a value that is not allowed. Allowed: s3"),
        ("MONGO_DRIVER", "mongo", "MONGO_DRIVER is 'mongo'. Allowed: 'motor' or 'pymongo'."),
        ("JWT_JWKS", "/no/such/file", "Allowed: a file that exists"),
    ],
)
def test_wrong_value_is_named_with_allowed_values(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert name in str(caught.value)
    assert reason in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_origins_and_folders_that_are_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.com/, http://localhost:3000")
    monkeypatch.setenv("STORAGE_DIR", str(tmp_path / "new"))
    settings = read_settings()
    assert settings.cors_origins == ("https://a.com", "http://localhost:3000")
    assert settings.storage_dir == tmp_path / "new"
    monkeypatch.setenv("CORS_ORIGINS", "*")
    assert read_settings().cors_origins == ("*",)
    monkeypatch.setenv("CORS_ORIGINS", "none")
    assert read_settings().cors_origins == ()
    monkeypatch.setenv("CORS_ORIGINS", "null, https://a.com:*")
    assert read_settings().cors_origins == ("null", "https://a.com:*")
    monkeypatch.setenv("CORS_ORIGINS", "")
    assert "http://localhost:*" in read_settings().cors_origins


@pytest.mark.parametrize("is_in_file", [False, True], ids=["environment", "file"])
def test_empty_auth_is_not_taken_for_none(is_in_file: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTH", raising=False)
    assert read_settings().auth == "none"
    if is_in_file:
        (tmp_path / ".env").write_text("AUTH=\n")
    else:
        monkeypatch.setenv("AUTH", " ")
    with pytest.raises(SettingsError, match=r"^AUTH is empty\. Allowed: none, header, jwt, keys; or leave it out"):
        read_settings()


def test_tokens_need_their_three_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text("{}")
    given = {"AUTH": "JWT", "JWT_ISSUER": "https://a/", "JWT_AUDIENCE": "b", "JWT_ALGORITHMS": "ES256, PS512"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="together with JWT_JWKS;"):
        read_settings()
    for place in ("https://issuer.test/jwks", "http://127.0.0.1:1/jwks", str(file)):
        monkeypatch.setenv("JWT_JWKS", place)
        settings = read_settings()
        assert (settings.auth, settings.jwt_jwks, settings.jwt_algorithms) == ("jwt", place, ("ES256", "PS512"))


def test_allowed_hosts_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().allowed_hosts is None
    monkeypatch.setenv("ALLOWED_HOSTS", "api.Example, *.b.example, 10.0.0.1, ::1, my_service")
    assert read_settings().allowed_hosts == ("api.example", "*.b.example", "10.0.0.1", "::1", "my_service")
    monkeypatch.setenv("ALLOWED_HOSTS", "*")
    assert read_settings().allowed_hosts == ("*",)


def test_stop_shorter_than_a_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_TIMEOUT_S", "60")
    monkeypatch.setenv("GRACEFUL_STOP_S", "59")
    with pytest.raises(SettingsError, match=r"GRACEFUL_STOP_S is '59'. Allowed: at least REQUEST_TIMEOUT_S \(60\)"):
        read_settings()


@pytest.mark.parametrize(("graceful", "seconds"), [("0", 65), ("60", 60), ("90.5", 91)])
def test_stop_lasts_as_long_as_a_request(graceful: str, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_TIMEOUT_S", "60")
    monkeypatch.setenv("GRACEFUL_STOP_S", graceful)
    assert read_settings().longest_stop_s == seconds


def test_groups_share_no_name() -> None:
    # Of two validators with one name, pydantic would apply only one.
    names = [name for group in Settings.__bases__[:-1] for name in {*group.model_fields, *vars(group)}]
    own = [name for name in names if not name.startswith(("__", "model_", "_abc_")) or name in Settings.model_fields]
    assert len(own) == len(set(own)) > len(Settings.model_fields)
