from __future__ import annotations

import pytest

from src.api.spelling import camel_case, rest_name, snake_case
from src.domain.parameters import parameters_of
from src.domain.runs import BacktestRequest
from src.strategies.registry import PARAMS

DECLARED = [item.parameter for kind in (BacktestRequest, *PARAMS.values()) for item in parameters_of(kind)]


@pytest.mark.parametrize("parameter", DECLARED, ids=lambda parameter: parameter.name)
def test_declared_name_survives_both_spellings(parameter: object) -> None:
    assert rest_name(parameter.field) == rest_name(parameter.name) == parameter.name  # type: ignore[attr-defined]
    assert camel_case(parameter.name) == camel_case(parameter.field) == parameter.field  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("field", "name"),
    [("mlModelFile", "file"), ("dateFormat", "date_format"), ("maCrossoverParams.fast", "ma_crossover_params.fast")],
)
def test_rest_name_of_other_fields(field: str, name: str) -> None:
    assert rest_name(field) == name


def test_graphql_file_name_is_spelled_normally_elsewhere() -> None:
    assert snake_case("mlModelFile") == "ml_model_file"
