"""Row lists over GraphQL: completed as columns, the ordinary way, and as JSON without GraphQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import orjson

from src.api.graphql.context import GraphQLContext
from src.api.graphql.limits import DocumentLimits
from src.api.graphql.schema import BacktestSchema, build_schema
from src.api.json_responses import JsonText
from src.domain.runs import BacktestResult
from tests.benchmarks.measurement import Measurement, best_of
from tests.factories import make_result

DOCUMENT = '{ backtest(id: "result-1") { data { Date portfolioValue signal } } }'
LIMITS = DocumentLimits(max_depth=12, max_aliases=100, max_tokens=4000)


class OneResult:
    """A service that knows one result."""

    def __init__(self, result: BacktestResult) -> None:
        self._result = result

    async def get(self, result_id: str) -> BacktestResult:
        return self._result

    async def compare(self, result_ids: Sequence[str]) -> Sequence[BacktestResult]:
        """Return it in place of its summary, which has some of its fields."""
        return [self._result for _ in result_ids]


class OneResultContext(GraphQLContext):
    def __init__(self, result: BacktestResult) -> None:
        super().__init__()
        self._service = OneResult(result)

    @property
    def results(self) -> Any:
        return self._service

    @property
    def max_bars(self) -> int:
        return 1_000_000

    @property
    def max_rows(self) -> int:
        return 10**9


def measure() -> list[Measurement]:
    """Measure the same document, known to both sides from an earlier run, on 1,000 and 100,000 rows of 3 fields."""
    targets = {1_000: "≥ 10× faster", 100_000: "≥ 20× faster"}
    found = []
    for rows, target in targets.items():
        found += _measure_rows(rows, target)
    return found


def _measure_rows(rows: int, target: str) -> list[Measurement]:
    columns, ordinary = build_schema(LIMITS), build_schema(LIMITS, has_columns=False)
    result = make_result(rows)
    with closing(asyncio.new_event_loop()) as loop:
        ours = best_of(lambda: answer(loop, columns, result), repeats=max(15, 100_000 // rows))
        theirs = best_of(lambda: answer(loop, ordinary, result), repeats=max(3, 10_000 // rows))
        finished = orjson.loads(answer(loop, columns, result))
    common: dict[str, Any] = {
        "name": f"GraphQL, {rows:,} rows of 3 fields as columns",
        "seconds": ours,
        "units": f"{rows:,} rows",
    }
    plain = best_of(lambda: orjson.dumps(finished), repeats=20)
    return [
        Measurement(**common, peer_name="Strawberry, row by row", peer_seconds=theirs, target=target),
        Measurement(**common, peer_name="orjson alone, on finished rows", peer_seconds=plain),
    ]


def answer(loop: asyncio.AbstractEventLoop, schema: BacktestSchema, stored: BacktestResult) -> bytes:
    """Execute the document and write the answer as JSON."""
    # Not by asyncio.run: resetting its signal handler writes the repr of the whole result.
    result = loop.run_until_complete(schema.execute(DOCUMENT, context_value=OneResultContext(stored)))
    if result.errors:
        raise result.errors[0]
    return JsonText({"data": result.data}).whole()
