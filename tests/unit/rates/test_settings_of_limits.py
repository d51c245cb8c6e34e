"""From settings to limits: which there are, and what is built if there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from src.domain.errors import RateLimited
from src.domain.identity import AuthMode
from src.domain.rates import Rate
from src.identity.anybody import AnybodyAuthenticator
from src.identity.attempts import CountedAttempts
from src.observing.prometheus_meters import PrometheusMeters
from src.ports.rates import UNLIMITED
from src.settings import Settings
from src.wiring.rates import build_budget, build_limiter, count_attempts
from tests.rest_app import make_rest_app


def settings_of(tmp_path: Path, **given: Any) -> Settings:
    return Settings(storage_dir=tmp_path, _env_file=None, **given)


def test_default_settings_limit_nothing(tmp_path: Path) -> None:
    limiter = build_limiter(settings_of(tmp_path), PrometheusMeters(CollectorRegistry()))
    assert limiter is UNLIMITED
    assert build_budget(limiter) is None
    authenticator = AnybodyAuthenticator()
    assert count_attempts(authenticator, limiter) is authenticator


@pytest.mark.parametrize(("auth", "counts"), [(AuthMode.KEYS, True), (AuthMode.HEADER, False)])
def test_wrong_keys_are_limited_where_keys_are_read(tmp_path: Path, auth: AuthMode, counts: bool) -> None:
    limiter = build_limiter(settings_of(tmp_path, auth=auth), PrometheusMeters(CollectorRegistry()))
    assert (Rate.FAILED_SIGN_INS in limiter.limits) is counts
    assert isinstance(count_attempts(AnybodyAuthenticator(), limiter), CountedAttempts) is counts
    assert "RateLimits" not in [layer.cls.__name__ for layer in make_rest_app(limiter=limiter).user_middleware]


def test_each_setting_is_a_limit_with_its_window(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, max_requests_per_minute=60, max_uploads_per_hour=7, max_core_seconds_per_hour=3600)
    limiter = build_limiter(settings, PrometheusMeters(CollectorRegistry()))
    assert {limit.setting: (limit.allowed, limit.window_s) for limit in limiter.limits.values()} == {
        "MAX_REQUESTS_PER_MINUTE": (60, 60),
        "MAX_UPLOADS_PER_HOUR": (7, 3600),
        "MAX_CORE_SECONDS_PER_HOUR": (3600, 3600),
    }
    assert build_budget(limiter) is not None


def test_refusals_are_metered_by_limit(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    limiter = build_limiter(settings_of(tmp_path, max_requests_per_minute=1), PrometheusMeters(registry))
    limiter.spend("user ann", Rate.REQUESTS)
    with pytest.raises(RateLimited):
        limiter.spend("user ann", Rate.REQUESTS)
    assert b'rate_refusals_total{limit="requests"} 1.0' in generate_latest(registry)
