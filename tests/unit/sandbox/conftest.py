"""One laboratory for each test file: real children, with a layer left out where a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.security.hostile import Laboratory, laboratory


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("laboratory")) as opened:
        yield opened
