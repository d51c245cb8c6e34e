from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import Any

import httpx
import pytest

from src.api.http.body_limit import BodyLimits
from src.domain.annualization import AnnualizationSettings
from src.domain.errors import Busy, ExchangeUnavailable, ModelRejected
from src.domain.model_files import ModelDescription
from src.domain.order_rules import EntryType
from src.domain.signals import OutputKind
from src.domain.strategy import ModelParams
from src.domain.trading import Direction, EngineName, FillTiming
from tests.rest_app import MIB, MemoryModelFiles, MemoryServices, make_rest_app

PICKLE = ("my_model.pkl", b"\x80\x04N.", "application/octet-stream")
DESCRIPTION = ModelDescription(
    format="pickle", library="scikit-learn", library_version="1.9.1", n_features=14, feature_names=None,
    output_kind=OutputKind.PROBABILITY,
)  # fmt: skip


class Inspector:
    """A `ModelRunner` that says what it is told to say."""

    def __init__(self, answer: ModelDescription | BaseException) -> None:
        self.answer = answer

    async def inspect(self, file: object) -> ModelDescription:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


async def upload(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await client.post("/api/models/upload", files={"file": PICKLE}, data={"user_id": "user123"} | fields)


async def run_ml(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    data = {"user_id": "user123", "symbol": "BTCUSDT"} | fields
    return await client.post("/api/models/backtest/ml", files={"file": PICKLE}, data=data)


def kept(services: MemoryServices) -> dict[str, Any]:
    assert isinstance(services.files, MemoryModelFiles)
    return services.files.files


async def test_upload_response_is_as_documented(client: httpx.AsyncClient) -> None:
    answer = await upload(client, model_name="MyModel")
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "message": "Model uploaded successfully",
        "data": {
            "filename": "user123_MyModel_0.pkl",
            "original_filename": "my_model.pkl",
            "file_path": "/srv/storage/user123/user123_MyModel_0.pkl",
            "relative_path": "storage/user123/user123_MyModel_0.pkl",
            "file_size": 4,
            "user_id": "user123",
            "model_name": "MyModel",
            "file_extension": ".pkl",
            "sha256": hashlib.sha256(PICKLE[1]).hexdigest(),
            "trained_from": None,
            "trained_to": None,
            "label_horizon": None,
            "model": None,
        },
    }


@pytest.mark.parametrize("name", ["maxBars", "max_bars"])
async def test_unknown_form_field_is_quoted_as_sent(client: httpx.AsyncClient, name: str) -> None:
    problem = (await upload(client, **{name: "1"})).json()
    known = "file, user_id, model_name, trained_from, trained_to, label_horizon"
    assert problem["message"] == f"Unknown field '{name}'. Known fields: {known}."
    assert problem["field"] == "max_bars"


async def test_upload_form_is_read_in_either_spelling(client: httpx.AsyncClient) -> None:
    fields = {"userId": "user123", "modelName": "MyModel"}
    answer = await client.post("/api/models/upload", files={"file": PICKLE}, data=fields)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["data"]["user_id"], answer.json()["data"]["model_name"]) == ("user123", "MyModel")
    both = await client.post("/api/models/upload", files={"file": PICKLE}, data=fields | {"user_id": "user123"})
    assert (both.status_code, both.json()["field"]) == (422, "user_id")


async def test_upload_response_describes_the_model(client: httpx.AsyncClient, services: MemoryServices) -> None:
    services.runner = Inspector(DESCRIPTION)
    model = (await upload(client)).json()["data"]["model"]
    assert (model["library"], model["n_features"], model["output_kind"]) == ("scikit-learn", 14, "probability")


async def test_rejected_file_is_not_stored(client: httpx.AsyncClient, services: MemoryServices) -> None:
    services.runner = Inspector(ModelRejected("it is a list, not a model", field="mlModelFile"))
    answer = await upload(client)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "MODEL_REJECTED", "file")
    assert kept(services) == {}


async def test_list_path_and_delete(client: httpx.AsyncClient) -> None:
    name = (await upload(client)).json()["data"]["filename"]
    listed = (await client.get("/api/models/user/user123")).json()
    assert [item["filename"] for item in listed["data"]] == [name]
    assert (await client.get("/api/models/user/somebody")).json()["data"] == []

    path = f"/api/models/user/user123/model/{name}"
    assert (await client.get(f"{path}/path")).json()["data"]["file_path"] == f"/srv/storage/user123/{name}"
    assert (await client.delete(path)).json()["message"] == "Model deleted successfully"
    gone = await client.delete(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "MODEL_NOT_FOUND")


async def test_one_user_cannot_reach_another_users_file(client: httpx.AsyncClient) -> None:
    name = (await upload(client)).json()["data"]["filename"]
    assert (await client.get(f"/api/models/user/other/model/{name}/path")).status_code == 404
    assert (await client.delete(f"/api/models/user/other/model/{name}")).status_code == 404


@pytest.mark.parametrize(
    ("parts", "data", "status", "field"),
    [
        ({"user_id": (None, "u")}, {}, 422, "file"),
        ({"file": PICKLE}, {}, 422, "user_id"),
        ({"file": PICKLE}, {"user_id": ""}, 422, "user_id"),
        ({"file": PICKLE}, {"user_id": "../../etc"}, 422, "user_id"),
        ({"file": PICKLE}, {"user_id": "u" * 300}, 422, "user_id"),
        ({"file": PICKLE}, {"user_id": ["a", "b"]}, 422, "user_id"),
        ({"file": PICKLE}, {"user_id": "u", "modelname": "x"}, 422, "modelname"),
        ({"file": (None, b"no name")}, {"user_id": "u"}, 415, None),
        ({"file": ("tool.exe", b"MZ")}, {"user_id": "u"}, 415, None),
    ],
)
async def test_wrong_uploads_are_named(
    client: httpx.AsyncClient, services: MemoryServices, parts: Any, data: Any, status: int, field: str | None
) -> None:
    answer = await client.post("/api/models/upload", files=parts, data=data)
    problem = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["success"] is False
    assert problem["message"] == problem["detail"]
    assert problem.get("field") == field
    assert problem["instance"] == "/api/models/upload"
    assert kept(services) == {}


async def test_other_bodies_than_forms_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/models/upload", json={"user_id": "u"})
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_FORMAT")


async def test_broken_form_is_a_malformed_request(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await client.post("/api/models/upload", content=b"no boundary at all", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        ([("file", PICKLE), ("file", PICKLE)], "in 'file' and 'file'. Allowed: one, in file."),
        ([("file", PICKLE), ("second", PICKLE)], "in 'file' and 'second'. Allowed: one, in file."),
        ([("second", PICKLE), ("file", (None, b"x"))], "in 'second' and 'file'. Allowed: one, in file."),
    ],
)
async def test_two_files_are_refused(client: httpx.AsyncClient, parts: Any, where: str) -> None:
    answer = await client.post("/api/models/upload", files=parts, data={"user_id": "u"})
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")
    assert where in answer.json()["message"]


@pytest.mark.parametrize("path", ["/api/models/upload", "/api/models/backtest/ml"])
async def test_oversized_text_field_is_named(path: str) -> None:
    app = make_rest_app(limits=BodyLimits(max_upload_bytes=4 * MIB))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client:
        answer = await client.post(path, files={"file": PICKLE}, data={"user_id": "u", "model_name": "x" * (MIB + 1)})
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")
    assert "The text in 'model_name' is too long. Maximum: 1048576 bytes." in answer.json()["message"]


async def test_ml_backtest_returns_whole_result_and_removes_file(
    client: httpx.AsyncClient, services: MemoryServices
) -> None:
    answer = await run_ml(client)
    body = answer.json()
    assert answer.status_code == 200
    assert body["success"] is True
    assert set(body["data"]) >= {
        "id", "symbol", "interval", "status", "created_at", "user_id", "engine", "strategy", "metrics", "data", "fills",
        "total_trades", "winning_trades", "losing_trades", "profit_factor", "win_rate", "total_return", "sharpe_ratio",
        "max_drawdown", "trades", "warnings", "data_quality", "data_fingerprint", "model_sha256", "versions", "timings",
    }  # fmt: skip
    assert services.backtests.model_files[0] is not None
    assert services.backtests.model_files[0].is_temporary
    assert kept(services) == {}


async def test_ml_backtest_takes_every_setting_in_either_spelling(
    client: httpx.AsyncClient, services: MemoryServices
) -> None:
    plain = {
        "interval": "1h", "limit": "500", "threshold": "0.6", "period": "1h", "fees": "0.002", "slippage": "0",
        "engine": "event_driven", "direction": "SHORT", "entry": "LIMIT", "source": "simulated", "seed": "7",
    }  # fmt: skip
    snake = {
        "init_cash": "5000", "percent_size": "0.5", "use_fallback": "true", "fill": "NEXT_OPEN",
        "start_date": "2024-01-01", "end_date": "2024-02-01", "entry_offset": "0.01", "entry_bars": "3",
        "stop_loss": "0.05", "take_profit": "0.1", "trailing_stop": "0.02", "max_bars": "9", "cross_check": "false",
        "feature_columns": "Open, Close", "output_kind": "probability", "intrabar": "OPTIMISTIC",
        "bars_per_year": "252", "risk_free_rate": "0.05",
    }  # fmt: skip
    camel = {
        "initCash": "5000", "percentSize": "0.5", "useFallback": "true", "fill": "NEXT_OPEN", "startDate": "2024-01-01",
        "endDate": "2024-02-01", "entryOffset": "0.01", "entryBars": "3", "stopLoss": "0.05", "takeProfit": "0.1",
        "trailingStop": "0.02", "maxBars": "9", "crossCheck": "false", "featureColumns": '["Open", "Close"]',
        "outputKind": "probability", "intrabar": "OPTIMISTIC", "barsPerYear": "252", "riskFreeRate": "0.05",
    }  # fmt: skip
    for fields in (plain | snake, plain | camel):
        answer = await run_ml(client, **fields)
        assert answer.status_code == 200, answer.text
    one, other = services.backtests.asked
    assert one == other
    assert isinstance(one.strategy, ModelParams)
    assert one.strategy.threshold == 0.6
    assert one.strategy.feature_columns == ("Open", "Close")
    assert (one.market.interval.name, one.market.limit, one.market.source, one.market.seed) == (
        "1h",
        500,
        "simulated",
        7,
    )
    assert one.engine is EngineName.EVENT_DRIVEN
    assert one.use_fallback is True
    assert one.annualization == AnnualizationSettings(bars_per_year=252.0, risk_free_rate=0.05)
    rules = one.rules
    assert (rules.initial_cash, rules.fee_rate, rules.slippage_rate) == (5000.0, 0.002, 0.0)
    assert (rules.fill, rules.direction, rules.entry.type) == (FillTiming.NEXT_OPEN, Direction.SHORT, EntryType.LIMIT)
    assert rules.sizing.equity_fraction == 0.5
    assert (rules.exits.stop_loss_rate, rules.exits.take_profit_rate, rules.exits.max_bars) == (0.05, 0.1, 9)


@pytest.mark.parametrize("columns", ["Open,High", '["Open", "High"]', ["Open", "High"], ["Open,High", ""]], ids=str)
async def test_feature_columns_as_json_comma_separated_or_repeated(
    client: httpx.AsyncClient, services: MemoryServices, columns: Any
) -> None:
    assert (await run_ml(client, feature_columns=columns)).status_code == 200
    strategy = services.backtests.asked[0].strategy
    assert isinstance(strategy, ModelParams)
    assert strategy.feature_columns == ("Open", "High")


async def test_empty_fields_count_as_not_sent(client: httpx.AsyncClient, services: MemoryServices) -> None:
    assert (await run_ml(client, start_date="", fixed_size="", feature_columns="")).status_code == 200
    strategy = services.backtests.asked[0].strategy
    assert isinstance(strategy, ModelParams)
    assert strategy.feature_columns is None


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"init_cashh": "5"}, "init_cashh", "Known fields: file, "),
        ({"init_cash": "lots"}, "init_cash", "'lots'"),
        ({"init_cash": "nan"}, "init_cash", "nan"),
        ({"init_cash": "-1"}, "init_cash", "-1"),
        ({"fees": "2"}, "fees", "2"),
        ({"limit": "0"}, "limit", "0"),
        ({"limit": "-5"}, "limit", "-5"),
        ({"limit": "1000000000"}, "limit", "1000000000"),
        ({"interval": "7m"}, "interval", "7m"),
        ({"start_date": "2024-02-01", "end_date": "2024-01-01"}, "start_date", "at or before end_date (2024-01-01T"),
        ({"start_date": "yesterday"}, "start_date", "yesterday"),
        ({"fixed_size": "1", "percent_size": "0.5"}, "fixed_size", "one of them"),
        ({"init_cash": "1", "initCash": "2"}, "init_cash", "'init_cash' and 'initCash' are both given"),
        ({"threshold": ["0.1", "0.2"]}, "threshold", "2 times"),
        ({"feature_columns": "[1]"}, "feature_columns", "list of column names"),
        ({"feature_columns": "[broken"}, "feature_columns", "JSON list"),
        ({"output_kind": "guess"}, "output_kind", "probability"),
        ({"stop_loss": "0.1"}, "stop_loss", "event-driven"),
        ({"engine": "quantum"}, "engine", "VECTORIZED"),
        ({"user_id": "../../etc"}, "user_id", "../../etc"),
        ({"symbol": ""}, "symbol", "''"),
    ],
)
async def test_wrong_settings_are_named_before_anything_is_stored(
    client: httpx.AsyncClient, services: MemoryServices, fields: Any, field: str, says: str
) -> None:
    answer = await run_ml(client, **fields)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "INVALID_INPUT", field)
    assert says in problem["message"]
    ours = re.sub(r"'[^']*'", "", problem["message"])  # without what the client wrote
    assert not re.search(r"\b(initCash|startDate|endDate|fixedSize|percentSize|outputKind|stopLoss|userId)\b", ours)
    assert services.backtests.asked == []
    assert kept(services) == {}


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Busy("too much", retry_after_s=3.2), 503, "BUSY"),
        (ExchangeUnavailable("down", retry_after_s=3.2), 503, "EXCHANGE_UNAVAILABLE"),
        (RuntimeError("unforeseen"), 500, "INTERNAL_ERROR"),
    ],
)
async def test_file_is_removed_however_the_request_ends(
    client: httpx.AsyncClient, services: MemoryServices, failure: Exception, status: int, code: str
) -> None:
    services.backtests.failure = failure
    answer = await run_ml(client)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("4" if status == 503 else None)
    assert len(services.backtests.model_files) == 1
    assert kept(services) == {}


async def test_file_is_removed_if_the_request_is_cancelled(client: httpx.AsyncClient, services: MemoryServices) -> None:
    services.backtests.failure = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await run_ml(client)
    assert len(services.backtests.model_files) == 1
    assert kept(services) == {}


async def test_openapi_describes_the_form_and_its_errors(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    endpoint = document["paths"]["/api/models/backtest/ml"]["post"]
    schemas = document["components"]["schemas"]
    body = endpoint["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["$ref"] == "#/components/schemas/ModelBacktestForm"
    form = schemas["ModelBacktestForm"]
    assert set(form["required"]) == {"file", "user_id", "symbol"}
    assert {"init_cash", "feature_columns", "threshold", "stop_loss"} <= set(form["properties"])
    assert set(endpoint["responses"]) >= {"200", "400", "408", "413", "415", "422", "424", "502", "503", "504"}
    assert "application/problem+json" in endpoint["responses"]["422"]["content"]
    assert "sharpe_ratio" in schemas["Metrics"]["properties"]
    references = set(json.dumps(document).split('"$ref": "#/components/schemas/')[1:])
    assert {text.split('"')[0] for text in references} <= set(schemas)
    assert "$defs" not in json.dumps(document)
    assert "x-component" not in json.dumps(document)
