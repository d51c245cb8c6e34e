"""Short pages of a ledger's links."""

from __future__ import annotations

import pytest

from src.service import ledger_check


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_check, "PAGE_LINKS", 3)
