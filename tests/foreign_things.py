"""Ways to reach another user's things: one table over REST, GraphQL and MCP, by operation.

`{name}` in a path, query, body or document is replaced by a property of `Things`: in an attack by those of the victim.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

MARKET: Final = {"symbol": "BTCUSDT", "interval": "1h", "source": "simulated", "seed": 7, "limit": 300}
RSI: Final = {**MARKET, "strategy": {"rsi": {"length": 5}}}
SWEPT: Final = [{"name": "low", "values": [20, 25]}, {"name": "high", "values": [60, 70]}]
PORTFOLIO: Final[dict[str, Any]] = {
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "backtest": {name: value for name, value in RSI.items() if name != "symbol"},
}
CSV: Final = b"Date,Open,High,Low,Close,Volume\n2024-01-01,1,2,1,2,5\n2024-01-02,2,3,2,3,5\n2024-01-03,3,4,3,4,5\n"


@dataclass(frozen=True, kw_only=True)
class Things:
    """What a user has: ids, names and paths."""

    user: str
    key: str = field(repr=False, default="")
    result: str = ""
    job: str = ""
    sweep: str = ""
    walk: str = ""
    portfolio: str = ""
    model: str = ""
    model_path: str = ""
    dataset: str = ""
    jobs_cursor: str = ""
    results_cursor: str = ""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One request by another user; `allowed` are the codes of which one must come back.

    `reads`: the victim's own request of this kind succeeds and changes nothing, which the test checks too.
    """

    allowed: tuple[str, ...]
    path: str = ""
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] | None = None
    file: tuple[str, bytes] | None = None
    document: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    reads: bool = False
    finds_nothing: bool = False


FORBIDDEN: Final = ("FORBIDDEN",)
NO_RESULT: Final = ("RESULT_NOT_FOUND",)
NO_JOB: Final = ("JOB_NOT_FOUND",)
NO_MODEL: Final = ("MODEL_NOT_FOUND",)
NO_SOURCE: Final = ("SOURCE_NOT_FOUND",)

NOTHING_OF_ANYBODY: Final = "It shows nobody's things."
OWN_SESSION: Final = "It concerns the session of the request's own cookie."


def fill(template: Any, things: Things) -> Any:
    """Return a template with the things of a user in it."""
    if isinstance(template, str):
        for item in fields(things):
            template = template.replace(f"{{{item.name}}}", getattr(things, item.name))
        return template
    if isinstance(template, Mapping):
        return {name: fill(value, things) for name, value in template.items()}
    if isinstance(template, list):
        return [fill(value, things) for value in template]
    return template


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


FOREIGN_USER: Final = {"user_id": "{user}"}
FOREIGN_SOURCE: Final = {"symbol": "MINE", "interval": "1d", "source": "{dataset}", "limit": 3}
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


def _ask(document: str, allowed: tuple[str, ...], *, reads: bool = False, **variables: Any) -> Attack:
    return Attack(document=document, variables=variables, allowed=allowed, reads=reads)


_INPUT: Final = {
    "symbol": "BTCUSDT",
    "fetchInput": {"interval": "1h", "source": "simulated", "seed": 7, "limit": 300},
}
_RSI_INPUT: Final = {**_INPUT, "strategy": {"rsi": {"length": 5}}}
_SWEEP_INPUT: Final = {"backtest": {**_RSI_INPUT, "userId": "{user}"}, "parameters": SWEPT}
_FETCH: Final = {"symbol": "MINE", "interval": "1d", "source": "{dataset}", "limit": 3}
_FETCHING: Final = "query($input: OHLCVFetchInput!, $user: String) {{ {} }}"


def _fetching(field_: str) -> list[Attack]:
    document = _FETCHING.format(field_)
    return [
        _ask(document, NO_SOURCE, input=_FETCH),
        _ask(document, FORBIDDEN, reads=True, input=_FETCH, user="{user}"),
    ]


GRAPHQL: Final[Mapping[str, list[Attack] | str]] = {
    "Query.job": [_ask('{ job(id: "{job}") { id state } }', NO_JOB, reads=True)],
    "Query.jobs": [_ask('{ jobs(userId: "{user}") { nodes { id } } }', FORBIDDEN, reads=True)],
    "Query.sweep": [
        _ask('{ sweep(id: "{sweep}") { job { id } } }', NO_JOB, reads=True),
        _ask('{ sweep(id: "{sweep}") { rows { total } } }', NO_JOB, reads=True),
    ],
    "Query.walkForward": [_ask('{ walkForward(id: "{walk}") { job { id } } }', NO_JOB, reads=True)],
    "Query.portfolio": [_ask('{ portfolio(id: "{portfolio}") { job { id } } }', NO_JOB, reads=True)],
    "Query.estimateSweep": [
        _ask(
            "query($input: SweepInput!) { estimateSweep(input: $input) { combinations } }",
            FORBIDDEN,
            reads=True,
            input=_SWEEP_INPUT,
        )
    ],
    "Query.health": NOTHING_OF_ANYBODY,
    "Query.downloads": NOTHING_OF_ANYBODY,
    "Query.fetchOhlcv": _fetching("fetchOhlcv(input: $input, userId: $user) { Close }"),
    "Query.marketDataQuality": _fetching("marketDataQuality(input: $input, userId: $user) { symbol }"),
    "Query.fetchFeatures": _fetching("fetchFeatures(input: $input, userId: $user) { dates }"),
    "Query.usage": [_ask('{ usage(userId: "{user}") { stored { count } } }', FORBIDDEN, reads=True)],
    "Query.fetchCoinList": NOTHING_OF_ANYBODY,
    "Query.strategies": NOTHING_OF_ANYBODY,
    "Query.describeRules": NOTHING_OF_ANYBODY,
    "Query.uploadedBars": [_ask('{ uploadedBars(userId: "{user}") { name } }', FORBIDDEN, reads=True)],
    "Query.models": [_ask('{ models(userId: "{user}") { filename } }', FORBIDDEN, reads=True)],
    "Query.backtest": [
        _ask('{ backtest(id: "{result}") { totalReturn } }', NO_RESULT, reads=True),
        _ask('{ a: backtest(id: "{result}") { data { close } } b: health }', NO_RESULT, reads=True),
    ],
    "Query.backtests": [
        _ask('{ backtests(userId: "{user}") { edges { node { id totalReturn } } } }', FORBIDDEN, reads=True)
    ],
    "Query.compareBacktests": [_ask('{ compareBacktests(ids: ["{result}"]) { totalReturn } }', NO_RESULT, reads=True)],
    "Mutation.startSweep": [
        _ask("mutation($input: SweepInput!) { startSweep(input: $input) { id } }", FORBIDDEN, input=_SWEEP_INPUT)
    ],
    "Mutation.startWalkForward": [
        _ask(
            "mutation($input: WalkForwardInput!) { startWalkForward(input: $input) { id } }",
            FORBIDDEN,
            input={"sweep": _SWEEP_INPUT, "trainBars": 100, "testBars": 50},
        )
    ],
    "Mutation.runPortfolioBacktest": [
        _ask(
            "mutation($input: RunPortfolioInput!) { runPortfolioBacktest(input: $input) { job { id } } }",
            FORBIDDEN,
            input={
                "symbols": ["BTCUSDT", "ETHUSDT"],
                "backtest": {
                    "userId": "{user}",
                    "fetchInput": _INPUT["fetchInput"],
                    "strategy": {"rsi": {"length": 5}},
                },
            },
        )
    ],
    "Mutation.runSweepRow": [
        _ask('mutation { runSweepRow(id: "{sweep}", row: 0) { id } }', NO_JOB),
        _ask('mutation { runSweepRow(id: "{sweep}", row: 0, userId: "{user}") { id } }', (*NO_JOB, *FORBIDDEN)),
    ],
    "Mutation.cancelJob": [_ask('mutation { cancelJob(id: "{job}") { id } }', NO_JOB)],
    "Mutation.resumeJob": [_ask('mutation { resumeJob(id: "{job}") { id } }', NO_JOB)],
    "Mutation.deleteJob": [
        _ask('mutation { deleteJob(id: "{job}") }', NO_JOB),
        _ask('mutation { deleteJob(id: "{job}", userId: "{user}") }', FORBIDDEN),
    ],
    "Mutation.runVectorizedBacktest": [
        _ask(
            "mutation($input: BacktestInput!) { runVectorizedBacktest(input: $input) { id } }",
            FORBIDDEN,
            input={**_INPUT, "userId": "{user}"},
        )
    ],
    "Mutation.runEventDrivenBacktest": [
        _ask(
            "mutation($input: BacktestInput!) { runEventDrivenBacktest(input: $input) { id } }",
            FORBIDDEN,
            input={**_INPUT, "userId": "{user}"},
        )
    ],
    "Mutation.runBacktest": [
        _ask(
            "mutation($input: RunBacktestInput!) { runBacktest(input: $input) { id } }",
            FORBIDDEN,
            input={**_RSI_INPUT, "userId": "{user}"},
        )
    ],
    "Mutation.runMlBacktest": [
        _ask(
            "mutation($input: MLBacktestInput!) { runMlBacktest(input: $input) { id } }",
            NO_MODEL,
            input={**_INPUT, "mlModel": {"modelPath": "{model_path}"}},
        )
    ],
    "Mutation.runMlBacktestWithFile": [
        Attack(
            document="mutation($file: Upload!, $input: MLBacktestInput!) "
            "{ runMlBacktestWithFile(mlModelFile: $file, input: $input) { id } }",
            variables={"file": None, "input": {**_INPUT, "userId": "{user}"}},
            file=("m.joblib", b"x"),
            allowed=FORBIDDEN,
        )
    ],
    "Mutation.rerunBacktest": [_ask('mutation { rerunBacktest(id: "{result}") { originalId } }', NO_RESULT)],
    "Mutation.deleteBacktest": [
        _ask('mutation { deleteBacktest(id: "{result}") { id } }', NO_RESULT),
        _ask('mutation { deleteBacktest(id: "{result}", userId: "{user}") { id } }', FORBIDDEN),
    ],
    "Mutation.uploadModel": [
        Attack(
            document="mutation($file: Upload!, $input: UploadModelInput!) "
            "{ uploadModel(file: $file, input: $input) { filename } }",
            variables={"file": None, "input": {"userId": "{user}"}},
            file=("m.joblib", b"x"),
            allowed=FORBIDDEN,
        )
    ],
    "Mutation.deleteModel": [
        _ask('mutation { deleteModel(userId: "{user}", filename: "{model}") { filename } }', FORBIDDEN),
        _ask('mutation { deleteModel(filename: "{model}") { filename } }', NO_MODEL),
    ],
    "Mutation.uploadBars": [
        Attack(
            document="mutation($file: Upload!, $input: UploadBarsInput!) "
            "{ uploadBars(file: $file, input: $input) { name } }",
            variables={"file": None, "input": {"userId": "{user}", "symbol": "MINE", "interval": "1d"}},
            file=("new.csv", CSV),
            allowed=FORBIDDEN,
        )
    ],
    "Mutation.deleteBars": [
        _ask('mutation { deleteBars(userId: "{user}", name: "{dataset}") { name } }', FORBIDDEN),
        _ask('mutation { deleteBars(name: "{dataset}") { name } }', NO_SOURCE),
    ],
    "Subscription.jobProgress": "See the test of subscriptions, which need a WebSocket.",
}
"""Attacks by the root fields of the GraphQL schema."""

MCP: Final[Mapping[str, list[tuple[Mapping[str, Any], str]]]] = {
    "backtest_strategy": [
        ({**RSI, "user_id": "{user}"}, "FORBIDDEN"),
        ({**FOREIGN_SOURCE, "strategy": {"buy_and_hold": {}}}, "SOURCE_NOT_FOUND"),
    ],
    "backtest_model": [
        ({**MARKET, "model": "{model_path}"}, "MODEL_NOT_FOUND"),
        ({**MARKET, "model": "{model}", "user_id": "{user}"}, "FORBIDDEN"),
    ],
    "get_run": [({"run_id": "{result}"}, "RESULT_NOT_FOUND")],
    "compare": [({"run_ids": ["{result}"]}, "RESULT_NOT_FOUND")],
    "data_quality": [
        (FOREIGN_SOURCE, "SOURCE_NOT_FOUND"),
        ({**FOREIGN_SOURCE, "user_id": "{user}"}, "FORBIDDEN"),
    ],
    "start_sweep": [({"backtest": {**RSI, "user_id": "{user}"}, "parameters": SWEPT}, "FORBIDDEN")],
    "run_portfolio_backtest": [
        ({**PORTFOLIO, "backtest": {**PORTFOLIO["backtest"], "user_id": "{user}"}}, "FORBIDDEN"),
        ({"portfolio_id": "{portfolio}"}, "JOB_NOT_FOUND"),
    ],
    "get_sweep": [({"sweep_id": "{sweep}"}, "JOB_NOT_FOUND")],
}
"""Arguments of the tools for agents, and the code that the text begins with."""


def describe(attack: Attack) -> str:
    """Return what tells an attack from others, for the names of tests."""
    shown = {
        name: value for name, value in asdict(attack).items() if value and name not in {"allowed", "reads", "file"}
    }
    return json.dumps(shown, default=str)[:160]
