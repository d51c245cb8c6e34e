"""Run the documents of the user's own page verbatim, in its spelling, in the other one, and mixed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from src.api.spelling import camel_case
from src.domain.strategy import ModelParams
from src.domain.trading import EngineName, FillTiming
from src.strategies.crossover import CrossoverParams
from tests.graphql_app import GraphQLClient
from tests.user_document import ML, ML_INPUT, ML_WITH_FILE, ML_WITH_FILE_INPUT, VECTORIZED

VECTORIZED_INPUT = {
    "user_id": "user123",
    "symbol": "BTCUSDT",
    "fetch_input": {"symbol": "BTCUSDT"},
    "ma_crossover_params": {"fast": 5, "slow": 8},
    "init_cash": 5000.0,
    "fill": "NEXT_OPEN",
}

CAMEL = camel_case


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), name)


def mixed(name: str) -> str:
    """Each name in one of the two spellings, by its length."""
    return CAMEL(name) if len(name) % 2 else snake(name)


def respell_document(document: str, spell: Any) -> str:
    """Respell the names after the first line, which holds the operation's and the types' own names."""
    head, body = document.strip().split("\n", 1)
    return head + "\n" + re.sub(r"(?<!\$)\b[a-z]\w*", lambda match: spell(match[0]), body)


def respell_keys(value: Any, spell: Any) -> Any:
    if isinstance(value, dict):
        return {spell(key): respell_keys(entry, spell) for key, entry in value.items()}
    return value


def selected_names(document: str) -> set[str]:
    return set(re.findall(r"^\s*(\w+)(?: \{|\(|$)", document, re.MULTILINE)) - {"mutation"}


def names_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for entry in value.values() for name in names_in(entry)}
    if isinstance(value, list):
        return {name for entry in value for name in names_in(entry)}
    return set()


SPELLINGS = pytest.mark.parametrize("spell", [str, CAMEL, snake, mixed], ids=["verbatim", "camel", "snake", "mixed"])


@SPELLINGS
async def test_user_document_for_vectorized_backtest_runs(spell: Any) -> None:
    client = GraphQLClient()
    document = respell_document(VECTORIZED, spell)
    data = await client.data(document, {"input": respell_keys(VECTORIZED_INPUT, spell)})

    assert names_in(data) == selected_names(document)
    answer = next(iter(data.values()))
    assert answer["status"] == "success"
    assert len(answer["data"]) == 10
    assert list(answer["strategy"].values()) == [5, 8]
    assert list(answer["metrics"].values())[-3:] == [1, 1, 0]
    asked = client.backtests.asked[0]
    assert asked.strategy == CrossoverParams(fast=5, slow=8)
    assert (asked.engine, asked.rules.fill) == (EngineName.VECTORIZED, FillTiming.NEXT_OPEN)
    assert (asked.user_id, asked.rules.initial_cash) == ("user123", 5000.0)


@SPELLINGS
async def test_user_document_for_stored_model_runs(spell: Any) -> None:
    client = GraphQLClient()
    document = respell_document(ML, spell)
    data = await client.data(document, {"input": respell_keys(ML_INPUT, spell)})

    assert names_in(data) == selected_names(document)
    asked = client.backtests.asked[0]
    assert asked.strategy == ModelParams(
        reference="/path/to/your/model.pkl",
        threshold=0.6,
        feature_columns=("Open", "High", "Low", "Close", "Volume"),
    )
    assert asked.engine is EngineName.VECTORIZED


@SPELLINGS
@pytest.mark.parametrize("key", ["0", "1"])
async def test_user_document_with_model_file_runs(spell: Any, key: str) -> None:
    client = GraphQLClient()
    document = respell_document(ML_WITH_FILE, spell)
    variables = {"file": None, "input": respell_keys(ML_WITH_FILE_INPUT, spell)}
    response = await client.http.post(
        "/graphql",
        data={"operations": json.dumps({"query": document, "variables": variables}),
              "map": json.dumps({key: ["variables.file"]})},
        files={key: ("model.pkl", b"the model")},
    )  # fmt: skip

    assert response.status_code == 200
    answer = response.json()
    assert "errors" not in answer, answer
    assert names_in(answer["data"]) == selected_names(document)
    asked = client.backtests.asked[0]
    assert isinstance(asked.strategy, ModelParams)
    assert (asked.strategy.threshold, asked.strategy.feature_columns) == (
        0.6,
        ("Open", "High", "Low", "Close", "Volume"),
    )
    (model_file,) = client.backtests.model_files
    assert model_file is not None
    assert (model_file.user_id, model_file.original_filename, model_file.size_bytes) == ("user123", "model.pkl", 9)
    assert client.services.files.files == {}, "the file that came with the request is gone when it ends"


async def test_user_document_for_event_driven_backtest_runs() -> None:
    client = GraphQLClient()
    document = VECTORIZED.replace("run_vectorized_backtest", "run_event_driven_backtest")
    settings = {
        "direction": "BOTH", "entry": "LIMIT", "entryOffset": 0.01, "entry_bars": 3, "stopLoss": 0.02,
        "take_profit": 0.04, "trailingStop": 0.03, "max_bars": 20, "intrabar": "OPTIMISTIC", "percentSize": 0.5,
        "fees": 0.0, "slippage": 0.0, "crossCheck": True, "use_fallback": True, "period": "1D",
    }  # fmt: skip
    await client.data(document, {"input": {"user_id": "user123", "symbol": "ETHUSDT", **settings}})

    (asked,) = client.backtests.asked
    rules = asked.rules
    assert asked.engine is EngineName.EVENT_DRIVEN
    assert asked.market.symbol == "ETHUSDT"
    assert (rules.direction, rules.entry.type, rules.intrabar) == ("BOTH", "LIMIT", "OPTIMISTIC")
    assert (rules.entry.offset_rate, rules.entry.life_bars) == (0.01, 3)
    assert (rules.exits.stop_loss_rate, rules.exits.take_profit_rate) == (0.02, 0.04)
    assert (rules.exits.trailing_stop_rate, rules.exits.max_bars) == (0.03, 20)
    assert (rules.sizing.equity_fraction, rules.fee_rate, rules.slippage_rate) == (0.5, 0.0, 0.0)
    assert (asked.cross_check, asked.use_fallback, asked.period) == (True, True, "1D")
