"""The GraphQL schema: descriptions, types, defaults, and what is derived from the domain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_named_type,
)

from src.api.graphql.limits import DocumentLimits
from src.api.graphql.schema import build_schema
from src.api.spelling import camel_case
from src.domain.market import MarketRequest
from src.domain.parameters import parameters_of
from src.domain.performance import METRIC_DEFINITIONS
from src.domain.runs import BacktestRequest
from src.domain.strategy import ModelParams
from src.strategies.crossover import CrossoverParams
from src.strategies.registry import PARAMS

SCHEMA: GraphQLSchema = build_schema(DocumentLimits(max_depth=12, max_aliases=100, max_tokens=4000)).graphql_schema


def fields_of(name: str) -> dict[str, Any]:
    declared = SCHEMA.get_type(name)
    assert isinstance(declared, GraphQLObjectType | GraphQLInputObjectType)
    return dict(declared.fields)


def described_things() -> Iterator[tuple[str, str | None]]:
    """Yield every type, field, argument and enum value of ours with its description."""
    for declared in SCHEMA.type_map.values():
        if declared.name.startswith("__"):
            continue
        yield declared.name, declared.description
        if isinstance(declared, GraphQLEnumType):
            yield from ((f"{declared.name}.{name}", value.description) for name, value in declared.values.items())
        if isinstance(declared, GraphQLObjectType | GraphQLInputObjectType):
            for name, field in declared.fields.items():
                yield f"{declared.name}.{name}", field.description
                arguments = field.args if isinstance(declared, GraphQLObjectType) else {}
                yield from ((f"{declared.name}.{name}({key})", it.description) for key, it in arguments.items())


def test_everything_is_described() -> None:
    things = dict(described_things())
    assert {"Query", "Direction.BOTH", "Mutation.uploadBars(file)", "BacktestInput.userId"} <= set(things)
    assert [name for name, description in things.items() if not description] == []


def test_only_required_fields_are_non_null() -> None:
    strict = [
        f"{declared.name}.{name}({key})"
        for declared in SCHEMA.type_map.values()
        if isinstance(declared, GraphQLObjectType) and not declared.name.startswith("__")
        for name, field in declared.fields.items()
        for key, argument in field.args.items()
        if isinstance(argument.type, GraphQLNonNull) and argument.default_value is not Undefined
    ]
    strict += [
        f"{declared.name}.{name}"
        for declared in SCHEMA.type_map.values()
        if isinstance(declared, GraphQLInputObjectType)
        for name, field in declared.fields.items()
        if isinstance(field.type, GraphQLNonNull) and field.default_value is not Undefined
    ]
    assert strict == []


def test_every_number_says_its_unit() -> None:
    units = (
        "per cent", "fraction", "ratio", "count", "Number of", "bars",
        "quote currency", "base asset", "Index", "milliseconds",
        "Length", "at least this", "Seed", "same seed", "Fraction", "Bars", "As mlModel",
        "probability", "figure's unit", "reason's unit", "parameter's unit", "column's unit", "same unit",
        "objective's unit", "metric's unit", "seconds", "1/s", "bytes",
        "calendar year", "0…100", "standard deviations", "average true ranges", "ATR of the signal's bar",
    )  # fmt: skip
    silent = [
        f"{declared.name}.{name}: {field.description}"
        for declared in SCHEMA.type_map.values()
        if isinstance(declared, GraphQLObjectType | GraphQLInputObjectType) and not declared.name.startswith("__")
        for name, field in declared.fields.items()
        if get_named_type(field.type).name in {"Int", "Float"}
        and not any(unit.lower() in field.description.lower() for unit in units)
    ]
    assert silent == []


def test_metrics_are_those_of_the_one_table() -> None:
    fields = fields_of("Metrics")
    assert set(fields) == {camel_case(definition.name) for definition in METRIC_DEFINITIONS}
    for definition in METRIC_DEFINITIONS:
        description = fields[camel_case(definition.name)].description
        assert definition.definition in description
        assert definition.unit in description


def test_inputs_have_every_declared_parameter() -> None:
    def names(kind: type, *left_out: str) -> set[str]:
        return {item.parameter.field for item in parameters_of(kind)} - set(left_out)

    market, model = names(MarketRequest), names(ModelParams)
    assert set(fields_of("OHLCVFetchInput")) == market
    common = names(BacktestRequest, *(market - {"symbol"}), "engine") | {"fetchInput"}
    assert set(fields_of("BacktestInput")) == common | {"maCrossoverParams"}
    assert set(fields_of("MLBacktestInput")) == common | {"mlModel", "engine"} | model - {"modelPath"}
    assert set(fields_of("MLModelInput")) == model
    assert set(fields_of("MACrossoverParams")) == names(CrossoverParams)


@pytest.mark.parametrize(
    ("place", "declared", "default"),
    [
        ("OHLCVFetchInput.interval", "String", "1d"),
        ("OHLCVFetchInput.limit", "Int", None),
        ("BacktestInput.userId", "String!", None),
        ("BacktestInput.symbol", "String", None),
        ("BacktestInput.fetchInput", "OHLCVFetchInput", None),
        ("BacktestInput.initCash", "Float", 10_000),
        ("BacktestInput.fees", "Float", 0.001),
        ("BacktestInput.slippage", "Float", 0.001),
        ("BacktestInput.barsPerYear", "Float", None),
        ("BacktestInput.riskFreeRate", "Float", 0.0),
        ("MLBacktestInput.riskFreeRate", "Float", 0.0),
        ("BacktestInput.useFallback", "Boolean", False),
        ("MACrossoverParams.fast", "Int", 20),
        ("MACrossoverParams.slow", "Int", 50),
        ("MLBacktestInput.engine", "Engine", "VECTORIZED"),
    ],
)
def test_types_and_defaults_of_inputs(place: str, declared: str, default: Any) -> None:
    type_name, _, name = place.partition(".")
    field = fields_of(type_name)[name]
    assert str(field.type) == declared
    shown = field.default_value
    assert getattr(shown, "value", shown) == default or (shown is Undefined and default is None)


def test_strategy_input_has_every_strategy_of_the_registry() -> None:
    assert set(fields_of("StrategyInput")) == {camel_case(name) for name in PARAMS}
