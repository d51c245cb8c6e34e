"""Prepared inputs are those that Strawberry itself makes of the same values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import strawberry
from strawberry.types.arguments import convert_argument
from strawberry.types.base import StrawberryObjectDefinition

from src.api.graphql.limits import DocumentLimits
from src.api.graphql.schema import build_schema
from src.domain.signals import OutputKind
from src.domain.trading import FillTiming

SCHEMA = build_schema(DocumentLimits(max_depth=20, max_aliases=20, max_tokens=2000))
MARKET = {"symbol": "BTCUSDT", "interval": "1h", "limit": 500, "startDate": None}

VALUES: dict[str, list[dict[str, Any]]] = {
    "BacktestInput": [
        {"userId": "a"},
        {"userId": "a", "fees": 0.1, "fill": FillTiming.NEXT_OPEN, "fetchInput": MARKET},
        {"userId": "a", "fetchInput": None, "maCrossoverParams": {"fast": 3}, "stopLoss": None},
    ],
    "RunBacktestInput": [
        {"userId": "a", "strategy": {"rsi": {"length": 3, "low": 20.0}}},
        {"userId": "a", "strategy": {"buyAndHold": True}, "symbol": "ETHUSDT"},
        {
            "userId": "a",
            "strategy": {
                "rules": {"buy": ["close > 1"], "parameters": {"n": 3}, "model": {"featureColumns": ["Close"]}}
            },
        },
    ],
    "MLBacktestInput": [
        {"userId": "a", "featureColumns": ["Close", "Open"], "outputKind": OutputKind.PROBABILITY},
        {"userId": "a", "mlModel": {"modelPath": "m.pkl", "featureColumns": None}},
    ],
    "OHLCVFetchInput": [{}, MARKET],
}


@pytest.fixture(name="definitions")
def fixture_definitions() -> Iterator[dict[str, StrawberryObjectDefinition]]:
    """The schema's inputs by name; what prepares them is given back at the end."""
    kinds = SCHEMA.schema_converter.type_map
    found = {name: kind.definition for name, kind in kinds.items() if getattr(kind.definition, "is_input", False)}
    builders = {name: definition.from_input for name, definition in found.items()}
    yield found
    for name, definition in found.items():
        definition.from_input = builders[name]


def test_every_input_is_prepared(definitions: dict[str, StrawberryObjectDefinition]) -> None:
    assert len(definitions) > 15
    assert all(definition.from_input is not None for definition in definitions.values())


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in VALUES.items() for value in values])
def test_input_equals_that_of_strawberry(
    definitions: dict[str, StrawberryObjectDefinition], name: str, value: dict[str, Any]
) -> None:
    def convert() -> object:
        origin = definitions[name].origin
        return convert_argument(value, origin, SCHEMA.schema_converter.scalar_registry, SCHEMA.config)

    prepared = convert()
    for definition in definitions.values():
        definition.from_input = None
    expected = convert()
    assert type(prepared) is type(expected)
    assert strawberry.asdict(prepared) == strawberry.asdict(expected)  # type: ignore[arg-type]
