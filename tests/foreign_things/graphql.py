"""Attacks by the root fields of the GraphQL schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.foreign_things.attacks import (
    CSV,
    FORBIDDEN,
    NO_JOB,
    NO_MODEL,
    NO_RESULT,
    NO_SOURCE,
    NOTHING_OF_ANYBODY,
    SWEPT,
    Attack,
)


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
