from __future__ import annotations

import pytest

from src.domain import errors
from src.domain.errors import InvalidInput, ServiceError


@pytest.mark.parametrize(
    ("error", "field", "message"),
    [
        (errors.bad_value("interval", got="7m", allowed=("1s", "1m")), "interval",
         "interval is '7m'. Allowed: 1s, 1m."),
        (errors.bad_value("limit", got=0, allowed="1 to 5"), "limit", "limit is 0. Allowed: 1 to 5."),
        (errors.missing("symbol"), "symbol", "symbol is required."),
        (errors.unknown_field("limitt", known=["limit", "symbol"]), "limitt",
         "Unknown field 'limitt'. Known fields: limit, symbol."),
        (errors.unknown_field("limitt", known=()), "limitt", "Unknown field 'limitt'."),
        (errors.both_given("a", "b"), "a", "a and b are both given. Allowed: one of them."),
        (errors.bad_pair("fast", got=50, rule="less than", other="slow", value=20), "fast",
         "fast (50) must be less than slow (20)."),
    ],
)  # fmt: skip
def test_common_errors_follow_their_templates(error: InvalidInput, field: str, message: str) -> None:
    assert (error.field, error.message, str(error)) == (field, message, message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.result_not_found("4f1c"), "Backtest '4f1c' does not exist or belongs to another user."),
        (errors.file_too_large(100 * 1024**2), "The file is too large. Maximum: 100 MiB (MAX_UPLOAD_MB)."),
        (errors.Busy("{count} are queued.", retry_after_s=3, count=64), "64 are queued."),
        (errors.MissingLibrary("Install {library}.", library="torch"), "Install torch."),
    ],
)
def test_other_errors_have_their_sentence(error: ServiceError, message: str) -> None:
    assert (error.message, str(error)) == (message, message)


def test_error_keeps_its_parts() -> None:
    error = errors.bad_value("limit", got=0, allowed="1 to 5")
    assert error.text.parts["got"] == 0  # type: ignore[attr-defined]
    assert errors.MissingLibrary("Install {library}.", library="torch").library == "torch"
    assert errors.Busy("x", retry_after_s=3).retry_after_s == 3
