"""Whatever a stored summary holds, it is read as a result that both APIs can write, or it is unreadable."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from src.api.graphql.limits import DocumentLimits
from src.api.graphql.schema import build_schema
from src.api.json_responses import JsonText
from src.api.rest.presenting import present_summary
from src.domain.instants import MAX_TIME_MS, MIN_TIME_MS
from src.domain.runs import ResultPage, ResultSummary
from src.stores.documents import UnreadableDocument, decode_summary, encode
from src.strategies.crossover import CrossoverParams
from tests.factories import make_market, make_metrics, make_request, make_result
from tests.graphql_app import GraphQLClient, MemoryMarket
from tests.rest_app import MemoryServices

Path = tuple[str | int, ...]

HOSTILE: dict[str, Any] = {
    "wide": 2**70, "told wide": {"int": str(2**70)}, "64 bits": 2**63, "33 bits": 2**40, "negative": -(2**40),
    "year 31 million": 10**18, "before year 1": -(10**15), "float": 1e30, "largest": 1.7976931348623157e308,
    "NaN": float("nan"), "told NaN": {"float": "nan"}, "infinity": float("inf"), "told infinity": {"float": "-inf"},
    "surrogate": "\ud800", "zero": 0, "true": True, "null": None, "text": "x", "list": [], "object": {},
}  # fmt: skip

REST_ONLY = {"seed", "slow", "slowMaPeriod", "lookbackBars", "warmUpBars"}
"""Numbers of the request, or made from them, that REST takes with 64 bits; GraphQL gives null for one that Int cannot
hold, with an error for this field alone."""


def stored_summary() -> dict[str, Any]:
    market = make_market(start_ms=1_500_000_000_000, end_ms=1_600_000_000_000, seed=7, source="simulated")
    request = make_request(market=market, strategy=CrossoverParams(fast=20, slow=50))
    result = make_result(request=request, metrics=make_metrics(max_drawdown_duration=3, cagr=1.5), warnings=("one",))
    plain: dict[str, Any] = json.loads(json.dumps(encode(result).summary))
    return plain


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path


def changed(path: Path, value: Any) -> dict[str, Any]:
    summary = stored_summary()
    holder: Any = summary
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = copy.deepcopy(value)
    return summary


def read_what_can_be(value: Any) -> list[ResultSummary]:
    """Decode the summary with `value` in each of its places; the reasons for unreadable ones can be written."""
    read = []
    for path in leaves(stored_summary()):
        try:
            read.append(decode_summary(changed(path, value)))
        except UnreadableDocument as error:
            str(error).encode()
    return read


def all_fields_of(kind: GraphQLObjectType) -> str:
    """Return a selection of every field of a type that takes no argument, and of theirs."""
    selected = []
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        selected.append(f"{name} {{ {all_fields_of(inner)} }}" if isinstance(inner, GraphQLObjectType) else name)
    return " ".join(selected)


class Stored(MemoryMarket):
    summaries: tuple[ResultSummary, ...] = ()

    async def list(self, **_: Any) -> ResultPage:
        return ResultPage(summaries=self.summaries, next_cursor=None)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
async def test_readable_summary_is_written_by_both_apis(value: Any) -> None:
    stored = Stored()
    stored.summaries = tuple(read_what_can_be(value))
    for summary in stored.summaries:
        JsonText(present_summary(summary)).whole().decode()
    schema = build_schema(DocumentLimits(max_depth=12, max_aliases=100, max_tokens=4000)).graphql_schema
    kind = schema.get_type("BacktestSummary")
    assert isinstance(kind, GraphQLObjectType)
    client = GraphQLClient(MemoryServices(backtests=stored))
    answer = await client.post(f'{{ backtests(userId: "alice") {{ nodes {{ {all_fields_of(kind)} }} }} }}')
    assert {error["path"][-1] for error in answer.get("errors", [])} <= REST_ONLY
    assert answer["data"] is not None
    assert len(answer["data"]["backtests"]["nodes"]) == len(stored.summaries)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("created_ms",), MAX_TIME_MS + 1, "created_ms is 253402300800000, which is not a time in the years 1 to 9999"),
        (("created_ms",), MIN_TIME_MS - 1, "created_ms is -62135596800001"),
        (("created_ms",), 1e30, "a float stands where a int belongs"),
        (("request", "market", "start_ms"), MIN_TIME_MS - 1, "start_ms is"),
        (("request", "market", "end_ms"), MAX_TIME_MS + 1, "end_ms is"),
        (("request", "market", "symbol"), "\ud800", "not valid Unicode"),
        (("request", "market", "limit"), 2**31, "the limit is 2147483648"),
        (("request", "rules", "entry", "life_bars"), 2**31, "entryBars is 2147483648"),
        (("metrics", "strategy_name"), "\ud800", "not valid Unicode"),
        (("metrics", "end"), MAX_TIME_MS + 1, "end is"),
        (("metrics", "total_trades"), 2**31, "total_trades is 2147483648, which is not a count up to 2147483647"),
        (("metrics", "total_trades"), -1, "total_trades is -1"),
        (("metrics", "max_drawdown_duration"), 2**31, "max_drawdown_duration is"),
        (("metrics", "total_return"), float("nan"), "nan stands where a finite number belongs"),
        (("metrics", "cagr"), {"float": "inf"}, "inf stands where a finite number belongs"),
        (("metrics", "final_equity"), 2**63, "64 bits cannot hold"),
        (("fingerprints", "versions", "\ud800"), "1", "not valid Unicode"),
    ],
)
def test_value_that_no_api_can_write_is_unreadable(path: Path, value: Any, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason) as caught:
        decode_summary(changed(path, value))
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("created_ms",), MIN_TIME_MS),
        (("created_ms",), MAX_TIME_MS),
        (("request", "market", "seed"), 2**63 - 1),
        (("request", "market", "limit"), 2**31 - 1),
        (("metrics", "total_trades"), 2**31 - 1),
        (("metrics", "total_trades"), 0),
        (("metrics", "total_return"), 10**6),
        (("metrics", "cagr"), None),
    ],
)
def test_value_at_the_limit_is_read(path: Path, value: Any) -> None:
    summary = decode_summary(changed(path, value))
    JsonText(present_summary(summary)).whole()
