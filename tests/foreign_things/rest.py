"""Attacks by the operations of REST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.foreign_things.attacks import (
    CSV,
    FORBIDDEN,
    FOREIGN_SOURCE,
    FOREIGN_USER,
    MARKET,
    NO_JOB,
    NO_MODEL,
    NO_RESULT,
    NO_SOURCE,
    NOTHING_OF_ANYBODY,
    OWN_SESSION,
    PORTFOLIO,
    RSI,
    SWEPT,
    Attack,
)


def _by_result(path: str = "", **query: Any) -> list[Attack]:
    return [Attack(path=f"/api/backtests/{{result}}{path}", query=query, allowed=NO_RESULT, reads=True)]


def _backtest(**more: Any) -> dict[str, Any]:
    return {**RSI, **more}


def _sweep(**more: Any) -> dict[str, Any]:
    return {"backtest": _backtest(**more), "parameters": SWEPT}


def _walk(**more: Any) -> dict[str, Any]:
    return {"sweep": _sweep(**more), "train_bars": 100, "test_bars": 50}


def _portfolio(**more: Any) -> dict[str, Any]:
    return {**PORTFOLIO, "backtest": {**PORTFOLIO["backtest"], **more}}


_MODEL_BODY: Final = {**MARKET, "strategy": {"model": {"model_path": "{model_path}"}}}
_NAMED_MODEL: Final = {**MARKET, "strategy": {"model": {"model_path": "{model}"}}}
_FUNDING: Final = _backtest(engine="EVENT_DRIVEN", funding="HISTORY", funding_history="{dataset}")
REST: Final[Mapping[str, list[Attack] | str]] = {
    "POST /api/models/upload": [Attack(form=FOREIGN_USER, file=("m.joblib", b"x"), allowed=FORBIDDEN)],
    "GET /api/models/user/{user_id}": [Attack(path="/api/models/user/{user}", allowed=FORBIDDEN, reads=True)],
    "DELETE /api/models/user/{user_id}/model/{filename}": [
        Attack(path="/api/models/user/{user}/model/{model}", allowed=FORBIDDEN),
        Attack(path="/api/models/user/ann/model/{model}", allowed=NO_MODEL),
    ],
    "GET /api/models/user/{user_id}/model/{filename}/path": [
        Attack(path="/api/models/user/{user}/model/{model}/path", allowed=FORBIDDEN, reads=True),
        Attack(path="/api/models/user/ann/model/{model}/path", allowed=NO_MODEL),
        Attack(path="/api/models/user/ann/model/..%2F{user}%2F{model}/path", allowed=(*NO_MODEL, "NOT_FOUND")),
    ],
    "POST /api/models/backtest/ml": [
        Attack(form={**FOREIGN_USER, "symbol": "BTCUSDT"}, file=("m.joblib", b"x"), allowed=FORBIDDEN)
    ],
    "POST /api/backtests": [
        Attack(body=_backtest(**FOREIGN_USER), allowed=FORBIDDEN),
        Attack(body=_backtest(userId="{user}"), allowed=FORBIDDEN),
        Attack(body=_backtest(**FOREIGN_USER) | {"async": True}, allowed=FORBIDDEN),
        Attack(body=_MODEL_BODY, allowed=NO_MODEL),
        Attack(body=_NAMED_MODEL, allowed=NO_MODEL),
        Attack(body=_MODEL_BODY | {"async": True}, allowed=NO_MODEL),
        Attack(body={**FOREIGN_SOURCE, "strategy": {"buy_and_hold": {}}}, allowed=NO_SOURCE),
        Attack(body=_FUNDING, allowed=NO_SOURCE),
    ],
    "GET /api/backtests": [
        Attack(path="/api/backtests", query={"user_id": "{user}"}, allowed=FORBIDDEN, reads=True),
        Attack(path="/api/backtests", query={"userId": "{user}"}, allowed=FORBIDDEN, reads=True),
        Attack(path="/api/backtests", query={"after": "{results_cursor}"}, allowed=(), finds_nothing=True),
    ],
    "GET /api/backtests/{result_id}": _by_result(),
    "DELETE /api/backtests/{result_id}": [
        Attack(path="/api/backtests/{result}", allowed=NO_RESULT),
        Attack(path="/api/backtests/{result}", query={"user_id": "{user}"}, allowed=FORBIDDEN),
    ],
    "GET /api/backtests/{result_id}/judgement": _by_result("/judgement"),
    "GET /api/backtests/{result_id}/deflation": _by_result("/deflation"),
    "GET /api/backtests/{result_id}/neighbors": _by_result("/neighbors"),
    "GET /api/backtests/{result_id}/other-markets": _by_result("/other-markets"),
    "GET /api/backtests/{result_id}/resolved-fills": _by_result("/resolved-fills"),
    "POST /api/backtests/{result_id}/rerun": [Attack(path="/api/backtests/{result}/rerun", allowed=NO_RESULT)],
    "GET /api/backtests/{result_id}/data": _by_result("/data"),
    "GET /api/backtests/{result_id}/fills": _by_result("/fills", format="csv"),
    "GET /api/backtests/{result_id}/trades": _by_result("/trades"),
    "GET /api/backtests/{result_id}/series": _by_result("/series"),
    "GET /api/backtests/{result_id}/months": _by_result("/months"),
    "GET /api/backtests/{result_id}/drawdowns": _by_result("/drawdowns"),
    "GET /api/backtests/{result_id}/distribution": _by_result("/distribution"),
    "GET /api/backtests/{result_id}/costs": _by_result("/costs"),
    "GET /api/backtests/{result_id}/tearsheet": _by_result("/tearsheet"),
    "GET /api/backtests/{result_id}/report.html": _by_result("/report.html"),
    "GET /api/backtests/{result_id}/receipt": _by_result("/receipt"),
    "GET /.well-known/backtesting-receipt-keys.json": NOTHING_OF_ANYBODY,
    "GET /api/strategies": NOTHING_OF_ANYBODY,
    "POST /api/strategies/check": NOTHING_OF_ANYBODY,
    "POST /api/sweeps": [
        Attack(body=_sweep(**FOREIGN_USER), allowed=FORBIDDEN),
        Attack(body={"ml_backtest": {**MARKET, "model_path": "{model_path}"}, "parameters": SWEPT}, allowed=NO_MODEL),
        Attack(
            body={
                "backtest": {**FOREIGN_SOURCE, "strategy": {"rsi": {}}},
                "parameters": [{"name": "low", "values": [20, 25]}],
            },
            allowed=NO_SOURCE,
        ),
    ],
    "POST /api/sweeps/estimate": [Attack(body=_sweep(**FOREIGN_USER), allowed=FORBIDDEN)],
    "GET /api/sweeps/{sweep_id}": [Attack(path="/api/sweeps/{sweep}", allowed=NO_JOB, reads=True)],
    "GET /api/sweeps/{sweep_id}/rows": [Attack(path="/api/sweeps/{sweep}/rows", allowed=NO_JOB, reads=True)],
    "POST /api/sweeps/{sweep_id}/rows/{row}/run": [
        Attack(path="/api/sweeps/{sweep}/rows/0/run", allowed=NO_JOB),
        Attack(path="/api/sweeps/{sweep}/rows/0/run", query={"user_id": "{user}"}, allowed=FORBIDDEN),
    ],
    "GET /api/sweeps/{sweep_id}/heat-map": [
        Attack(path="/api/sweeps/{sweep}/heat-map", query={"x": "low", "y": "high"}, allowed=NO_JOB, reads=True)
    ],
    "POST /api/walk-forwards": [Attack(body=_walk(**FOREIGN_USER), allowed=FORBIDDEN)],
    "GET /api/walk-forwards/{walk_forward_id}": [Attack(path="/api/walk-forwards/{walk}", allowed=NO_JOB, reads=True)],
    "POST /api/portfolios": [
        Attack(body=_portfolio(**FOREIGN_USER), allowed=FORBIDDEN),
        Attack(body=_portfolio(source="{dataset}", seed=None), allowed=NO_SOURCE),
    ],
    "GET /api/portfolios/{portfolio_id}": [Attack(path="/api/portfolios/{portfolio}", allowed=NO_JOB, reads=True)],
    **{
        f"GET /api/portfolios/{{portfolio_id}}/{name}": [
            Attack(path=f"/api/portfolios/{{portfolio}}/{name}", allowed=NO_JOB, reads=True)
        ]
        for name in ("equity", "fills", "trades")
    },
    "GET /api/jobs": [
        Attack(path="/api/jobs", query={"user_id": "{user}"}, allowed=FORBIDDEN, reads=True),
        Attack(path="/api/jobs", query={"after": "{jobs_cursor}"}, allowed=(), finds_nothing=True),
    ],
    "GET /api/jobs/{job_id}": [
        Attack(path="/api/jobs/{job}", allowed=NO_JOB, reads=True),
        Attack(path="/api/jobs/{sweep}", allowed=NO_JOB, reads=True),
    ],
    "DELETE /api/jobs/{job_id}": [
        Attack(path="/api/jobs/{job}", allowed=NO_JOB),
        Attack(path="/api/jobs/{job}", query={"delete": "true"}, allowed=NO_JOB),
        Attack(path="/api/jobs/{job}", query={"delete": "true", "user_id": "{user}"}, allowed=FORBIDDEN),
    ],
    "GET /api/jobs/{job_id}/events": [Attack(path="/api/jobs/{job}/events", allowed=NO_JOB, reads=True)],
    "POST /api/jobs/{job_id}/resume": [
        Attack(path="/api/jobs/{job}/resume", allowed=NO_JOB),
        Attack(path="/api/jobs/{job}/resume", query={"user_id": "{user}"}, allowed=FORBIDDEN),
    ],
    **{
        f"GET /api/data/{name}": [
            Attack(path=f"/api/data/{name}", query=FOREIGN_SOURCE, allowed=NO_SOURCE, reads=True),
            Attack(path=f"/api/data/{name}", query={**FOREIGN_SOURCE, "user_id": "{user}"}, allowed=FORBIDDEN),
        ]
        for name in ("quality", "ohlcv", "features")
    },
    "GET /api/data/downloads": NOTHING_OF_ANYBODY,
    "POST /api/data/upload": [
        Attack(form={**FOREIGN_USER, "symbol": "MINE"}, file=("new.csv", CSV), allowed=FORBIDDEN)
    ],
    "GET /api/data/user/{user_id}": [Attack(path="/api/data/user/{user}", allowed=FORBIDDEN, reads=True)],
    "DELETE /api/data/user/{user_id}/{name}": [
        Attack(path="/api/data/user/{user}/{dataset}", allowed=FORBIDDEN),
        Attack(path="/api/data/user/ann/{dataset}", allowed=NO_SOURCE),
    ],
    "GET /api/usage": [Attack(path="/api/usage", query={"user_id": "{user}"}, allowed=FORBIDDEN, reads=True)],
    "GET /api/session": OWN_SESSION,
    "POST /api/session": OWN_SESSION,
    "DELETE /api/session": OWN_SESSION,
    "GET /health": NOTHING_OF_ANYBODY,
    "GET /ready": NOTHING_OF_ANYBODY,
    "GET /metrics": NOTHING_OF_ANYBODY,
    "GET /errors/{code}": NOTHING_OF_ANYBODY,
    "GET /graphql": "See GRAPHQL.",
    "POST /graphql": "See GRAPHQL.",
}
"""Attacks by REST's operations; a text says why an operation has none."""
