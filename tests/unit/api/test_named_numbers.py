"""A parameter that holds numbers by name: the names are the client's own, and no API spells them in another way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import strawberry
from graphql import parse

from src.api.graphql.inputs import declare_parameters, given
from src.api.graphql.naming import SpellingRewriter
from src.api.rest import body_models
from src.domain.errors import InvalidInput
from src.domain.parameters import parameter, parameters_of
from src.domain.strategy import StrategyParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Params(StrategyParams):
    my_numbers: Mapping[str, float] | None = parameter(name="my_numbers", meaning="Numbers by name", default=None)


DECLARED = parameters_of(Params)
BODY = body_models.make_body("NumbersBody", "Numbers.", DECLARED)
seen: list[object] = []


@strawberry.input
@declare_parameters(DECLARED)
class NumbersInput:
    pass


@strawberry.type
class Query:
    @strawberry.field
    def ask(self, input: NumbersInput) -> bool:
        seen.append(given(input, DECLARED))
        return True


def test_rest_keeps_the_names_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_models, "_OWN_NAMES", frozenset({"my_numbers"}))
    numbers = {"fastLength": 3, "slow_length": 0.5, "slowLength": 7}
    for name in ("my_numbers", "myNumbers"):
        assert body_models.validate_body(BODY, {name: numbers}) == {"my_numbers": numbers}


@pytest.mark.parametrize("value", [[1], "n", 5, {"n": "many"}, {"n": True}, {"n": None}, {"n": {}}], ids=repr)
def test_rest_rejects_what_is_no_number_by_name(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"my_?[nN]umbers"):
        body_models.validate_body(BODY, {"my_numbers": value})


def test_graphql_keeps_the_names_of_numbers() -> None:
    seen.clear()
    schema = strawberry.Schema(Query)
    answer = schema.execute_sync("{ ask(input: {myNumbers: {fastLength: 3, slow_length: 0.5}}) }")
    assert answer.errors is None
    numbers = {"fastLength": 3, "slow_length": 0.5}
    document = "query ($input: NumbersInput!) { ask(input: $input) }"
    [operation] = SpellingRewriter(schema._schema).document(parse(document)).definitions
    variables = SpellingRewriter(schema._schema).variables(operation, {"input": {"my_numbers": numbers}})
    assert schema.execute_sync(document, variable_values=variables).errors is None
    assert seen == [{"my_numbers": numbers}, {"my_numbers": numbers}]
