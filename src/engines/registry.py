"""The engines by name: one line each. Clients and stored results know them by these names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from src.domain.trading import EngineName
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from src.ports.computing import Engine

ENGINES: Final[Mapping[EngineName, Engine]] = MappingProxyType(
    {
        EngineName.VECTORIZED: VectorizedEngine(),
        EngineName.EVENT_DRIVEN: EventDrivenEngine(),
    }
)
"""Engines keep no state between runs, so all threads share them."""
