"""Declare a model's training window in every way that a backtest or upload is requested."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow
from tests.graphql_app import GraphQLClient
from tests.rest_app import MemoryModelFiles, MemoryServices, make_rest_app

# 2019-01-01T12:00Z, and 2019-12-31 as a whole day.
WINDOW = TrainingWindow(trained_from_ms=1_546_344_000_000, trained_to_ms=1_577_836_799_999, label_horizon=3)
FROM, TO = "2019-01-01T12:00:00Z", "2019-12-31T23:59:59.999Z"
ECHO = {"trained_from": FROM, "trained_to": TO, "label_horizon": 3}
SNAKE = {"trained_from": "2019-01-01T12:00", "trained_to": "2019-12-31", "label_horizon": 3}
CAMEL = {"trainedFrom": "2019-01-01T12:00", "trainedTo": "2019-12-31", "labelHorizon": 3}
RUN_ML = "mutation ($input: MLBacktestInput!) { runMlBacktest(input: $input) { strategy { %s } } }"
RUN_ANY = "mutation ($input: RunBacktestInput!) { runBacktest(input: $input) { strategy { %s } } }"
BASE = {"userId": "alice", "symbol": "BTCUSDT"}
MODEL = {"modelPath": "m.pkl"}


def graphql_inputs(window: dict[str, object]) -> dict[str, tuple[str, dict[str, object]]]:
    return {
        "top": (RUN_ML, {**BASE, "mlModel": MODEL, **window}),
        "nested": (RUN_ML, {**BASE, "mlModel": MODEL | window}),
        "both": (RUN_ML, {**BASE, "mlModel": MODEL | window, **window}),
        "one of": (RUN_ANY, {**BASE, "strategy": {"model": MODEL | window}}),
    }


@pytest.fixture
def services() -> MemoryServices:
    return MemoryServices()


@pytest.fixture
async def rest(services: MemoryServices) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=make_rest_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.mark.parametrize("window", [SNAKE, CAMEL], ids=["snake", "camel"])
@pytest.mark.parametrize("way", ["top", "nested", "both", "one of"])
async def test_graphql_takes_window_in_every_input(way: str, window: dict[str, object]) -> None:
    client = GraphQLClient()
    document, given = graphql_inputs(window)[way]
    data = await client.data(document % "trained_from trained_to label_horizon", {"input": given})
    [request] = client.backtests.asked
    assert request.strategy.model is not None
    assert request.strategy.model.training == WINDOW
    assert [answer["strategy"] for answer in data.values()] == [ECHO]


@pytest.mark.parametrize("window", [SNAKE, CAMEL], ids=["snake", "camel"])
@pytest.mark.parametrize("way", ["form", "JSON"])
async def test_rest_takes_window_in_forms_and_json(
    rest: httpx.AsyncClient, services: MemoryServices, way: str, window: dict[str, Any]
) -> None:
    if way == "form":
        data = {"user_id": "alice", "symbol": "BTCUSDT", **{name: str(value) for name, value in window.items()}}
        response = await rest.post("/api/models/backtest/ml", data=data, files={"file": ("m.pkl", b"x")})
    else:
        response = await rest.post("/api/backtests", json=BASE | {"strategy": {"model": MODEL | window}})
    assert response.status_code == 200, response.text
    [request] = services.backtests.asked
    assert request.strategy.model is not None
    assert request.strategy.model.training == WINDOW
    shown = response.json()["data"]
    assert {name: shown["settings"][name] for name in ECHO} == ECHO
    assert {name: shown["strategy"][name] for name in ECHO} == ECHO


async def test_strategies_without_model_have_no_window(rest: httpx.AsyncClient) -> None:
    shown = (await rest.post("/api/backtests", json=BASE)).json()["data"]
    assert {name: shown["strategy"][name] for name in ECHO} == dict.fromkeys(ECHO)
    assert "trained_to" not in shown["settings"]
    refused = await rest.post("/api/backtests", json=BASE | SNAKE)
    assert (refused.status_code, refused.json()["field"]) == (422, "trained_from")


WRONG = pytest.mark.parametrize(
    ("window", "field", "message"),
    [
        (
            {"trainedFrom": "2020-01-02", "trainedTo": "2020-01-01"},
            "trainedTo",
            "trainedTo (2020-01-01T23:59:59.999Z) must not be before trainedFrom (2020-01-02T00:00:00Z).",
        ),
        ({"trainedFrom": "2020-01-02"}, "trainedTo", "trainedTo is required if trainedFrom is given."),
        ({"trainedTo": "last week"}, "trainedTo", "trainedTo is 'last week'. Allowed: YYYY-MM-DD"),
        ({"trainedFrom": "2020-13-01", "trainedTo": "2020-01-01"}, "trainedFrom", "trainedFrom is '2020-13-01'."),
        ({"trainedTo": "2020-01-01", "labelHorizon": -1}, "labelHorizon", "labelHorizon is -1. Allowed: 0 ≤ x"),
        (
            {"trainedTo": "2020-02-01", "fetchInput": {"endDate": "2020-01-31"}},
            "trainedTo",
            "trainedTo (2020-02-01T23:59:59.999Z) must not be after endDate (2020-01-31T23:59:59.999Z)",
        ),
    ],
)


@WRONG
async def test_graphql_names_field_of_wrong_window(window: dict[str, object], field: str, message: str) -> None:
    client = GraphQLClient()
    error = await client.error(RUN_ML % "name", {"input": {**BASE, "mlModel": MODEL, **window}})
    assert error["message"].startswith(message)
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert error["extensions"]["field"] == field
    assert client.backtests.asked == []


@pytest.mark.parametrize(
    ("window", "field", "words"),
    [
        ({"trained_from": "2020-01-02", "trained_to": "2020-01-01"}, "trained_to", "must not be before trained_from"),
        ({"trainedFrom": "2020-01-02"}, "trained_to", "is required if"),
        ({"label_horizon": "3"}, "trained_to", "trained_to is required if label_horizon is given."),
        ({"trained_to": "last week"}, "trained_to", "trained_to is 'last week'. Allowed: YYYY-MM-DD"),
        ({"trained_to": "2020-01-01", "label_horizon": "1.5"}, "label_horizon", "label_horizon is '1.5'"),
        ({"trained_to": ["2020-01-01", "2020-01-01"]}, "trained_to", "trained_to was sent 2 times"),
    ],
)
async def test_upload_with_wrong_window_stores_nothing(
    rest: httpx.AsyncClient, services: MemoryServices, window: dict[str, Any], field: str, words: str
) -> None:
    response = await rest.post(
        "/api/models/upload", data={"user_id": "alice"} | window, files={"file": ("m.pkl", b"x")}
    )
    assert response.status_code == 422, response.text
    assert response.json()["field"] == field
    assert words in response.json()["message"]
    assert stored_in(services) == {}


async def test_form_with_horizon_alone_names_missing_end(rest: httpx.AsyncClient, services: MemoryServices) -> None:
    data = {"user_id": "alice", "symbol": "BTCUSDT", "label_horizon": "3"}
    response = await rest.post("/api/models/backtest/ml", data=data, files={"file": ("m.pkl", b"x")})
    assert (response.status_code, response.json()["field"]) == (422, "trained_to")
    assert response.json()["detail"] == "trained_to is required if label_horizon is given."
    assert services.backtests.asked == []
    assert stored_in(services) == {}


@pytest.mark.parametrize("order", ["file first", "file last"])
async def test_upload_reads_window_on_both_sides_of_file(
    rest: httpx.AsyncClient, services: MemoryServices, order: str
) -> None:
    texts = [(name, (None, str(value))) for name, value in ({"user_id": "alice"} | SNAKE).items()]
    file: list[tuple[str, Any]] = [("file", ("m.pkl", b"x"))]
    response = await rest.post("/api/models/upload", files=file + texts if order == "file first" else texts + file)
    assert response.status_code == 200, response.text
    shown = response.json()["data"]
    assert {name: shown[name] for name in ECHO} == ECHO
    [kept] = stored_in(services).values()
    assert kept.training == WINDOW
    listed = (await rest.get("/api/models/user/alice")).json()["data"]
    path = (await rest.get(f"/api/models/user/alice/model/{shown['filename']}/path")).json()["data"]
    assert listed == [path] == [shown]


async def test_empty_fields_of_upload_count_as_absent(rest: httpx.AsyncClient, services: MemoryServices) -> None:
    data = {"user_id": "alice", **dict.fromkeys(SNAKE, "")}
    response = await rest.post("/api/models/upload", data=data, files={"file": ("m.pkl", b"x")})
    assert response.status_code == 200, response.text
    [kept] = stored_in(services).values()
    assert kept.training == NO_TRAINING_WINDOW


def stored_in(services: MemoryServices) -> dict[str, Any]:
    assert isinstance(services.files, MemoryModelFiles)
    return services.files.files
