from __future__ import annotations

import pytest

from src.api.http.accept_headers import weights_in


@pytest.mark.parametrize(
    ("header", "weights"),
    [
        ("gzip", {"gzip": 1.0}),
        ("gzip;q=0.5, BR ; q=0", {"gzip": 0.5, "br": 0.0}),
        ("text/html;level=1;Q=0.4", {"text/html": 0.4}),
        ("gzip;q=much", {"gzip": 0.0}),
        ("gzip;q=0.2, gzip", {"gzip": 0.2}),
        ("", {"": 1.0}),
    ],
)
def test_weights_are_read_from_accept_headers(header: str, weights: dict[str, float]) -> None:
    assert weights_in(header) == weights
