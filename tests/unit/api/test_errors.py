from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import orjson
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from src.api.error_table import ERROR_TABLE, HTTP_ERROR_TABLE
from src.api.errors import describe_error, explain_validation, graphql_message, problem_response
from src.domain import errors


def tree(kind: type[errors.ServiceError]) -> Iterator[type[errors.ServiceError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


@pytest.mark.parametrize("kind", list(tree(errors.ServiceError)), ids=lambda kind: kind.__name__)
def test_every_class_of_the_tree_has_its_row(kind: type[errors.ServiceError]) -> None:
    assert kind in ERROR_TABLE
    answer = describe_error(kind("why"))
    assert (answer.status, answer.code, answer.message) == (ERROR_TABLE[kind].status, kind.code, "why")
    assert 400 <= answer.status < 600


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvalidInput, 422),
        (errors.MalformedRequest, 400),
        (errors.ModelRejected, 422),
        (errors.SymbolNotFound, 404),
        (errors.Conflict, 409),
        (errors.TooLarge, 413),
        (errors.UnsupportedFormat, 415),
        (errors.MissingLibrary, 424),
        (errors.TimedOut, 504),
        (errors.ExchangeRefused, 502),
        (errors.ExchangeUnavailable, 503),
        (errors.ExchangeTimeout, 504),
        (errors.StoreUnavailable, 503),
        (errors.SandboxUnavailable, 503),
    ],
)
def test_statuses_are_those_of_the_contract(kind: type[errors.ServiceError], status: int) -> None:
    assert describe_error(kind("why")).status == status


def test_class_without_a_row_uses_its_parents() -> None:
    # Made without a name in the module, so that the walk over the tree does not find it.
    answer = describe_error(type("Elsewhere", (errors.ModelNotFound,), {})("gone"))
    assert (answer.status, answer.code) == (404, "MODEL_NOT_FOUND")


def test_field_and_waiting_time_are_passed_on() -> None:
    assert describe_error(errors.InvalidInput("why", field="fees")).field == "fees"
    assert describe_error(errors.ExchangeUnavailable("wait", retry_after_s=7)).retry_after_s == 7


def test_unexpected_error_is_logged_with_the_clients_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = describe_error(ZeroDivisionError("/srv/secret/path"))
    found = re.search(r"[0-9a-f]{32}", answer.message)
    assert answer.status == 500
    assert answer.code == "INTERNAL_ERROR"
    assert "secret" not in answer.message
    assert found is not None
    assert found.group() in caplog.text
    assert "ZeroDivisionError" in caplog.text


class Below(BaseModel):
    pass


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(ge=1)
    share: float | None = Field(None, allow_inf_nan=False)
    is_new: bool | None = None
    name: str | None = None
    below: Below | None = None
    names: list[str] | None = None


@pytest.mark.parametrize(
    ("raw", "message", "field"),
    [
        ({}, "limit is required.", "limit"),
        ({"limit": "many"}, "limit is 'many'. Allowed: a whole number.", "limit"),
        ({"limit": 1.5}, "limit is 1.5. Allowed: a whole number.", "limit"),
        ({"limit": 0}, "limit is 0. Allowed: a number ≥ 1.", "limit"),
        ({"limit": 1, "share": "half"}, "share is 'half'. Allowed: a number.", "share"),
        ({"limit": 1, "share": float("inf")}, "share is inf. Allowed: a finite number.", "share"),
        ({"limit": 1, "is_new": "maybe"}, "is_new is 'maybe'. Allowed: true or false.", "is_new"),
        ({"limit": 1, "name": 5}, "name is 5. Allowed: text.", "name"),
        ({"limit": 1, "below": 7}, "below is 7. Allowed: an object.", "below"),
        ({"limit": 1, "names": "a"}, "names is 'a'. Allowed: a list.", "names"),
        ({"limit": 1, "limitt": 2}, "Unknown field 'limitt'. Known fields: limit.", "limitt"),
        (7, "The body is 7. Allowed: an object.", None),
    ],
)  # fmt: skip
def test_pydantic_findings_become_one_sentence(raw: object, message: str, field: str | None) -> None:
    with pytest.raises(ValidationError) as caught:
        Body.model_validate(raw)
    error = explain_validation(caught.value.errors(), allowed=["limit"])
    assert error.message == message
    assert error.field == field


def test_no_findings_still_make_an_error() -> None:
    assert explain_validation([]).message == "The request is not valid."
    no_body = explain_validation([{"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}])
    assert (no_body.message, no_body.field) == ("The body is required.", None)


def test_cause_of_failure_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise errors.StoreUnavailable("the result store cannot be used") from OSError("disk\nfull")
    except errors.StoreUnavailable as error:
        answer = describe_error(error)
    assert "disk" not in answer.message
    [record] = caplog.records
    assert record.getMessage() == "STORE_UNAVAILABLE: the result store cannot be used (OSError: disk\\nfull)"


def test_client_mistake_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise errors.InvalidInput("limit is x") from ValueError("x")
    except errors.InvalidInput as error:
        describe_error(error)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "rest", "named", "graphql"),
    [
        (errors.both_given("fixedSize", "percentSize"),
         "fixed_size and percent_size are both given. Allowed: one of them.", "fixed_size",
         "fixedSize and percentSize are both given. Allowed: one of them."),
        (errors.missing("model_name"), "model_name is required.", "model_name", "modelName is required."),
        (errors.InvalidInput("{field} is no file.", field="mlModelFile"), "file is no file.", "file",
         "mlModelFile is no file."),
        (errors.bad_value("startDate", got="endDate", allowed="YYYY-MM-DD"),
         "start_date is 'endDate'. Allowed: YYYY-MM-DD.", "start_date", "startDate is 'endDate'. Allowed: YYYY-MM-DD."),
        (errors.bad_value("symbol", got="x maxBars, {@maxBars} {field} y", allowed="letters"),
         "symbol is 'x maxBars, {@maxBars} {field} y'. Allowed: letters.", "symbol",
         "symbol is 'x maxBars, {@maxBars} {field} y'. Allowed: letters."),
        (errors.ExchangeRefused("The exchange refused: {words}", words="parameter maxBars"),
         "The exchange refused: parameter maxBars", None, "The exchange refused: parameter maxBars"),
    ],
)  # fmt: skip
def test_each_api_spells_fields_and_leaves_values_alone(
    error: errors.ServiceError, rest: str, named: str | None, graphql: str
) -> None:
    answer = describe_error(error)
    problem = orjson.loads(problem_response(request_to("/api/models/upload"), answer).body)
    assert (problem["message"], problem["detail"], problem.get("field")) == (rest, rest, named)
    assert "errors" not in problem
    at_graphql = orjson.loads(problem_response(request_to("/graphql"), answer).body)
    assert (graphql_message(answer), at_graphql["errors"][0]["message"], at_graphql["detail"]) == (graphql,) * 3


def test_problem_at_graphql_path_has_graphql_errors() -> None:
    answer = describe_error(errors.ExchangeUnavailable("initCash \ud800", retry_after_s=7))
    problem = orjson.loads(problem_response(request_to("/graphql"), answer).body)
    assert problem["errors"] == [
        {
            "message": "initCash ?",
            "extensions": {"code": "EXCHANGE_UNAVAILABLE", "hint": answer.hint, "retryAfterS": 7},
        }
    ]
    assert (problem["status"], problem["message"]) == (503, "initCash ?")


@pytest.mark.parametrize("error", [errors.Busy("Full."), errors.ResultNotFound("Gone."), ZeroDivisionError("secret")])
def test_problem_has_the_hint_of_its_row(error: Exception) -> None:
    problem = orjson.loads(problem_response(request_to("/api/backtests"), describe_error(error)).body)
    row = ERROR_TABLE.get(type(error), HTTP_ERROR_TABLE["INTERNAL_ERROR"])  # type: ignore[call-overload]
    assert problem["hint"] == row.fix


def request_to(path: str) -> Request:
    return Request({"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""})
