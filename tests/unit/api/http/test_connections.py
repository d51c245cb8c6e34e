from __future__ import annotations

import pytest
from uvicorn.importer import import_from_string

from src.api.http.connections import BoundedHttpProtocol
from src.runtime.serve import HTTP_PROTOCOL


@pytest.mark.parametrize("address", [HTTP_PROTOCOL, "src.api.connections:BoundedHttpProtocol"], ids=["now", "0.1.0"])
def test_protocol_loads_from_each_documented_address(address: str) -> None:
    assert import_from_string(address) is BoundedHttpProtocol
