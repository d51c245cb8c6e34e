"""Check that both APIs show every declared field of a result's judgement, and read it from the domain's objects."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import httpx
import pytest
import strawberry
from graphql import GraphQLEnumType, GraphQLObjectType, GraphQLSchema, get_named_type

from src.api.graphql.limits import DocumentLimits
from src.api.graphql.reports import report_type
from src.api.graphql.schema import build_schema
from src.api.rest.response_schema import schema_for
from src.api.rest.result_schemas import SampleSchema
from src.api.spelling import camel_case
from src.domain.confidence import Confidence
from src.domain.instants import format_instant
from src.domain.judgement import Judgement, LedgerSnapshot, SampleResult
from src.domain.later_checks import Neighbors, OtherMarkets, ResolvedFills
from src.domain.performance import Metrics
from src.domain.reported import INSTANT, reported, reported_fields
from src.domain.runs import BacktestResult
from src.domain.verdict import ReasonCode, Unchecked, UncheckedCode, VerdictLevel
from src.settings import Settings
from tests.factories import make_metrics, make_result
from tests.graphql_app import GraphQLClient
from tests.judgements import make_judgement
from tests.rest_app import MemoryServices, make_rest_app

SCHEMA: GraphQLSchema = build_schema(DocumentLimits(max_depth=12, max_aliases=100, max_tokens=4000)).graphql_schema
JUDGEMENT = make_judgement()
AFTER = make_judgement(leaks=None, has_model=False)
METRICS = make_metrics(bars=7)


def judged_result() -> BacktestResult:
    return make_result(
        id="judged",
        verdict_level=JUDGEMENT.verdict.level,
        out_of_sample_level=AFTER.verdict.level,
        judgement=JUDGEMENT,
        in_sample=SampleResult(metrics=METRICS, judgement=None),
        out_of_sample=SampleResult(metrics=METRICS, judgement=AFTER),
    )


def plain(value: Any, *, in_camel_case: bool) -> Any:
    """Return what clients must read: every field of every dataclass, times as text, enums and tuples as JSON has them.

    It walks the dataclasses themselves and knows nothing of how their fields are declared.
    """
    if dataclasses.is_dataclass(value):
        shown = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            is_time = field.name.endswith("_ms") or (isinstance(value, Metrics) and field.name in {"start", "end"})
            name = field.name.removesuffix("_ms")
            item = format_instant(item) if is_time else plain(item, in_camel_case=in_camel_case)
            shown[re.sub(r"_(\w)", lambda found: found[1].upper(), name) if in_camel_case else name] = item
        return shown
    if isinstance(value, tuple):
        return [plain(item, in_camel_case=in_camel_case) for item in value]
    return value.value if isinstance(value, StrEnum) else value


def selection(kind: GraphQLObjectType) -> str:
    """Select everything of a type, down to its leaves."""
    inner = ((name, get_named_type(field.type)) for name, field in kind.fields.items())
    return f"{{ {' '.join(f'{n} {selection(k) if isinstance(k, GraphQLObjectType) else str()}' for n, k in inner)} }}"


def object_type(name: str) -> GraphQLObjectType:
    found = SCHEMA.type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found


def reports_in(kind: type) -> Iterator[type]:
    """Yield a report and those in it; the metrics have declarations of their own."""
    yield kind
    for item in reported_fields(kind):
        if item.is_report and item.kind is not Metrics:
            yield from reports_in(item.kind)


REPORTS = tuple(
    dict.fromkeys(
        (
            *reports_in(Judgement),
            SampleResult,
            *reports_in(Neighbors),
            *reports_in(OtherMarkets),
            ResolvedFills,
            Unchecked,
        )
    )
)


async def test_graphql_shows_everything_that_was_judged() -> None:
    client = GraphQLClient()
    client.backtests.results["judged"] = judged_result()
    sample = selection(object_type("SampleResult"))
    query = f"""{{ backtest(id: "judged") {{
      verdictLevel outOfSampleLevel
      judgement {selection(object_type("Judgement"))} inSample {sample} outOfSample {sample} }} }}"""
    shown = (await client.data(query))["backtest"]
    judged = plain(JUDGEMENT, in_camel_case=True)
    metrics = plain(METRICS, in_camel_case=True)
    assert shown["verdictLevel"] == JUDGEMENT.verdict.level.value
    assert shown["judgement"] == judged
    assert shown["inSample"] == {"metrics": metrics, "judgement": None}
    assert shown["outOfSample"] == {"metrics": metrics, "judgement": plain(AFTER, in_camel_case=True)}
    assert shown["outOfSampleLevel"] == AFTER.verdict.level.value
    assert judged["leaks"]["training"]["trainedTo"] == "2020-01-01T23:59:59.999Z"


async def test_rest_shows_everything_that_was_judged() -> None:
    services = MemoryServices()
    services.backtests.results["judged"] = judged_result()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=make_rest_app(services)), base_url="http://service"
    ) as client:
        shown = (await client.get("/api/backtests/judged")).json()["data"]
        alone = (await client.get("/api/backtests/judged/judgement")).json()["data"]
    judged = plain(JUDGEMENT, in_camel_case=False)
    metrics = plain(METRICS, in_camel_case=False)
    assert shown["verdict_level"] == JUDGEMENT.verdict.level.value
    assert shown["judgement"] == alone == judged
    assert shown["in_sample"] == {"metrics": metrics, "judgement": None}
    assert shown["out_of_sample"] == {"metrics": metrics, "judgement": plain(AFTER, in_camel_case=False)}
    assert shown["out_of_sample_level"] == AFTER.verdict.level.value


def test_made_judgement_fills_every_part() -> None:
    """What is None or empty would not be compared above."""

    def empty_in(value: Any, path: str) -> Iterator[str]:
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                yield from empty_in(getattr(value, field.name), f"{path}.{field.name}")
        elif isinstance(value, tuple):
            yield from (found for item in value[:1] for found in empty_in(item, path))
        if value is None or value == ():
            yield path

    assert {path for path in empty_in(JUDGEMENT, "") if ".reasons." not in path} == set()
    assert {reason.level is None for reason in JUDGEMENT.verdict.reasons} == {True, False}


async def test_earlier_result_has_no_judgement() -> None:
    client = GraphQLClient()
    client.backtests.results["early"] = make_result(id="early")
    query = '{ backtest(id: "early") { verdictLevel judgement { verdict { level } } inSample { metrics { bars } } } }'
    assert (await client.data(query))["backtest"] == {"verdictLevel": None, "judgement": None, "inSample": None}
    services = MemoryServices(backtests=client.backtests)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=make_rest_app(services)), base_url="http://service"
    ) as rest:
        shown = (await rest.get("/api/backtests/early")).json()["data"]
        alone = await rest.get("/api/backtests/early/judgement")
        missing = await rest.get("/api/backtests/nothing/judgement")
    names = ("verdict_level", "out_of_sample_level", "judgement", "in_sample", "out_of_sample")
    assert [shown[name] for name in names] == [None] * 5
    assert (alone.status_code, alone.json()["data"]) == (200, None)
    assert missing.status_code == 404


async def test_lists_show_only_both_levels() -> None:
    client = GraphQLClient()
    client.backtests.results["judged"] = judged_result()
    levels = JUDGEMENT.verdict.level.value, AFTER.verdict.level.value
    assert len(set(levels)) == 2
    shown = "verdictLevel outOfSampleLevel"
    query = f"""{{
      backtests(userId: "alice") {{ nodes {{ {shown} }} }}
      compareBacktests(ids: ["judged"]) {{ {shown} }}
    }}"""
    data = await client.data(query)
    assert data["backtests"]["nodes"] == data["compareBacktests"] == [dict(zip(shown.split(), levels, strict=True))]
    assert not {"judgement", "inSample", "outOfSample"} & set(object_type("BacktestSummary").fields)
    services = MemoryServices(backtests=client.backtests)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=make_rest_app(services)), base_url="http://service"
    ) as rest:
        [listed] = (await rest.get("/api/backtests", params={"user_id": "alice"})).json()["data"]["items"]
    assert (listed["verdict_level"], listed["out_of_sample_level"]) == levels
    assert not {"judgement", "in_sample", "out_of_sample"} & set(listed)


@pytest.mark.parametrize("kind", REPORTS)
def test_types_have_declared_fields_and_texts(kind: type) -> None:
    declared = {item.public_name: item.description for item in reported_fields(kind)}
    graphql = object_type(kind.__name__).fields
    assert {name: field.description for name, field in graphql.items()} == {
        camel_case(name): text for name, text in declared.items()
    }
    schema = schema_for(kind, **({} if kind is not SampleResult else {"metrics": SampleSchema}))
    assert {name: field.description for name, field in schema.model_fields.items()} == declared


@pytest.mark.parametrize("kind", [kind for kind in REPORTS if kind is not SampleResult])
def test_nothing_of_a_report_is_left_undeclared(kind: type) -> None:
    assert {item.name for item in reported_fields(kind)} == {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("kind", [VerdictLevel, ReasonCode, UncheckedCode])
def test_codes_are_described_in_schema(kind: type[VerdictLevel | ReasonCode | UncheckedCode]) -> None:
    shown = SCHEMA.type_map[kind.__name__]
    assert isinstance(shown, GraphQLEnumType)
    assert {name: value.description for name, value in shown.values.items()} == {
        code.value: code.meaning for code in kind
    }


def test_ledger_of_a_result_is_hidden() -> None:
    names = {name for kind in SCHEMA.type_map.values() for name in getattr(kind, "fields", {})}
    assert "ledger" not in names
    assert reported_fields(LedgerSnapshot) == ()


def depth_of(kind: GraphQLObjectType, outer: tuple[GraphQLObjectType, ...] = ()) -> int:
    """Return the depth of a selection of everything but of types inside themselves: a portfolio has its job."""
    inner = (get_named_type(field.type) for field in kind.fields.values())
    others = [one for one in inner if isinstance(one, GraphQLObjectType) and one not in (*outer, kind)]
    return 1 + max((depth_of(one, (*outer, kind)) for one in others), default=0)


def test_deepest_selection_is_within_default_limit() -> None:
    limit = Settings.model_fields["graphql_max_depth"].default
    depths = [depth_of(root) for root in (SCHEMA.query_type, SCHEMA.mutation_type) if root is not None]
    assert max(depths) <= limit
    # sweep.conclusion.best.result.outOfSample.judgement.confidence.rangeOfNextPath.maxDrawdown.median
    assert max(depths) == 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Twig:
    """A twig.

    This is not shown.
    """

    cut_ms: int | None = reported("When it was cut.", INSTANT)
    names: tuple[str, ...] = reported("Its names.")
    hidden: int = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bush:
    """A bush
    of twigs.
    """

    planted_ms: int = reported("When it was planted.", INSTANT)
    height: float = reported("Its height.", "meters")
    twigs: tuple[Twig, ...] = reported("Its twigs.")
    best: Twig | None = reported("Its best twig.")


BUSH = Bush(
    planted_ms=0,
    height=1.5,
    twigs=(Twig(cut_ms=None, names=("a", "b")), Twig(cut_ms=1_500, names=())),
    best=None,
)
SHOWN_TWIGS = [{"cut": None, "names": ["a", "b"]}, {"cut": "1970-01-01T00:00:01.500Z", "names": []}]


def test_graphql_type_is_made_of_any_report() -> None:
    @strawberry.type
    class Query:
        bush: report_type(Bush) = strawberry.field(resolver=lambda: BUSH)  # type: ignore[valid-type]

    schema = strawberry.Schema(query=Query)
    text = schema.as_str()
    assert '"""A bush of twigs."""\ntype Bush' in text
    assert '"""A twig."""\ntype Twig' in text
    assert '"""Its height. Unit: meters."""\n  height: Float!' in text
    assert "planted: String!" in text
    assert "cut: String\n" in text
    assert "names: [String!]!" in text
    assert "twigs: [Twig!]!" in text
    assert "best: Twig\n" in text
    assert "hidden" not in text
    answer = schema.execute_sync("{ bush { planted height twigs { cut names } best { cut } } }")
    assert answer.errors is None
    assert answer.data == {
        "bush": {"planted": "1970-01-01T00:00:00Z", "height": 1.5, "twigs": SHOWN_TWIGS, "best": None}
    }


def test_rest_answer_is_made_of_any_report() -> None:
    shown = schema_for(Bush)
    twigs = SHOWN_TWIGS[0] | {"names": ("a", "b")}, SHOWN_TWIGS[1] | {"names": ()}
    assert shown.of(BUSH) == {
        "planted": "1970-01-01T00:00:00Z", "height": 1.5, "twigs": [*twigs], "best": None,
    }  # fmt: skip
    schema = shown.model_json_schema(mode="serialization")
    assert schema["title"] == "BushSchema"
    assert schema["description"] == "A bush of twigs."
    assert schema["$defs"]["TwigSchema"]["description"] == "A twig."
    assert set(schema["$defs"]["TwigSchema"]["properties"]) == {"cut", "names"}


def test_reports_are_read_without_a_copy() -> None:
    kind = report_type(Confidence)
    assert kind is report_type(Confidence)
    assert {field.base_resolver for field in kind.__strawberry_definition__.fields} == {None}
