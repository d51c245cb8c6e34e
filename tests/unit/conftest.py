"""A bucket on loopback, for the rooms that keep users' files in one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.object_storage import ObjectStorage


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStorage]:
    from tests.object_storage import running_object_storage  # half a second, which other unit tests need not wait for

    with running_object_storage() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running
