"""Stored results in a document: what is read, how often, and what is held afterwards."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from src.api.graphql import results
from src.domain.bar_quality import DataQuality
from src.domain.runs import BacktestResult, Rerun, ResultSummary
from tests.factories import make_result
from tests.graphql_app import GraphQLClient, MemoryMarket, make_graphql_app
from tests.rest_app import MemoryServices, summary_of


class CountedReads(MemoryMarket):
    """Makes each result when it is read, and remembers which were read, and whether their curves are still held."""

    def __init__(self, bars: int) -> None:
        super().__init__()
        self.bars = bars
        self.curves: list[tuple[str, weakref.ref[Any]]] = []
        self.most_at_once = self._at_once = 0

    async def get(self, result_id: str) -> BacktestResult:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        result = make_result(self.bars, id=result_id)
        self.curves.append((result_id, weakref.ref(result.simulation.equity)))
        return result

    async def compare(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        return [summary_of(make_result(self.bars, id=result_id)) for result_id in result_ids]

    async def rerun(self, result_id: str) -> Rerun:
        result = await self.get(result_id)
        return Rerun(original_id=result_id, result=result, differences=())

    @property
    def read(self) -> list[str]:
        return [result_id for result_id, _ in self.curves]


async def test_result_beyond_allowance_is_not_read() -> None:
    backtests = CountedReads(bars=40_000)
    client = GraphQLClient(MemoryServices(backtests=backtests))
    aliases = " ".join(f'{name}: backtest(id: "{name}") {{ id }}' for name in "abcd")
    answer = await client.post(f"{{ {aliases} }}")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TOO_LARGE"] * 2
    assert "Maximum: 100,000 (MAX_BARS)" in answer["errors"][0]["message"]
    assert backtests.read == ["a", "b"]
    assert backtests.most_at_once == 1


async def test_rerun_beyond_allowance_is_not_run() -> None:
    backtests = CountedReads(bars=40_000)
    client = GraphQLClient(MemoryServices(backtests=backtests))
    aliases = " ".join(f'{name}: rerunBacktest(id: "{name}") {{ originalId }}' for name in "abcd")
    answer = await client.post(f"mutation {{ {aliases} }}")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TOO_LARGE"]
    assert backtests.read == ["a", "b"]


async def test_aliases_read_and_count_result_once() -> None:
    backtests = CountedReads(bars=60_000)
    client = GraphQLClient(MemoryServices(backtests=backtests))
    aliases = " ".join(f'a{number}: backtest(id: "long") {{ id data(first: 2) {{ close }} }}' for number in range(5))
    data = await client.data(f"{{ {aliases} }}")
    assert len({str(entry) for entry in data.values()}) == 1
    assert backtests.read == ["long"]
    await client.data('{ backtest(id: "long") { id } }')
    assert backtests.read == ["long", "long"], "another document reads it again"


class LongChecks(MemoryServices):
    """Answers every further check of a stored result with nothing, and counts them."""

    def __init__(self, bars: int) -> None:
        super().__init__(backtests=CountedReads(bars))
        self.checked: list[str] = []

    @property
    def later_checks(self) -> LongChecks:
        return self

    async def neighbors(self, result_id: str) -> None:
        self.checked.append(result_id)

    resolved_fills = deflation_now = neighbors


async def test_checks_of_long_result_are_not_counted_again() -> None:
    services = LongChecks(bars=60_000)
    fields = "neighbors { rank } resolvedFills { totalReturn } deflationNow { trials }"
    data = await GraphQLClient(services).data(f'{{ backtest(id: "long") {{ {fields} }} }}')
    assert data["backtest"] == {"neighbors": None, "resolvedFills": None, "deflationNow": None}
    assert services.checked == ["long"] * 3


async def test_aliases_share_presented_result(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[DataQuality] = []
    quality_of = results.quality_of
    monkeypatch.setattr(results, "quality_of", lambda quality: made.append(quality) or quality_of(quality))
    client = GraphQLClient(MemoryServices(backtests=CountedReads(bars=1_000)))
    aliases = " ".join(f'a{number}: backtest(id: "long") {{ dataQuality {{ presentBars }} }}' for number in range(5))
    data = await client.data(f"{{ {aliases} }}")
    assert list(data.values()) == [{"dataQuality": {"presentBars": 1_000}}] * 5
    assert len(made) == 1


@pytest.mark.parametrize("selection", ["id", "data(first: 1) { close }", "data(first: -1) { close }"])
async def test_results_are_freed_with_the_response(selection: str) -> None:
    backtests = CountedReads(bars=1_000)
    client = GraphQLClient(MemoryServices(backtests=backtests))
    document = f'{{ one: backtest(id: "one") {{ {selection} }} two: backtest(id: "two") {{ {selection} }} }}'
    await client.post(document)  # what the first request of a process leaves behind is not meant
    backtests.curves.clear()
    gc.collect()
    gc.disable()
    try:
        await client.post(document)
        held = [result_id for result_id, curve in backtests.curves if curve() is not None]
    finally:
        gc.enable()
    assert backtests.read == ["one", "two"]
    assert held == []


async def test_unselected_columns_are_freed_before_response() -> None:
    backtests = CountedReads(bars=1_000)
    app = make_graphql_app(MemoryServices(backtests=backtests))
    body = orjson.dumps({"query": '{ backtest(id: "one") { data(first: 3) { close } } }'})
    scope = {
        "type": "http", "method": "POST", "path": "/graphql", "raw_path": b"/graphql", "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    held: list[bool] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            [(_, equity)] = backtests.curves
            held.append(equity() is not None)

    await app(scope, receive, send)
    assert held == [False]
