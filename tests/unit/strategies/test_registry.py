"""What the registry says of its strategies."""

from __future__ import annotations

import pytest

from src.strategies import registry


def test_summary_is_the_first_line_of_the_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    described = type("Described", (), {"__doc__": "Buy low.\n\nSell high.\nRepeat."})
    monkeypatch.setattr(registry, "STRATEGIES", {"described": described})
    assert registry.summary_of("described") == "Buy low."
