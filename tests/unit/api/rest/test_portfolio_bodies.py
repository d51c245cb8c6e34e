"""Bodies of portfolios: either spelling, the event-driven engine by default, every fault named by its path."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from src.api.requests.portfolios import RUN, echo_portfolio
from src.api.rest.portfolio_bodies import read_portfolio
from src.domain.errors import InvalidInput, InvalidRule
from src.domain.portfolio import Rank
from src.domain.strategy import ModelParams
from src.domain.trading import EngineName, FillTiming
from src.strategies.rsi import RsiParams

BACKTEST: dict[str, Any] = {"user_id": "ann", "interval": "1h", "limit": 500, "strategy": {"rsi": {"length": 9}}}
BODY: dict[str, Any] = {
    "symbols": ["BTCUSDT", "eth/usdt"], "max_open": 1, "rank": "momentum", "rank_bars": 7, "wait_seconds": 2.5,
    "idempotency_key": "k", "backtest": BACKTEST,
}  # fmt: skip


def read(body: dict[str, Any]) -> Any:
    return read_portfolio(orjson.dumps(body), max_bars=10_000)


def test_every_part_of_a_portfolio_is_read() -> None:
    request, key, wait_s = read(BODY)
    assert (request.symbols, request.max_open, request.rank, request.rank_bars) == (
        ("BTCUSDT", "ETHUSDT"), 1, Rank.MOMENTUM, 7,
    )  # fmt: skip
    assert (request.backtest.strategy, request.backtest.market.limit) == (RsiParams(length=9), 500)
    assert (request.backtest.engine, request.backtest.rules.fill) == (EngineName.EVENT_DRIVEN, FillTiming.NEXT_OPEN)
    assert (request.user_id, key, wait_s) == ("ann", "k", 2.5)


def test_both_spellings_are_the_same_portfolio() -> None:
    camel = {
        "symbols": BODY["symbols"], "maxOpen": 1, "rank": "MOMENTUM", "rankBars": 7, "waitSeconds": 2.5,
        "idempotencyKey": "k", "backtest": {"userId": "ann", "fetchInput": {"interval": "1h", "limit": 500}}
        | {"strategy": {"rsi": {"length": 9}}},
    }  # fmt: skip
    assert read(camel) == read(BODY)


def test_defaults_of_a_portfolio_are_filled_in() -> None:
    request, key, wait_s = read({"symbols": ["A", "B", "C"], "backtest": {"user_id": "ann"}})
    assert (request.most_open, request.rank, request.rank_bars, key, wait_s) == (3, Rank.LISTED, 20, None, 10.0)
    echo = echo_portfolio(request)
    assert (echo["symbols"], echo["max_open"], echo["rank"]) == (["A", "B", "C"], 3, Rank.LISTED)
    assert "symbol" not in echo["backtest"]  # type: ignore[operator]


def test_parameters_have_the_defaults_of_portfolios() -> None:
    meanings = {item.parameter.name: item.description for item in RUN}
    assert meanings["fill"].endswith("If not given: NEXT_OPEN.")
    for name in ("percent_size", "quote_size", "risk_percent", "volatility_target", "fixed_size"):
        assert "if not given: the equity ÷ maxOpen, if no other size is given either." in meanings[name]


def test_model_of_its_own_field_is_read() -> None:
    model = {"user_id": "ann", "model_path": "ann_m.onnx", "threshold": 0.6}
    request, _, _ = read({"symbols": ["A", "B"], "ml_backtest": model})
    assert isinstance(request.backtest.strategy, ModelParams)
    with pytest.raises(InvalidInput) as caught:
        read({"symbols": ["A"], "ml_backtest": model | {"threshold": "x"}})
    assert caught.value.field == "ml_backtest.threshold"
    with pytest.raises(InvalidInput) as caught:
        read({"symbols": ["A"], "ml_backtest": model | {"engine": "VECTORIZED"}})
    assert caught.value.field == "mlBacktest.engine"


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"symbols": []}, "symbols", "symbols has 0 symbols. Allowed: 1 to 100 different ones."),
        ({"symbols": None}, "symbols", "symbols is null. Allowed: a list."),
        ({"symbols": "BTCUSDT"}, "symbols", "symbols is 'BTCUSDT'. Allowed: a list."),
        ({"symbols": ["A", 1]}, "symbols.1", "symbols.1 is 1. Allowed: text."),
        ({"symbols": ["A", "a"]}, "symbols.1", "symbols.1 is 'A', which is listed before. Allowed: different symbols."),
        ({"max_open": 0}, "maxOpen", "maxOpen is 0. Allowed: 1 ≤ x ≤ 100 (count)."),
        ({"max_open": 3}, "maxOpen", "maxOpen is 3. Allowed: 1 to 2, as many as there are symbols."),
        ({"max_open": 1.5}, "max_open", "max_open is 1.5. Allowed: a whole number."),
        ({"max_open": "a"}, "max_open", "max_open is 'a'. Allowed: a whole number."),
        ({"rank": "BEST"}, "rank", "rank is 'BEST'. Allowed: LISTED, VOLUME, MOMENTUM."),
        ({"rank_bars": 0}, "rankBars", "rankBars is 0. Allowed: 1 ≤ x ≤ 10000 (bars)."),
        ({"wait_seconds": -1}, "waitSeconds", "waitSeconds is -1.0. Allowed: 0 ≤ x ≤ 60 (seconds)."),
        ({"wait_seconds": 61}, "waitSeconds", "waitSeconds is 61.0. Allowed: 0 ≤ x ≤ 60 (seconds)."),
        ({"backtest": None}, "backtest", "Give either backtest or mlBacktest."),
        ({"allocation": "EQUAL"}, "allocation", "Unknown field 'allocation'. Known fields: max_open, rank"),
    ],
)
def test_wrong_part_of_a_portfolio_is_named(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(BODY | change)
    assert caught.value.field == field
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"symbol": "A"}, "backtest.symbol", "is not a field of a portfolio's backtest. Name the symbols in symbols."),
        ({"fetch_input": {"symbol": "A"}}, "backtest.fetch_input.symbol", "Name the symbols in symbols."),
        ({"engine": "VECTORIZED"}, "backtest.engine", "is 'VECTORIZED'. Allowed: EVENT_DRIVEN."),
        ({"detail_interval": "1m"}, "backtest.detailInterval", "is 1m, and the symbols of a portfolio are traded by"),
        ({"cross_check": True}, "backtest.crossCheck", "is true, and only one engine trades portfolios."),
        (
            {"funding": "HISTORY", "funding_history": "x"},
            "backtest.fundingHistory",
            "is 'x', and its rates are those of one symbol.",
        ),
        ({"limit": 10**9}, "backtest.limit", "is 1000000000. Allowed: 1 to 10000 bars (MAX_BARS)."),
        ({"user_id": "$"}, "backtest.userId", "is '$'."),
        ({"strategy": {"rsi": {"length": 0}}}, "backtest.length", "is 0. Allowed: 2 ≤ x ≤ 5000 (bars)."),
        ({"stop_loss": 2}, "backtest.stopLoss", "is 2.0."),
    ],
)
def test_wrong_part_of_the_backtest_has_its_path(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(BODY | {"backtest": BACKTEST | change})
    assert caught.value.field == field
    assert caught.value.message.startswith(f"{field} {message}") or message in caught.value.message


def test_wrong_rule_of_a_portfolio_has_its_place() -> None:
    with pytest.raises(InvalidRule) as caught:
        read(BODY | {"backtest": {"user_id": "ann", "strategy": {"rules": {"buy": "close >\n foo("}}}})
    assert (caught.value.field, caught.value.line) == ("backtest.buy", 2)
