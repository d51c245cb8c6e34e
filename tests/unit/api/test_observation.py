"""Check how the log writes what clients send."""

from __future__ import annotations

import pytest

from src.api.observation import request_line


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/api/backtests", "POST /api/backtests"),
        ("/x\n2026-11-25 ERROR forged\x1b[31m", "POST /x\\n2026-11-25 ERROR forged\\x1b[31m"),
        ("/\u2028\ud800", "POST /\\u2028\\ud800"),
        ("/" + "a" * 5000, "POST /" + "a" * 199),
    ],
)
def test_request_line_is_one_line_for_any_path(path: str, written: str) -> None:
    assert request_line({"method": "POST", "path": path}) == written
